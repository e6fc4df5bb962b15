"""Run statements that are built once and run in every request.

SQLAlchemy takes several times as long over a statement as SQLite does over finding a row by its key. Here a statement's
text is made once, and SQLite's driver is given it with the values; other databases run it as they always do.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

KEPT_TEXTS = 512
_DIALECT = sqlite.dialect(paramstyle="qmark")


def rows_of(
    connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]], values: Mapping[str, Any] | None = None
) -> Iterable[Any]:
    """The rows of a SELECT, one after another. The statement must be one that is kept: its text is kept with it.

    Values and columns are texts, numbers and bytes; a truth value comes as SQLite has it, 0 or 1. A SELECT alone sees
    one moment; whoever runs several that belong together calls `begin_reading` first.
    """
    if connection.dialect.name != "sqlite":
        return connection.execute(statement, values)
    text, names, fixed = _text_of(statement)
    given = [values[name] if values is not None and name in values else fixed[name] for name in names]
    return _rows(connection, text, given)


def begin_reading(connection: sa.Connection) -> None:
    """What is read from here on is of one moment, until the unit of work ends."""
    if not connection.in_transaction():
        connection.begin()


def row_of(
    connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]], values: Mapping[str, Any] | None = None
) -> Any:
    """The first row, or None."""
    return next(iter(rows_of(connection, statement, values)), None)


def _rows(connection: sa.Connection, text: str, given: list[Any]) -> Iterable[Any]:
    driver: Any = connection.connection.driver_connection
    try:
        yield from driver.execute(text, given)
    except sqlite3.Error as error:
        raise sa.exc.OperationalError("", None, error) from error


@lru_cache(KEPT_TEXTS)
def _text_of(statement: sa.Select[*tuple[Any, ...]]) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    compiled = statement.compile(dialect=_DIALECT)
    to_come = {name: None for name, parameter in compiled.binds.items() if parameter.required}
    expanded = compiled.construct_expanded_state(to_come)
    return expanded.statement, tuple(expanded.positiontup or ()), dict(expanded.parameters)
