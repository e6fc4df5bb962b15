"""End a statement that takes too long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

SQLITE_INTERRUPT = 9
QUERY_CANCELED = "57014"
STEPS_BETWEEN_CHECKS = 20_000
"""Virtual machine steps of SQLite, together about a millisecond."""


@contextmanager
def time_limit(connection: sa.Connection, limit_s: float) -> Iterator[None]:
    """Whatever the statements inside do, they are stopped when the time is over.

    Raises
    ------
    TimeoutError
        They were stopped; the transaction can only be rolled back.
    """
    if connection.dialect.name == "postgresql":
        with _on_postgresql(connection, limit_s):
            yield
        return
    driver: Any = connection.connection.driver_connection
    deadline_s = time.monotonic() + limit_s
    driver.set_progress_handler(lambda: time.monotonic() > deadline_s, STEPS_BETWEEN_CHECKS)
    try:
        yield
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == SQLITE_INTERRUPT:
            raise TimeoutError from error
        raise
    finally:
        driver.set_progress_handler(None, 0)


@contextmanager
def _on_postgresql(connection: sa.Connection, limit_s: float) -> Iterator[None]:
    """The limit is each statement's, and the transaction's own: it goes with it."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(limit_s * 1000))}")
    try:
        yield
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == QUERY_CANCELED:
            raise TimeoutError from error
        raise
