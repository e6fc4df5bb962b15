"""Studies held back: whose a shared or attached study was, and since when it is held back"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0013"

TABLES = ("share_studies", "request_studies")


def upgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("patient_id", sa.Text(), nullable=True))
            batch_op.add_column(sa.Column("held_ms", sa.BigInteger(), nullable=True))
        studies = sa.table("studies", sa.column("study_uid"), sa.column("PatientID"))
        named = sa.table(table, sa.column("study_uid"), sa.column("patient_id"))
        whose = sa.select(studies.c.PatientID).where(studies.c.study_uid == named.c.study_uid).scalar_subquery()
        op.execute(sa.update(named).values(patient_id=whose))


def downgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("held_ms")
            batch_op.drop_column("patient_id")
