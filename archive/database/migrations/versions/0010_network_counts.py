"""What strangers do is counted for each network by all server processes together"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "network_counts",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("what", "network", name=op.f("pk_network_counts")),
    )
    with op.batch_alter_table("network_counts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_network_counts_started_ms"), ["started_ms"], unique=False)


def downgrade() -> None:
    op.drop_table("network_counts")
