"""A checksum of each blob beside its digest, quick enough to be held against everything that is sent"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("instances", sa.Column("checksum", sa.LargeBinary(16), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_column("checksum")
