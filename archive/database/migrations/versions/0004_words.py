"""The words of person names and their sounds"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

COLUMNS = ("ReferringPhysicianName_words", "PatientName_words")


def upgrade() -> None:
    with op.batch_alter_table("studies", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.add_column(sa.Column(name, sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("studies", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.drop_column(name)
