"""Sign-ins begun at the identity provider"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("browser_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("verifier_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
        sa.UniqueConstraint("state_sha256", name=op.f("uq_sign_ins_state_sha256")),
    )


def downgrade() -> None:
    op.drop_table("sign_ins")
