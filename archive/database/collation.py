"""Texts are compared byte by byte, as SQLite does, whatever the language of a PostgreSQL database."""

import sqlalchemy as sa

_OTHERS = sa.text(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
    "AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'alembic_version'"
)


def compare_by_bytes(connection: sa.Connection) -> None:
    """Give every column of text the collation "C": for migrations that add such columns. Does nothing on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    for table, column in list(connection.execute(_OTHERS)):
        connection.exec_driver_sql(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE text COLLATE "C"')
