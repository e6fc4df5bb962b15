"""PostgreSQL: one database for any number of hosts, spoken to by asyncpg in the event loop.

What SQLite's single writer promises holds here too: a writing transaction first takes a lock that all hosts share, so
that what it has read stays so until it ends. It is the transaction's own lock, and goes with a host that dies.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from archive.database.contract import DAMAGED, WAIT_S, Database, P, T, Work
from archive.database.snapshots import KeptResults, share_results
from archive.errors import BusyError, LightboxError, StorageFullError, StoreError, StoreUnreachableError

READERS = 8
CONNECT_S = 10.0
ANSWER_S = 600.0
"""No statement of ours takes so long: whoever has not answered by then is gone."""
IDLE_IN_TRANSACTION_S = 60
"""A host that stands still inside a transaction loses it, and the lock with it, after so long."""
LOOK_EVERY_S = 2.0
"""How often the holder of a turn sees that it still holds it."""
WRITER_LOCK = 0x4C69676874626F78
"""What all hosts agree on for writing: "Lightbox" in bytes."""
MIGRATION_LOCK = WRITER_LOCK + 1
_LOCK_WRITER = sa.text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
UNREACHABLE = "The database does not answer."
SHORTAGES = ("40", "53300", "55P03", "57014")
"""What passes: a lost race, no connection left, a lock or a statement that took too long."""
LOST = ("08", "57P")
REFUSALS = ("28", "3D")
DISK_FULL, DAMAGES, READ_ONLY = "53100", "XX00", "25006"
DATA = "22"
"""A value that a column cannot hold, such as a text with a NUL."""


class PostgreSQLDatabase(Database):
    """The database at `url`, postgresql://user:password@host:port/name."""

    def __init__(self, url: str, wait_s: float = WAIT_S) -> None:
        self._url, self._wait_s = url, wait_s
        kept = KeptResults()
        waits = {"pool_timeout": wait_s, "max_overflow": 0}
        one_moment = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = _engine(url, wait_s, pool_size=READERS, **waits)
        self._reading = self._reading.execution_options(**one_moment)
        # One writer in each process: what waits for the lock of all hosts waits here, not in a connection each.
        self._writing = _engine(url, wait_s, pool_size=1, **waits)
        self._write_lock = asyncio.Lock()
        for engine in (self._reading, self._writing):

            @sa.event.listens_for(engine.sync_engine, "connect")
            def connect(_connection: Any, record: Any) -> None:
                share_results(record.info, kept)

    async def read(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        with told_plainly():
            async with self._reading.connect() as connection:
                return await connection.run_sync(lambda sync: work(sync, *args, **kwargs))

    async def keyed(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.read(work, *args, **kwargs)

    async def write(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.shield(asyncio.ensure_future(self._write(work, *args, **kwargs)))

    async def write_batch(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.write(work, *args, **kwargs)

    async def _write(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._write_lock:
            with told_plainly():
                async with self._writing.begin() as connection:
                    await connection.execute(_LOCK_WRITER)
                    return await connection.run_sync(lambda sync: work(sync, *args, **kwargs))

    def turn(self, name: str, /) -> AbstractAsyncContextManager[bool]:
        return self._turn(name)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[bool]:
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        engine = _engine(self._url, self._wait_s, poolclass=NullPool).execution_options(isolation_level="AUTOCOMMIT")
        with told_plainly():
            async with engine.connect() as connection:
                taken = await connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": key})
                if not taken.scalar_one():
                    yield False
                    return
                async with _watched(connection):
                    yield True

    async def size_bytes(self) -> int:
        size = sa.select(sa.func.pg_database_size(sa.func.current_database()))
        return await self.read(lambda connection: int(connection.execute(size).scalar_one()))

    async def close(self) -> None:
        async with self._write_lock:
            await self._writing.dispose()
        await self._reading.dispose()


@asynccontextmanager
async def _watched(connection: AsyncConnection) -> AsyncIterator[None]:
    """Break the block off when the connection is lost: with it went the lock, and another host has the turn."""
    doing = asyncio.current_task()
    lost: list[BaseException] = []

    async def watch() -> None:
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                async with asyncio.timeout(CONNECT_S):
                    await connection.execute(sa.text("SELECT 1"))
        except (sa.exc.DBAPIError, OSError) as error:
            lost.append(error)
            if doing is not None:
                doing.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not lost or doing is None:
            raise
        doing.uncancel()
        raise StoreUnreachableError(UNREACHABLE) from lost[0]
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _engine(url: str, wait_s: float, **options: Any) -> AsyncEngine:
    settings = {
        "application_name": "lightbox",
        "jit": "off",  # a plan is compiled for longer than our statements run
        "lock_timeout": f"{int(wait_s * 1000)}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S * 1000}",
        "synchronous_commit": "on",  # a commit survives a power cut, whatever the server's own setting says
        "timezone": "UTC",
        # A host that is cut off is noticed within half a minute, and what it held is free.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
    arguments: dict[str, Any] = {"server_settings": settings, "timeout": CONNECT_S, "command_timeout": ANSWER_S}
    made = sa.make_url(url).set(drivername="postgresql+asyncpg")
    mode = made.query.get("sslmode")
    if mode is not None:
        made = made.difference_update_query(["sslmode"])
        arguments["ssl"] = ssl.create_default_context() if mode == "verify-full" else mode
    return create_async_engine(made, connect_args=arguments, pool_pre_ping=True, **options)


@asynccontextmanager
async def connected(url: str, *, alone: bool) -> AsyncIterator[AsyncConnection]:
    """A connection for migrations and moves; `alone` among all hosts that ask so."""
    engine = _engine(url, WAIT_S, poolclass=NullPool)
    with told_plainly():
        async with engine.connect() as connection:
            if alone:
                await connection.execute(sa.text(f"SELECT pg_advisory_lock({MIGRATION_LOCK})"))
                await connection.commit()
            yield connection


class told_plainly:  # noqa: N801 - used as a statement, like contextlib's own
    """Turn the driver's errors into ours; statements, values and addresses stay out of the message."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, LightboxError):
            return
        if isinstance(error, OSError | sa.exc.TimeoutError) and not isinstance(error, sa.exc.DBAPIError):
            # Of the pool: no connection came free. Of the system: nobody answers. A unit of work opens no files.
            if isinstance(error, sa.exc.TimeoutError):
                raise BusyError("The database is busy.") from error
            raise StoreUnreachableError(UNREACHABLE) from error
        if not isinstance(error, sa.exc.DBAPIError):
            return
        code = str(getattr(error.orig, "sqlstate", None) or "")
        if code == DISK_FULL:
            raise StorageFullError("The disk of the database is full.") from error
        if error.connection_invalidated or code.startswith(LOST) or isinstance(error, sa.exc.InterfaceError):
            raise StoreUnreachableError(UNREACHABLE) from error
        if code.startswith(REFUSALS):
            raise StoreError("The database of database_url is not there, or does not let this server in.") from error
        if code.startswith(SHORTAGES):
            raise BusyError("The database is busy.") from error
        if code.startswith(DAMAGES):
            raise StoreError(DAMAGED) from error
        if code.startswith(DATA):
            raise ValueError("A value cannot be kept in the database.") from error
        if code == READ_ONLY:
            raise StoreError("The database cannot be written: it is read-only.") from error
