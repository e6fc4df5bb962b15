"""What is missing in a study, and what senders said they have"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "study_findings",
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("findings", sa.LargeBinary(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_count", sa.Integer(), nullable=False),
        sa.Column("checked_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", name=op.f("pk_study_findings")),
    )
    op.create_index(op.f("ix_study_findings_seen_ms"), "study_findings", ["seen_ms"], unique=False)
    op.create_table(
        "announced_instances",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("instance_uid", sa.Text(), nullable=False),
        sa.Column("announced_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announced_instances")),
        sa.UniqueConstraint("instance_uid", name=op.f("uq_announced_instances_instance_uid")),
    )
    op.create_index(op.f("ix_announced_instances_study_uid"), "announced_instances", ["study_uid"], unique=False)
    op.create_index(op.f("ix_studies_updated_ms"), "studies", ["updated_ms"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_studies_updated_ms"), table_name="studies")
    op.drop_table("announced_instances")
    op.drop_table("study_findings")
