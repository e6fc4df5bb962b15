"""SQLite: the embedded database, one file in the data folder.

* `write` goes through aiosqlite, one transaction at a time in this process; other processes wait on SQLite's lock.
* `write_batch` does the same in a thread of its own: quicker for units of many statements, as an ingest's.
* `read` runs in a small pool of reader threads: for scans, wildcards and whatever may take long.
* `keyed` runs in the event loop itself: a look-up by key takes some 30 µs, a thread hop costs several times that.
"""

import asyncio
import functools
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool, StaticPool

from archive.database.contract import DAMAGED, WAIT_S, Database, P, T, Work
from archive.database.snapshots import KeptResults, share_results
from archive.errors import BusyError, StorageFullError, StoreError

READER_THREADS = 4
LOOP_WAIT_MS = 100
"""The same in the event loop, where everybody waits: readers meet a lock only where somebody takes the whole file."""
CACHE_KIB = 16_384
"""Of each connection; what is read often lies in the system's cache, which is mapped (`MMAP_BYTES`)."""
MMAP_BYTES = 1 << 30
MOVED = "The archive has moved to another database; the server has to be restarted with database_url."
SQLITE_FULL, SQLITE_IOERR, SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_READONLY = 13, 10, 5, 11, 8
SQLITE_LOCKED, SQLITE_CANTOPEN, SQLITE_NOTADB = 6, 14, 26
SQLITE_IOERR_SHMSIZE = 4874


class SQLiteDatabase(Database):
    """The file at `path`; another process's lock is waited for as long as `wait_s`, then work fails with BusyError."""

    def __init__(self, path: Path, wait_s: float = WAIT_S) -> None:
        self._path = path
        self._reading = sa.create_engine(
            f"sqlite:///{path}",
            poolclass=QueuePool,
            pool_size=READER_THREADS + 1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": wait_s},
        )
        prepare(self._reading, writing=False)
        self._writing = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            poolclass=StaticPool,
            connect_args={"timeout": wait_s},
        )
        prepare(self._writing.sync_engine, writing=True)
        self._write_lock = asyncio.Lock()
        self._batching = sa.create_engine(
            f"sqlite:///{path}",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "timeout": wait_s},
        )
        prepare(self._batching, writing=True)
        self._batch_writer = ThreadPoolExecutor(1, thread_name_prefix="database-write")
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="database-read")
        self._loop_connection: sa.Connection | None = None

    async def read(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(self._read_now, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def keyed(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading unit of work that only looks rows up by key; short by promise."""
        with told_plainly():
            if self._loop_connection is None:
                self._loop_connection = self._reading.connect()
                self._loop_connection.exec_driver_sql(f"PRAGMA busy_timeout={LOOP_WAIT_MS}")
            connection = self._loop_connection
            try:
                return work(connection, *args, **kwargs)
            finally:
                connection.rollback()

    async def write(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a writing unit of work; when this returns, its changes are on the disk.

        Not cancellable once begun: a client that goes away must not leave the connection inside a transaction.
        """
        return await asyncio.shield(asyncio.ensure_future(self._write(work, *args, **kwargs)))

    async def write_batch(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`write` for units of many statements: in a thread of its own, without a hop for each statement."""
        call = functools.partial(self._write_batch_now, work, *args, **kwargs)
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._batch_writer, call))

    def turn(self, name: str, /) -> None:
        return None

    async def size_bytes(self) -> int:
        """The file with its log and the index of its log."""
        parts = (self._path.with_name(self._path.name + tail) for tail in ("", "-wal", "-shm"))
        return await asyncio.to_thread(lambda: sum(part.stat().st_size for part in parts if part.exists()))

    async def close(self) -> None:
        if self._loop_connection is not None:
            self._loop_connection.close()
        self._readers.shutdown(wait=True)
        self._reading.dispose()
        self._batch_writer.shutdown(wait=True)
        self._batching.dispose()
        async with self._write_lock:
            await self._writing.dispose()

    def _read_now(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        with told_plainly(), self._reading.connect() as connection:
            return work(connection, *args, **kwargs)

    def _write_batch_now(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        with told_plainly(), self._batching.begin() as connection:
            return work(connection, *args, **kwargs)

    async def _write(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._write_lock:
            with told_plainly():
                async with self._writing.begin() as connection:
                    return await connection.run_sync(lambda sync: work(sync, *args, **kwargs))


class told_plainly:  # noqa: N801 - used as a statement, like contextlib's own
    """Turn the driver's errors into ours; statements and values stay out of the message."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        fault = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if not isinstance(fault, sqlite3.Error):
            return
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code == SQLITE_FULL or _is_out_of_room(fault):
            raise StorageFullError("The disk of the database is full.") from error
        if MOVED in str(fault):
            raise BusyError(MOVED, retry_after_s=30) from error
        if code in (SQLITE_BUSY, SQLITE_LOCKED):
            raise BusyError("The database is busy.") from error
        if code in (SQLITE_CORRUPT, SQLITE_NOTADB):
            raise StoreError(DAMAGED) from error
        if code == SQLITE_READONLY:
            raise StoreError("The database cannot be written: its disk or its file is read-only.") from error
        if code in (SQLITE_IOERR, SQLITE_CANTOPEN):
            raise StoreError("The database cannot be read or written.") from error


def _is_out_of_room(error: sqlite3.Error) -> bool:
    """The shared memory beside the database could not grow: that is told as a fault of the disk."""
    return getattr(error, "sqlite_errorcode", 0) == SQLITE_IOERR_SHMSIZE


def prepare(engine: sa.Engine, *, writing: bool) -> None:
    """Set the pragmas of each new connection and make transactions begin where SQLAlchemy says they do."""

    kept = KeptResults()

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        share_results(record.info, kept)
        connection.isolation_level = None  # the driver begins nothing by itself
        cursor = connection.cursor()
        # FULL: a commit survives a power cut. The default says so too; this says it aloud.
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size=-{CACHE_KIB}",
            f"mmap_size={MMAP_BYTES}",
            "temp_store=MEMORY",
            "case_sensitive_like=ON",
            *(() if writing else ("query_only=ON",)),
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # IMMEDIATE takes the write lock at once: no transaction fails half-way because another came first.
        driver: Any = connection.connection.driver_connection
        if writing:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            driver.execute("BEGIN")  # as above, in a tenth of the time: most requests begin a reading transaction
