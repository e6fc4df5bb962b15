"""The digest of what was sent, where attributes of it were coerced"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0012"
TABLES = ("instances", "deleted_instances")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("original_digest", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("original_digest")
