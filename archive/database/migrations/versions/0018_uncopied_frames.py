"""Frames that are still to be copied to HTJ2K"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "uncopied_frames",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uncopied_frames")),
    )
    op.create_index(op.f("ix_uncopied_frames_digest"), "uncopied_frames", ["digest"])


def downgrade() -> None:
    op.drop_table("uncopied_frames")
