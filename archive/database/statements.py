"""Run statements that are built once and run in every request.

SQLAlchemy takes several times as long over a statement as SQLite does over finding or adding a row. Here a statement's
text is made once, and SQLite's driver is given it with the values; other databases run it as they always do.

Statements must be ones that are kept: their texts are kept with them. Values and columns are texts, numbers and bytes;
a truth value comes as SQLite has it, 0 or 1.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

KEPT_TEXTS = 512
FEW = 64
"""Lists of up to so many values have a text of their own for each length."""
_DIALECT = sqlite.dialect(paramstyle="qmark")
Select = sa.Select[*tuple[Any, ...]]


def begin_reading(connection: sa.Connection) -> None:
    """What is read from here on is of one moment, until the unit of work ends."""
    if not connection.in_transaction():
        connection.begin()


def rows_of(connection: sa.Connection, statement: Select, values: Mapping[str, Any] | None = None) -> Iterable[Any]:
    """The rows of a SELECT, one after another.

    A SELECT alone sees one moment; whoever runs several that belong together calls `begin_reading` first.
    """
    if not _is_sqlite(connection):
        return connection.execute(statement, values)
    text, names, fixed = _text_of(statement)
    given = [values[name] if values is not None and name in values else fixed[name] for name in names]
    return _rows(connection, text, given)


def row_of(connection: sa.Connection, statement: Select, values: Mapping[str, Any] | None = None) -> Any:
    """The first row, or None."""
    return next(iter(rows_of(connection, statement, values)), None)


def rows_among(connection: sa.Connection, statement: Select, name: str, wanted: Sequence[str]) -> Iterable[Any]:
    """The rows of a SELECT whose one parameter, an expanding one of this name, is a list."""
    if not _is_sqlite(connection) or not 0 < len(wanted) <= FEW:
        return connection.execute(statement, {name: wanted})
    return _rows(connection, _text_among(statement, name, len(wanted)), list(wanted))


def insert_row(connection: sa.Connection, statement: sa.Insert, values: Mapping[str, Any]) -> int:
    """Add a row; its key."""
    if not _is_sqlite(connection):
        key = connection.execute(statement, dict(values)).inserted_primary_key
        if key is None:
            raise LookupError("The database gave no key for a new row.")
        return int(key[0])
    text, names = _text_with(statement, tuple(values))
    with _wrapped(connection):
        return int(_driver(connection).execute(text, [values[name] for name in names]).lastrowid)


def run_each(connection: sa.Connection, statement: sa.Insert | sa.Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a statement once for each row of values; all rows have the same names."""
    if not _is_sqlite(connection):
        connection.execute(statement, [dict(row) for row in rows])
        return
    text, names = _text_with(statement, tuple(rows[0]))
    with _wrapped(connection):
        _driver(connection).executemany(text, [[row[name] for name in names] for row in rows])


def _is_sqlite(connection: sa.Connection) -> bool:
    return connection.dialect.name == "sqlite" and not connection.dialect.is_async


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


def _rows(connection: sa.Connection, text: str, given: list[Any]) -> Iterable[Any]:
    with _wrapped(connection):
        yield from _driver(connection).execute(text, given)


@contextmanager
def _wrapped(connection: sa.Connection) -> Iterator[None]:
    """The driver's errors as SQLAlchemy raises them, without statements and values."""
    try:
        yield
    except sqlite3.Error as error:
        raise sa.exc.DBAPIError.instance("", None, error, sqlite3.Error, dialect=connection.dialect) from error


@lru_cache(KEPT_TEXTS)
def _text_of(statement: Select) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    compiled = statement.compile(dialect=_DIALECT)
    to_come = {name: None for name, parameter in compiled.binds.items() if parameter.required}
    expanded = compiled.construct_expanded_state(to_come)
    return expanded.statement, tuple(expanded.positiontup or ()), dict(expanded.parameters)


@lru_cache(KEPT_TEXTS)
def _text_among(statement: Select, name: str, count: int) -> str:
    expanded = statement.compile(dialect=_DIALECT).construct_expanded_state({name: [""] * count})
    if len(expanded.positiontup or ()) != count:
        raise ValueError("The statement has other parameters than the list.")
    return expanded.statement


@lru_cache(KEPT_TEXTS)
def _text_with(statement: sa.Insert | sa.Update, given: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    names = None if isinstance(statement, sa.Update) else list(given)
    compiled = statement.compile(dialect=_DIALECT, column_keys=names)
    return str(compiled), tuple(compiled.positiontup or ())
