"""Read every blob that the index names and compare it with its SHA-256: slowly for ever, or once by command.

What is damaged is set aside in the store's quarantine and no longer served; sending the instance again heals it. Where
the reading stands is kept in a file beside the database, so that it goes on there after a restart.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from archive.database.engine import Database
from archive.errors import StoreError, StoreUnreachableError
from archive.identifiers import Digest
from archive.index.inventory import NamedBlob, find_named_blobs
from archive.store.contract import Store

KEPT_DAMAGES = 100
SAVE_EVERY_S = 5.0
DAY_S = 86_400.0
LOOK_AGAIN_S = 600.0
"""How soon a scrub looks again whether there is something to read."""
log = logging.getLogger("lightbox.scrub")


@dataclass(slots=True)
class Progress:
    """Where a scrub stands. Times are seconds since 1970, UTC; 0 where it has not happened.

    `position` is the last blob that was read, in the order of digests; "" between two rounds. `damaged` are SOP
    Instance UIDs that were found in this round or the last whole one, at most `KEPT_DAMAGES`.
    """

    position: str = ""
    started_s: float = 0.0
    completed_s: float = 0.0
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "Progress":
        """What was saved; a new beginning where nothing was, or nothing readable."""
        try:
            return cls(**orjson.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        draft = path.with_suffix(".new")
        draft.write_bytes(orjson.dumps(asdict(self)))
        draft.replace(path)


@dataclass(frozen=True, slots=True)
class Checked:
    """One blob that was read. `fault` is "" where its bytes are those that were saved."""

    blob: NamedBlob
    fault: str


class Scrub:
    """A round over all blobs. `quick` only looks whether they are there; a rate of 0 is as quick as the disk."""

    def __init__(self, database: Database, store: Store, state: Path, *, quick: bool = False) -> None:
        self.state = state
        self._database, self._store, self._quick = database, store, quick

    async def blobs(self, *, restart: bool) -> list[NamedBlob]:
        """What is left of the round, in the order in which it is read."""
        progress = Progress() if restart else Progress.load(self.state)
        named = sorted(await self._database.read(find_named_blobs), key=lambda blob: blob.digest)
        return [blob for blob in named if blob.digest > progress.position]

    async def read(self, blobs: Sequence[NamedBlob], bytes_per_s: float, *, restart: bool) -> AsyncIterator[Checked]:
        """Read the blobs, give each, and keep where it stands."""
        progress = Progress() if restart else Progress.load(self.state)
        if not progress.position:
            progress = Progress(started_s=time.time(), completed_s=progress.completed_s)
        saved_s = 0.0
        try:
            for blob in blobs:
                began_s = time.monotonic()
                fault = await asyncio.to_thread(find_fault, self._store, blob.digest, self._quick)
                progress.position = blob.digest
                if fault:
                    progress.damaged = [*progress.damaged, *blob.instance_uids][:KEPT_DAMAGES]
                yield Checked(blob, fault)
                if time.monotonic() - saved_s > SAVE_EVERY_S:
                    await asyncio.to_thread(progress.save, self.state)
                    saved_s = time.monotonic()
                if bytes_per_s:
                    rest_s = blob.length_bytes / bytes_per_s - (time.monotonic() - began_s)
                    await asyncio.sleep(max(0.0, rest_s))
            progress.position, progress.completed_s = "", time.time()
        finally:
            progress.save(self.state)


def find_fault(store: Store, digest: Digest, is_quick: bool) -> str:
    """What is wrong with a blob, "" where nothing is; what is damaged is set aside.

    `is_quick` only looks whether it is there. Raises StoreUnreachableError when nothing can be known of it.
    """
    try:
        if is_quick:
            store.written_s(digest)
        else:
            store.check(digest)
    except StoreUnreachableError:
        raise  # the round goes on when the store answers again
    except StoreError as error:
        _set_aside(store, digest)
        return error.message
    return ""


def _set_aside(store: Store, digest: Digest) -> None:
    try:
        store.quarantine(digest)
    except StoreError:
        return  # it is missing: there is nothing to set aside


async def keep_scrubbing(scrub: Scrub, days: float) -> None:
    """Read everything once in so many days, and begin again."""
    while True:
        await _one_round(scrub, days)
        await asyncio.sleep(LOOK_AGAIN_S)


async def _one_round(scrub: Scrub, days: float) -> None:
    progress = Progress.load(scrub.state)
    if not progress.position and time.time() < progress.started_s + days * DAY_S:
        return  # this round's time is not over
    blobs = await scrub.blobs(restart=False)
    left_s = days * DAY_S - (time.time() - progress.started_s if progress.position else 0.0)
    bytes_per_s = sum(blob.length_bytes for blob in blobs) / max(left_s, DAY_S)
    async for checked in scrub.read(blobs, bytes_per_s, restart=False):
        if checked.fault:
            named = {"digest": checked.blob.digest, "instances": checked.blob.instance_uids[:KEPT_DAMAGES]}
            log.critical("A stored instance is damaged and was set aside.", extra=named)
