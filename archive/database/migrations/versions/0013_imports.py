"""Imports from a browser, and which patients may import"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "import_permits",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("permitted_ms", sa.BigInteger(), nullable=False),
        sa.Column("permitted_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_import_permits_request_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_import_permits")),
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("chosen_ms", sa.BigInteger(), nullable=True),
        sa.Column("finished_ms", sa.BigInteger(), nullable=True),
        sa.Column("cleared_ms", sa.BigInteger(), nullable=True),
        sa.Column("patient_id", sa.Text(), server_default="", nullable=False),
        sa.Column("new_files", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_cleared_ms"), "imports", ["cleared_ms"], unique=False)
    op.create_index("ix_imports_kind_subject", "imports", ["kind", "subject"], unique=False)
    _create_series()
    _create_files()


def downgrade() -> None:
    for table in ("import_files", "import_series", "imports", "import_permits"):
        op.drop_table(table)


def _create_series() -> None:
    texts = ("patient_key", "study_uid", "series_uid", "patient_name", "patient_id", "birth_date", "study_date",
             "study_description", "modality", "series_number", "series_description")  # fmt: skip
    op.create_table(
        "import_series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_series_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_series")),
        sa.UniqueConstraint(
            "import_id",
            "patient_key",
            "study_uid",
            "series_uid",
            name=op.f("uq_import_series_import_id_patient_key_study_uid_series_uid"),
        ),
    )


def _create_files() -> None:
    op.create_table(
        "import_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("instance_uid", "role", "state", "code", "message")),
        sa.Column("sha256", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_files_import_id")),
        sa.ForeignKeyConstraint(["series_id"], ["import_series.id"], name=op.f("fk_import_files_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_files")),
        sa.UniqueConstraint("import_id", "number", name=op.f("uq_import_files_import_id_number")),
        sa.UniqueConstraint("import_id", "path", name=op.f("uq_import_files_import_id_path")),
    )
    op.create_index(op.f("ix_import_files_series_id"), "import_files", ["series_id"], unique=False)
