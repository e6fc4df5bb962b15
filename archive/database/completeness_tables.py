"""Tables of completeness: what was found missing in a study, and what a sender said it has.

A row of `study_findings` holds for as long as the study's `updated_ms` and `instance_count` are `seen_…`. A row of
`announced_instances` means something for as long as no instance has its UID.
"""

import sqlalchemy as sa

from archive.database.schema import metadata

study_findings = sa.Table(
    "study_findings",
    metadata,
    sa.Column("study_uid", sa.Text, primary_key=True),
    sa.Column("findings", sa.LargeBinary, nullable=False),
    sa.Column("seen_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("seen_count", sa.Integer, nullable=False),
    sa.Column("checked_ms", sa.BigInteger, nullable=False),
)

announced_instances = sa.Table(
    "announced_instances",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_uid", sa.Text, nullable=False, index=True),
    sa.Column("series_uid", sa.Text, nullable=False),
    sa.Column("instance_uid", sa.Text, nullable=False, unique=True),
    sa.Column("announced_ms", sa.BigInteger, nullable=False),
)
