"""Shares without a name: their key, the copies that they show, what they leave out"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("shares", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deidentification_key", sa.LargeBinary(32), nullable=True))
    with op.batch_alter_table("share_studies", schema=None) as batch_op:
        batch_op.add_column(sa.Column("copy_uid", sa.Text(), nullable=True))
        batch_op.create_index(batch_op.f("ix_share_studies_copy_uid"), ["copy_uid"], unique=False)
    op.create_table(
        "share_exclusions",
        sa.Column("share_id", sa.Text(), nullable=False),
        sa.Column("instance_uid", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["share_id"], ["shares.id"], name=op.f("fk_share_exclusions_share_id_shares")),
        sa.PrimaryKeyConstraint("share_id", "instance_uid", name=op.f("pk_share_exclusions")),
    )


def downgrade() -> None:
    op.drop_table("share_exclusions")
    with op.batch_alter_table("share_studies", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_share_studies_copy_uid"))
        batch_op.drop_column("copy_uid")
    with op.batch_alter_table("shares", schema=None) as batch_op:
        batch_op.drop_column("deidentification_key")
