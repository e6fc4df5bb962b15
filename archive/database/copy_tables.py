"""The table of frames that are still to be copied to HTJ2K."""

import sqlalchemy as sa

from archive.database.schema import metadata

uncopied_frames = sa.Table(
    "uncopied_frames",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, index=True),
)
"""Blobs whose frames wait to be copied, in the order in which they were stored; the same may stand here twice."""
