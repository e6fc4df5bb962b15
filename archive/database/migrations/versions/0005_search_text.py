"""Parts of texts are found by an index: FTS5's trigrams on SQLite; keys and counts that had none get theirs

The triggers go when the table `studies` is made anew (batch mode with `recreate`): a migration that does so makes them
again.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = (
    "PatientName_folded",
    "PatientName_words",
    "ReferringPhysicianName_folded",
    "ReferringPhysicianName_words",
    "PatientID",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
)


def upgrade() -> None:
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_index("ix_studies_newest")
        batch_op.create_index("ix_studies_newest", ["StudyDate", "id", "instance_count"], unique=False)
        batch_op.create_index("ix_studies_StudyTime", ["StudyTime"], unique=False)
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.create_index("ix_series_Modality_study_id", ["Modality", "study_id"], unique=False)
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_index("ix_instances_sop_class_uid")
        batch_op.create_index("ix_instances_sop_class_uid_study_id", ["sop_class_uid", "study_id"], unique=False)
    if op.get_bind().dialect.name != "sqlite":
        return
    names = ", ".join(COLUMNS)
    new, old = (", ".join(f"{row}.{name}" for name in COLUMNS) for row in ("new", "old"))
    changed = " OR ".join(f"old.{name} <> new.{name}" for name in COLUMNS)
    # The names are those of COLUMNS, above: nothing from outside comes near these statements.
    add = f"INSERT INTO study_text(rowid, {names}) VALUES (new.id, {new});"  # noqa: S608 - names of columns, none from outside
    remove = f"INSERT INTO study_text(study_text, rowid, {names}) VALUES ('delete', old.id, {old});"  # noqa: S608 - names of columns, none from outside
    op.execute(
        f"CREATE VIRTUAL TABLE study_text USING fts5({names}, content='studies', content_rowid='id', "
        "tokenize='trigram case_sensitive 1', detail='none')"
    )
    op.execute(f"CREATE TRIGGER study_text_added AFTER INSERT ON studies BEGIN {add} END")
    op.execute(f"CREATE TRIGGER study_text_removed AFTER DELETE ON studies BEGIN {remove} END")
    op.execute(
        f"CREATE TRIGGER study_text_changed AFTER UPDATE OF {names} ON studies WHEN {changed} BEGIN {remove} {add} END"
    )
    op.execute("INSERT INTO study_text(study_text) VALUES ('rebuild')")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for trigger in ("added", "removed", "changed"):
            op.execute(f"DROP TRIGGER study_text_{trigger}")
        op.execute("DROP TABLE study_text")
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_index("ix_instances_sop_class_uid_study_id")
        batch_op.create_index("ix_instances_sop_class_uid", ["sop_class_uid"], unique=False)
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.drop_index("ix_series_Modality_study_id")
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_index("ix_studies_StudyTime")
        batch_op.drop_index("ix_studies_newest")
        batch_op.create_index("ix_studies_newest", ["StudyDate", "id"], unique=False)
