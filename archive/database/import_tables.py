"""Tables of imports from a browser: who imports, what is on the disc, what became of each file.

A row of `imports` stays, for its counts; `import_series` and `import_files` hold what patients' discs say and go when
the import expires.
"""

import sqlalchemy as sa

from archive.database.schema import metadata

import_permits = sa.Table(
    "import_permits",
    metadata,
    sa.Column("request_id", sa.Text, sa.ForeignKey("requests.id"), primary_key=True),
    sa.Column("permitted_ms", sa.BigInteger, nullable=False),
    sa.Column("permitted_by", sa.Text, nullable=False),
)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("chosen_ms", sa.BigInteger, nullable=True),
    sa.Column("finished_ms", sa.BigInteger, nullable=True),
    sa.Column("cleared_ms", sa.BigInteger, nullable=True, index=True),
    sa.Column("patient_id", sa.Text, nullable=False, server_default=""),
    sa.Column("new_files", sa.Integer, nullable=False, server_default="0"),
    sa.Column("new_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("ix_imports_kind_subject", "kind", "subject"),
)

import_series = sa.Table(
    "import_series",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("import_id", sa.Text, sa.ForeignKey("imports.id"), nullable=False),
    sa.Column("patient_key", sa.Text, nullable=False),
    sa.Column("study_uid", sa.Text, nullable=False),
    sa.Column("series_uid", sa.Text, nullable=False),
    sa.Column("patient_name", sa.Text, nullable=False),
    sa.Column("patient_id", sa.Text, nullable=False),
    sa.Column("birth_date", sa.Text, nullable=False),
    sa.Column("study_date", sa.Text, nullable=False),
    sa.Column("study_description", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("series_number", sa.Text, nullable=False),
    sa.Column("series_description", sa.Text, nullable=False),
    sa.Column("chosen", sa.Boolean, nullable=False),
    sa.UniqueConstraint("import_id", "patient_key", "study_uid", "series_uid"),
)

import_files = sa.Table(
    "import_files",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("import_id", sa.Text, sa.ForeignKey("imports.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("length_bytes", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("series_id", sa.Integer, sa.ForeignKey("import_series.id"), nullable=True, index=True),
    sa.Column("instance_uid", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("import_id", "number"),
    sa.UniqueConstraint("import_id", "path"),
)
