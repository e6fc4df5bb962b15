"""`/health/live`, `/health/ready`: whether the process answers, and whether it can do its work."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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
STALE_S = 5.0
"""What was found is told for so long while somebody looks anew: whoever asks does not wait for a disk that is busy."""
GOOD = "ok"


@dataclass(frozen=True, slots=True)
class Found:
    """Each part, and "ok" or what is wrong with it.

    `scrub`: when all files had last been read, in seconds since 1970, and how many damaged ones were found.
    """

    parts: Mapping[str, str]
    scrub: Mapping[str, float]


class Readiness:
    """Tries the database and the store, at most once a second, and remembers what it found."""

    def __init__(self, database: Database, store: Store, scrub_state: Path) -> None:
        self._database, self._store, self._scrub_state = database, store, scrub_state
        self._found: tuple[float, Found] | None = None
        self._looking: asyncio.Task[Found] | None = None

    async def look(self) -> Found:
        """What was found at most `STALE_S` ago."""
        age_s = asyncio.get_running_loop().time() - self._found[0] if self._found is not None else math.inf
        if age_s > KEPT_S and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_anew())
        if self._found is not None and age_s <= STALE_S:
            return self._found[1]
        assert self._looking is not None
        return await asyncio.shield(self._looking)

    async def close(self) -> None:
        if self._looking is not None:
            await asyncio.wait([self._looking])

    async def _look_anew(self) -> Found:
        progress = await asyncio.to_thread(Progress.load, self._scrub_state)
        scrub = {"completed": progress.completed_s, "damaged": len(progress.damaged)}
        found = Found(await self._look(), scrub)
        self._found = (asyncio.get_running_loop().time(), found)
        return found

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
    found = await request.app[READINESS].look()
    is_ready = set(found.parts.values()) == {GOOD}
    body = {"status": "ready" if is_ready else "not ready", **found.parts, "scrub": dict(found.scrub)}
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
