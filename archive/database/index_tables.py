"""Tables of the index: studies, series, instances, and the values of sequences that can be searched.

A column named by a DICOM keyword holds that attribute's value as text, several values joined by a backslash, "" where
there is none. `…_folded` holds a person name in lower case without diacritics, one component group after another,
each between "=" signs; `…_words` its words and their sounds, between blanks. `attributes` is DICOM JSON (PS3.18
Annex F) as UTF-8 bytes.
"""

import sqlalchemy as sa

from archive.database.schema import metadata


def _text(name: str, *, index: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="", index=index)


studies = sa.Table(
    "studies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_uid", sa.Text, nullable=False, unique=True),
    _text("StudyDate"),
    _text("StudyTime", index=True),
    _text("AccessionNumber", index=True),
    _text("ReferringPhysicianName"),
    _text("ReferringPhysicianName_folded", index=True),
    _text("ReferringPhysicianName_words"),
    _text("PatientName"),
    _text("PatientName_folded", index=True),
    _text("PatientName_words"),
    _text("PatientID", index=True),
    _text("StudyID", index=True),
    _text("StudyDescription"),
    _text("PatientBirthDate", index=True),
    _text("PatientSex"),
    _text("ModalitiesInStudy"),
    sa.Column("series_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("instance_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("attributes", sa.LargeBinary, nullable=False),
    sa.Index("ix_studies_newest", "StudyDate", "id", "instance_count"),
)

index_totals = sa.Table(
    "index_totals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("study_count", sa.BigInteger, nullable=False),
    sa.Column("series_count", sa.BigInteger, nullable=False),
    sa.Column("instance_count", sa.BigInteger, nullable=False),
)
"""One row, which triggers hold up to date: what all studies hold together, copies for shares among them. `version`
changes with every transaction that changes a study, or makes a study a copy."""

study_text = sa.table(
    "study_text",
    sa.column("rowid", sa.Integer),
    sa.column("PatientName_folded", sa.Text),
    sa.column("PatientName_words", sa.Text),
    sa.column("ReferringPhysicianName_folded", sa.Text),
    sa.column("ReferringPhysicianName_words", sa.Text),
    sa.column("PatientID", sa.Text),
    sa.column("AccessionNumber", sa.Text),
    sa.column("StudyID", sa.Text),
    sa.column("StudyDescription", sa.Text),
)
"""SQLite alone: an index of the trigrams of these columns of `studies`, held up to date by triggers (FTS5)."""

series = sa.Table(
    "series",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), nullable=False),
    sa.Column("series_uid", sa.Text, nullable=False, index=True),
    _text("Modality"),
    _text("SeriesNumber"),
    _text("SeriesDescription"),
    _text("BodyPartExamined"),
    _text("PerformedProcedureStepStartDate", index=True),
    _text("PerformedProcedureStepStartTime"),
    sa.Column("instance_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("attributes", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("study_id", "series_uid"),
    sa.Index("ix_series_Modality_study_id", "Modality", "study_id"),
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), nullable=False, index=True),
    sa.Column("series_id", sa.Integer, sa.ForeignKey("series.id"), nullable=False, index=True),
    sa.Column("instance_uid", sa.Text, nullable=False, unique=True),
    sa.Column("sop_class_uid", sa.Text, nullable=False),
    sa.Column("transfer_syntax_uid", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, index=True),
    sa.Column("original_digest", sa.Text, nullable=True),
    sa.Column("checksum", sa.LargeBinary(16), nullable=True),
    sa.Column("length_bytes", sa.BigInteger, nullable=False),
    sa.Column("is_report", sa.Boolean, nullable=False),
    sa.Column("is_image", sa.Boolean, nullable=False),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    sa.Column("stored_by", sa.Text, nullable=False),
    _text("InstanceNumber"),
    _text("Rows"),
    _text("Columns"),
    _text("BitsAllocated"),
    _text("NumberOfFrames"),
    _text("ContentDate"),
    _text("ContentTime"),
    _text("ImageType"),
    sa.Column("frames", sa.LargeBinary, nullable=False),
    sa.Column("pixels", sa.LargeBinary, nullable=True),
    sa.Index("ix_instances_sop_class_uid_study_id", "sop_class_uid", "study_id"),
)

instance_metadata = sa.Table(
    "instance_metadata",
    metadata,
    sa.Column("instance_id", sa.Integer, sa.ForeignKey("instances.id"), primary_key=True, autoincrement=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)

sequence_values = sa.Table(
    "sequence_values",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), nullable=False, index=True),
    sa.Column("series_id", sa.Integer, sa.ForeignKey("series.id"), nullable=False, index=True),
    sa.Column("instance_id", sa.Integer, sa.ForeignKey("instances.id"), nullable=True, index=True),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("ix_sequence_values_path_value", "path", "value"),
)

deleted_instances = sa.Table(
    "deleted_instances",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_uid", sa.Text, nullable=False, index=True),
    sa.Column("series_uid", sa.Text, nullable=False),
    sa.Column("instance_uid", sa.Text, nullable=False, unique=True),
    sa.Column("digest", sa.Text, nullable=False, index=True),
    sa.Column("original_digest", sa.Text, nullable=True),
    sa.Column("length_bytes", sa.BigInteger, nullable=False),
    sa.Column("is_report", sa.Boolean, nullable=False),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    sa.Column("stored_by", sa.Text, nullable=False),
    sa.Column("deleted_ms", sa.BigInteger, nullable=False),
    sa.Column("deleted_by", sa.Text, nullable=False),
    sa.Column("rejected", sa.Boolean, nullable=False),
    sa.Column("purged", sa.Boolean, nullable=False),
)
"""What was taken out of the tables above. Its blob is kept until `purged`; what was `rejected` is never taken again."""
