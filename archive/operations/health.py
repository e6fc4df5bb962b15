"""`/health/live`, `/health/ready`: whether the process answers, and whether it can do its work."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from archive.database.engine import Connection, Database
from archive.errors import LightboxError
from archive.identifiers import Digest
from archive.index.inventory import find_newest_blobs
from archive.jobs.scrub import Progress
from archive.store.contract import Store

PROBE_S = 5.0
"""A disk or a database that has not answered by then counts as one that does not."""
KEPT_S = 1.0
GOOD = "ok"


class Readiness:
    """Tries the database and the store; remembers what it found for a second."""

    def __init__(self, database: Database, store: Store, scrub_state: Path) -> None:
        self._database, self._store, self._scrub_state = database, store, scrub_state
        self._lock = asyncio.Lock()
        self._kept: tuple[float, dict[str, str]] | None = None

    async def look(self) -> dict[str, str]:
        """Each part, and "ok" or what is wrong with it."""
        async with self._lock:
            now_s = asyncio.get_running_loop().time()
            if self._kept is None or now_s - self._kept[0] > KEPT_S:
                self._kept = (now_s, await self._look())
            return self._kept[1]

    async def scrub(self) -> dict[str, float]:
        """When all files had last been read (seconds since 1970), and how many damaged ones were found."""
        progress = await asyncio.to_thread(Progress.load, self._scrub_state)
        return {"completed": progress.completed_s, "damaged": len(progress.damaged)}

    async def _look(self) -> dict[str, str]:
        return {
            "database": await _tried(
                lambda: self._database.write(_touch_nothing), "The database cannot be read or written."
            ),
            "store_writable": await _tried(
                lambda: asyncio.to_thread(self._write), "The store cannot be written: its disk is full or read-only."
            ),
            "store_readable": await _tried(self._read, "The files that were stored last cannot be found."),
        }

    def _write(self) -> None:
        draft = self._store.begin()
        try:
            draft.write(b"ready?")
        finally:
            draft.discard()

    async def _read(self) -> None:
        """One of the newest files is there: a damaged one was set aside and says nothing of the others."""
        newest = await self._database.read(find_newest_blobs)
        if newest and not await asyncio.to_thread(self._is_any_there, newest):
            raise FileNotFoundError

    def _is_any_there(self, digests: list[Digest]) -> bool:
        return any(_is_there(self._store, digest) for digest in digests)


READINESS: web.AppKey[Readiness] = web.AppKey("READINESS", Readiness)


def routes() -> list[web.RouteDef]:
    return [web.get("/health/live", get_live), web.get("/health/ready", get_ready)]


async def get_live(request: web.Request) -> web.Response:
    """Whether the process answers at all."""
    return web.json_response({"status": "live"})


async def get_ready(request: web.Request) -> web.Response:
    """Whether requests can be served; 503 and what is wrong where they cannot."""
    readiness = request.app[READINESS]
    parts = await readiness.look()
    is_ready = set(parts.values()) == {GOOD}
    body = {"status": "ready" if is_ready else "not ready", **parts, "scrub": await readiness.scrub()}
    return web.json_response(body, status=200 if is_ready else 503)


def _touch_nothing(_connection: Connection) -> None:
    """A transaction that takes the write lock, and ends."""


async def _tried(work: Callable[[], Awaitable[None]], wrong: str) -> str:
    try:
        async with asyncio.timeout(PROBE_S):
            await work()
    except (LightboxError, OSError, TimeoutError):
        return wrong
    return GOOD


def _is_there(store: Store, digest: Digest) -> bool:
    try:
        store.written_s(digest)
    except LightboxError:
        return False
    return True
