"""All rows of one database copied into an empty one of the other kind, and compared one by one.

The copy is one transaction: it is there whole or not at all. Of SQLite nobody writes meanwhile, and what has moved is
never written again; of PostgreSQL one moment is copied while others write.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from archive.database import access_tables, all_tables, index_tables
from archive.database.engine import Place, migrate, on_connection
from archive.database.schema import metadata
from archive.database.sqlite import MOVED
from archive.errors import ConflictError, StoreError

AT_ONCE = 500
assert all_tables.MODULES, "what is to be copied is known"
VERBS = ("INSERT", "UPDATE", "DELETE")
Tell = Callable[[str, int], None]
"""Takes a table's name and how many of its rows were copied or compared more."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied and found equal. `nul_texts` held a NUL, which PostgreSQL cannot keep: it was left out."""

    tables: int
    rows: int
    nul_texts: int


def copy_rows(source: Place, target: Place, tell: Tell, *, moves: bool = False) -> Moved:
    """Copy every row and compare. With `moves` SQLite, the source, takes no more writes afterwards.

    Raises
    ------
    ConflictError
        The target holds rows already.
    StoreError
        A row of the copy is not that of the source; nothing was copied.
    """
    migrate(source)
    migrate(target)
    # SQLite's connection stays in the thread that it was opened in: that of PostgreSQL's.
    outer, inner = (target, source) if isinstance(source, Path) else (source, target)

    def with_outer(one: sa.Connection) -> Moved:
        def with_inner(other: sa.Connection) -> Moved:
            reading, writing = (one, other) if outer is source else (other, one)
            if reading.dialect.name == "postgresql":
                reading.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            moved = _copy(reading, writing, tell)
            writing.commit()
            if moves:
                _close(reading)
            return moved

        return on_connection(inner, with_inner, alone=inner is target)

    return on_connection(outer, with_outer, alone=outer is target)


def require_empty(place: Place) -> None:
    """Bring a database to this program's schema. Raises ConflictError when it holds rows already."""
    migrate(place)
    on_connection(place, _refuse_rows)


def _refuse_rows(connection: sa.Connection) -> None:
    for table in _tables():
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
            raise ConflictError("The database that rows are to be copied into holds some already: name an empty one.")


def _tables() -> list[sa.Table]:
    """Those that are copied: each after those that it names. Triggers fill in the totals."""
    return [table for table in metadata.sorted_tables if table is not index_tables.index_totals]


def _copy(reading: sa.Connection, writing: sa.Connection, tell: Tell) -> Moved:
    tables = _tables()
    _refuse_rows(writing)
    rows = nul_texts = 0
    for table in tables:
        for page in _pages(reading, table):
            kept = [_without_nul(row) for row in page]
            nul_texts += sum(one != other for one, other in zip(page, kept, strict=True))
            writing.execute(sa.insert(table), [dict(zip(table.c.keys(), row, strict=True)) for row in kept])
            rows += len(page)
            tell(table.name, len(page))
    for table in tables:
        _compare(reading, writing, table, tell)
        _go_on_counting(writing, table)
    _compare_totals(reading, writing)
    return Moved(len(tables), rows, nul_texts)


def _ordered(table: sa.Table) -> sa.Select[*tuple[Any, ...]]:
    """The rows in an order in which each comes after those that it names."""
    first = [table.c.created_ms] if table is access_tables.shares else []
    return sa.select(table).order_by(*first, *table.primary_key.columns)


def _pages(connection: sa.Connection, table: sa.Table) -> Iterator[list[tuple[Any, ...]]]:
    found = connection.execute(_ordered(table).execution_options(yield_per=AT_ONCE))
    for page in found.partitions():
        yield [tuple(row) for row in page]


def _without_nul(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.replace("\0", "") if isinstance(value, str) else value for value in row)


def _compare(one: sa.Connection, other: sa.Connection, table: sa.Table, tell: Tell) -> None:
    pages = (_pages(one, table), _pages(other, table))
    nothing: list[tuple[Any, ...]] = []
    for mine, theirs in zip_longest(*pages, fillvalue=nothing):
        if [_without_nul(row) for row in mine] != theirs:
            raise StoreError(f"A row of {table.name} is not in the copy as it was; nothing was copied.")
        tell(table.name, len(mine))


def _compare_totals(one: sa.Connection, other: sa.Connection) -> None:
    totals = index_tables.index_totals.c
    query = sa.select(totals.study_count, totals.series_count, totals.instance_count)
    if one.execute(query).all() != other.execute(query).all():
        raise StoreError("The totals of the copy are not those of the source; nothing was copied.")


def _go_on_counting(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL gives out the next number of a key from a sequence, which knows nothing of rows that were copied."""
    (key, *others) = table.primary_key.columns
    if connection.dialect.name != "postgresql" or others or not isinstance(key.type, sa.Integer) or key.foreign_keys:
        return
    sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
    connection.execute(sa.select(sa.func.setval(sequence, sa.func.max(key))).select_from(table))


def _close(connection: sa.Connection) -> None:
    """Let every later write fail, also that of a server that runs on the file until it is restarted."""
    for table in metadata.sorted_tables:
        for verb in VERBS:
            connection.exec_driver_sql(
                f'CREATE TRIGGER "moved_{table.name}_{verb.lower()}" BEFORE {verb} ON "{table.name}" '
                f"BEGIN SELECT RAISE(ABORT, '{MOVED}'); END"
            )
    connection.commit()
