"""The index: studies, series, instances"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:

    op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("StudyDate", sa.Text(), server_default="", nullable=False),
        sa.Column("StudyTime", sa.Text(), server_default="", nullable=False),
        sa.Column("AccessionNumber", sa.Text(), server_default="", nullable=False),
        sa.Column("ReferringPhysicianName", sa.Text(), server_default="", nullable=False),
        sa.Column("ReferringPhysicianName_folded", sa.Text(), server_default="", nullable=False),
        sa.Column("PatientName", sa.Text(), server_default="", nullable=False),
        sa.Column("PatientName_folded", sa.Text(), server_default="", nullable=False),
        sa.Column("PatientID", sa.Text(), server_default="", nullable=False),
        sa.Column("StudyID", sa.Text(), server_default="", nullable=False),
        sa.Column("StudyDescription", sa.Text(), server_default="", nullable=False),
        sa.Column("PatientBirthDate", sa.Text(), server_default="", nullable=False),
        sa.Column("PatientSex", sa.Text(), server_default="", nullable=False),
        sa.Column("ModalitiesInStudy", sa.Text(), server_default="", nullable=False),
        sa.Column("series_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("instance_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("attributes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("study_uid", name=op.f("uq_studies_study_uid")),
    )
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_studies_AccessionNumber"), ["AccessionNumber"], unique=False)
        batch_op.create_index(batch_op.f("ix_studies_PatientBirthDate"), ["PatientBirthDate"], unique=False)
        batch_op.create_index(batch_op.f("ix_studies_PatientID"), ["PatientID"], unique=False)
        batch_op.create_index(batch_op.f("ix_studies_PatientName_folded"), ["PatientName_folded"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_studies_ReferringPhysicianName_folded"),
            ["ReferringPhysicianName_folded"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_studies_StudyID"), ["StudyID"], unique=False)
        batch_op.create_index("ix_studies_newest", ["StudyDate", "id"], unique=False)

    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("Modality", sa.Text(), server_default="", nullable=False),
        sa.Column("SeriesNumber", sa.Text(), server_default="", nullable=False),
        sa.Column("SeriesDescription", sa.Text(), server_default="", nullable=False),
        sa.Column("BodyPartExamined", sa.Text(), server_default="", nullable=False),
        sa.Column("PerformedProcedureStepStartDate", sa.Text(), server_default="", nullable=False),
        sa.Column("PerformedProcedureStepStartTime", sa.Text(), server_default="", nullable=False),
        sa.Column("instance_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("attributes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_series_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("study_id", "series_uid", name=op.f("uq_series_study_id_series_uid")),
    )
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_series_PerformedProcedureStepStartDate"),
            ["PerformedProcedureStepStartDate"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_series_series_uid"), ["series_uid"], unique=False)

    op.create_table(
        "instances",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("instance_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("is_report", sa.Boolean(), nullable=False),
        sa.Column("is_image", sa.Boolean(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_by", sa.Text(), nullable=False),
        sa.Column("InstanceNumber", sa.Text(), server_default="", nullable=False),
        sa.Column("Rows", sa.Text(), server_default="", nullable=False),
        sa.Column("Columns", sa.Text(), server_default="", nullable=False),
        sa.Column("BitsAllocated", sa.Text(), server_default="", nullable=False),
        sa.Column("NumberOfFrames", sa.Text(), server_default="", nullable=False),
        sa.Column("ContentDate", sa.Text(), server_default="", nullable=False),
        sa.Column("ContentTime", sa.Text(), server_default="", nullable=False),
        sa.Column("ImageType", sa.Text(), server_default="", nullable=False),
        sa.Column("frames", sa.LargeBinary(), nullable=False),
        sa.Column("pixels", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_instances_series_id")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_instances_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
        sa.UniqueConstraint("instance_uid", name=op.f("uq_instances_instance_uid")),
    )
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instances_digest"), ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_series_id"), ["series_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_sop_class_uid"), ["sop_class_uid"], unique=False)
        batch_op.create_index(batch_op.f("ix_instances_study_id"), ["study_id"], unique=False)

    op.create_table(
        "instance_metadata",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_instance_metadata_instance_id")),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_instance_metadata")),
    )
    op.create_table(
        "sequence_values",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_sequence_values_instance_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_sequence_values_series_id")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_sequence_values_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sequence_values")),
    )
    with op.batch_alter_table("sequence_values", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sequence_values_instance_id"), ["instance_id"], unique=False)
        batch_op.create_index("ix_sequence_values_path_value", ["path", "value"], unique=False)
        batch_op.create_index(batch_op.f("ix_sequence_values_series_id"), ["series_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sequence_values_study_id"), ["study_id"], unique=False)


def downgrade() -> None:

    with op.batch_alter_table("sequence_values", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sequence_values_study_id"))
        batch_op.drop_index(batch_op.f("ix_sequence_values_series_id"))
        batch_op.drop_index("ix_sequence_values_path_value")
        batch_op.drop_index(batch_op.f("ix_sequence_values_instance_id"))

    op.drop_table("sequence_values")
    op.drop_table("instance_metadata")
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_instances_study_id"))
        batch_op.drop_index(batch_op.f("ix_instances_sop_class_uid"))
        batch_op.drop_index(batch_op.f("ix_instances_series_id"))
        batch_op.drop_index(batch_op.f("ix_instances_digest"))

    op.drop_table("instances")
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_series_series_uid"))
        batch_op.drop_index(batch_op.f("ix_series_PerformedProcedureStepStartDate"))

    op.drop_table("series")
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_index("ix_studies_newest")
        batch_op.drop_index(batch_op.f("ix_studies_StudyID"))
        batch_op.drop_index(batch_op.f("ix_studies_ReferringPhysicianName_folded"))
        batch_op.drop_index(batch_op.f("ix_studies_PatientName_folded"))
        batch_op.drop_index(batch_op.f("ix_studies_PatientID"))
        batch_op.drop_index(batch_op.f("ix_studies_PatientBirthDate"))
        batch_op.drop_index(batch_op.f("ix_studies_AccessionNumber"))

    op.drop_table("studies")
