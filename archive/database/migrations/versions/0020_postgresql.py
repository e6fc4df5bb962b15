"""PostgreSQL: texts in the order of their bytes, totals and an append-only trail by triggers, trigrams, functions

SQLite has all of it since earlier revisions. A migration after this one that adds a column of text gives it the
collation "C" on PostgreSQL by `compare_by_bytes`.
"""

from alembic import op

from archive.database.collation import compare_by_bytes

revision = "0020"
down_revision = "0019"

TRIGRAMS = (
    "PatientName_folded",
    "PatientName_words",
    "ReferringPhysicianName_folded",
    "ReferringPhysicianName_words",
    "PatientID",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
)
FUNCTIONS = (
    # What a text begins with, as SQLite's CAST reads it.
    r"""
CREATE FUNCTION lightbox_number(value text) RETURNS double precision LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RETURN coalesce(substring(value from '^\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)'), '0');
EXCEPTION WHEN OTHERS THEN
  RETURN 0;
END $$""",
    """
CREATE FUNCTION lightbox_julian_day(day text) RETURNS double precision LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF day !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN
    RETURN NULL;
  END IF;
  RETURN make_date(left(day, 4)::int, substr(day, 6, 2)::int, right(day, 2)::int) - date '0001-01-01' + 1721425.5;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$""",
    # A NUL may be written in JSON and not be held by PostgreSQL; a document that is none has no values.
    r"""
CREATE FUNCTION lightbox_json(document text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RETURN replace(document, '\u0000', '')::jsonb;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$""",
    """
CREATE FUNCTION lightbox_json_values(document text, tag text) RETURNS TABLE (value text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT jsonb_array_elements_text(
    CASE WHEN jsonb_typeof(found) = 'array' THEN found ELSE '[]'::jsonb END
  ) FROM (SELECT lightbox_json(document) -> tag -> 'Value' AS found) AS of_tag
$$""",
    """
CREATE FUNCTION lightbox_json_members(document text) RETURNS TABLE (value text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT member.value FROM jsonb_each_text(
    CASE WHEN left(document, 1) = '{' THEN lightbox_json(document) ELSE '{}'::jsonb END
  ) AS member
$$""",
    """
CREATE FUNCTION lightbox_first_json_value(document text, tag text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT lightbox_json(document) -> tag -> 'Value' ->> 0
$$""",
)
TRIGGERS = (
    """
CREATE FUNCTION lightbox_add_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE index_totals SET version = version + 1,
    study_count = study_count
      + CASE WHEN TG_OP <> 'DELETE' AND NEW.instance_count > 0 THEN 1 ELSE 0 END
      - CASE WHEN TG_OP <> 'INSERT' AND OLD.instance_count > 0 THEN 1 ELSE 0 END,
    series_count = series_count
      + CASE WHEN TG_OP <> 'DELETE' THEN NEW.series_count ELSE 0 END
      - CASE WHEN TG_OP <> 'INSERT' THEN OLD.series_count ELSE 0 END,
    instance_count = instance_count
      + CASE WHEN TG_OP <> 'DELETE' THEN NEW.instance_count ELSE 0 END
      - CASE WHEN TG_OP <> 'INSERT' THEN OLD.instance_count ELSE 0 END;
  RETURN NULL;
END $$""",
    (
        "CREATE TRIGGER studies_totals AFTER INSERT OR UPDATE OR DELETE ON studies "
        "FOR EACH ROW EXECUTE FUNCTION lightbox_add_totals()"
    ),
    """
CREATE FUNCTION lightbox_add_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (TG_OP = 'INSERT' AND NEW.copy_uid IS NOT NULL) OR (TG_OP = 'DELETE' AND OLD.copy_uid IS NOT NULL)
     OR (TG_OP = 'UPDATE' AND OLD.copy_uid IS DISTINCT FROM NEW.copy_uid) THEN
    UPDATE index_totals SET version = version + 1;
  END IF;
  RETURN NULL;
END $$""",
    (
        "CREATE TRIGGER share_studies_version AFTER INSERT OR UPDATE OR DELETE ON share_studies "
        "FOR EACH ROW EXECUTE FUNCTION lightbox_add_version()"
    ),
    """
CREATE FUNCTION lightbox_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit trail is append-only';
END $$""",
    (
        "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION lightbox_append_only()"
    ),
)
NAMES = (
    ("studies_totals ON studies", "lightbox_add_totals()"),
    ("share_studies_version ON share_studies", "lightbox_add_version()"),
    ("audit_events_append_only ON audit_events", "lightbox_append_only()"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    compare_by_bytes(op.get_bind())
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for column in TRIGRAMS:
        op.execute(f'CREATE INDEX "ix_studies_{column}_trigrams" ON studies USING gin ("{column}" gin_trgm_ops)')
    for statement in (*FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for trigger, function in NAMES:
        op.execute(f"DROP TRIGGER {trigger}")
        op.execute(f"DROP FUNCTION {function}")
    for name in ("first_json_value(text, text)", "json_members(text)", "json_values(text, text)", "json(text)"):
        op.execute(f"DROP FUNCTION lightbox_{name}")
    op.execute("DROP FUNCTION lightbox_julian_day(text)")
    op.execute("DROP FUNCTION lightbox_number(text)")
    for column in TRIGRAMS:
        op.execute(f'DROP INDEX "ix_studies_{column}_trigrams"')
