"""What was deleted, for as long as it can be restored, and what was rejected"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "deleted_instances",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("instance_uid", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("is_report", sa.Boolean(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_by", sa.Text(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_by", sa.Text(), nullable=False),
        sa.Column("rejected", sa.Boolean(), nullable=False),
        sa.Column("purged", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_instances")),
        sa.UniqueConstraint("instance_uid", name=op.f("uq_deleted_instances_instance_uid")),
    )
    with op.batch_alter_table("deleted_instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deleted_instances_study_uid"), ["study_uid"], unique=False)
        batch_op.create_index(batch_op.f("ix_deleted_instances_digest"), ["digest"], unique=False)


def downgrade() -> None:
    op.drop_table("deleted_instances")
