"""Copies of stored frames in lossless HTJ2K, made after storing or by command: one instance after another.

What waits stands in a table that the store's own transaction writes, so a server that ends forgets nothing. An
instance may be copied any number of times, by several processes at once: the copy is the same, and a settled one is
left alone.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from archive.database.engine import Database
from archive.errors import StoreError, StoreUnreachableError, UnprocessableError
from archive.identifiers import Digest
from archive.index.uncopied import Waiting, count_images, find_images, find_uncopied, settle_copies
from archive.instances import FrameLayout, Instance
from archive.store.contract import Store
from wado.pixels.copies import CopyDraft, FrameCopies
from wado.pixels.exact import takes_exact_copy
from wado.pixels.pool import PixelPool
from wado.pixels.source import FrameSource
from wado.pixels.syntaxes import WAVELET

LOOK_EVERY_S = 2.0
NICENESS = 19
SLOWNESS = 20
"""How many times longer a frame may take here than for a reader: these processes run when no other wants to."""
DECODED_SLOWLY = 1.25
"""A copy of JPEG 2000 may be so much larger than what is stored: it is decoded ten times as fast."""

log = logging.getLogger("lightbox.copying")


class Outcome(StrEnum):
    COPIED = "copied"
    THERE = "there"
    """It was settled before."""
    NONE = "none"
    """Its frames are not copied: they are lossy, HTJ2K already, not smaller as HTJ2K, or HTJ2K cannot hold them."""
    DAMAGED = "damaged"
    """The stored bytes are missing or not those that were saved."""


@dataclass(frozen=True, slots=True)
class Copier:
    """What making copies needs."""

    database: Database
    store: Store
    copies: FrameCopies
    pool: PixelPool

    async def copy_instance(self, instance: Instance) -> Outcome:
        """Copy the frames of one instance, and settle it. Raises BusyError, StorageFullError, StoreUnreachableError."""
        outcome = await self._copy(instance)
        await self.settle([instance.digest])
        return outcome

    async def copy_waiting(self, waiting: Iterable[Waiting]) -> None:
        """Copy what waits, and settle it together. Raises as `copy_instance`; what was not settled is found again."""
        settled: list[Digest] = []
        try:
            for one in waiting:
                if one.instance is not None and await self._copy(one.instance) is Outcome.DAMAGED:
                    log.error("An instance could not be copied: its file is damaged.", extra={"digest": one.digest})
                settled.append(one.digest)
        finally:
            await self.settle(settled)

    async def copy_page(self, images: Sequence[Instance], at_once: int) -> AsyncIterator[Outcome]:
        """Copy some instances, so many at the same time, and settle them together. Raises as `copy_instance`."""
        turns = asyncio.Semaphore(at_once)
        settled: list[Digest] = []

        async def copy(instance: Instance) -> Outcome:
            async with turns:
                outcome = await self._copy(instance)
            settled.append(instance.digest)
            return outcome

        tasks = [asyncio.create_task(copy(instance)) for instance in images]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.settle(settled)

    async def settle(self, digests: list[Digest]) -> None:
        """Strike out what waited. What was purged meanwhile keeps no copy."""
        for unnamed in await self.database.write_batch(settle_copies, digests) if digests else ():
            self.store.remove_derived(unnamed)

    async def _copy(self, instance: Instance) -> Outcome:
        digest = instance.digest
        if not is_copied(instance):
            return Outcome.NONE
        if await asyncio.to_thread(self.copies.is_settled, digest):
            return Outcome.THERE
        try:
            path = await asyncio.to_thread(self.store.path_of, digest)
            if await asyncio.to_thread(_digest_of, path) != digest:
                return Outcome.DAMAGED
            with await asyncio.to_thread(self.copies.begin, digest, instance.frames.count) as draft:
                return await self._fill(draft, instance, path)
        except StoreUnreachableError:
            raise
        except (StoreError, FileNotFoundError):
            return Outcome.DAMAGED

    async def _fill(self, draft: CopyDraft, instance: Instance, path: Path) -> Outcome:
        if instance.pixels is None:
            return Outcome.NONE
        most_bytes = min(_worthwhile_bytes(instance), self.copies.limit_bytes)
        source = FrameSource(path, instance.digest, instance.pixels, instance.frames, instance.transfer_syntax_uid)
        try:
            for frame_index in range(instance.frames.count):
                frame = await self.pool.copy_frame(source, frame_index)
                if draft.frames_bytes + len(frame) > most_bytes:
                    raise UnprocessableError("The copy is larger than it is worth.")
                await asyncio.to_thread(draft.add, frame)
        except UnprocessableError:
            await asyncio.to_thread(self.copies.note_none, instance.digest)
            return Outcome.NONE
        await asyncio.to_thread(draft.keep)
        return Outcome.COPIED


def patient_pool(workers: int, frame_timeout_s: float) -> PixelPool:
    """Codec processes that work when nobody else on the machine wants to. `frame_timeout_s` is a reader's."""
    return PixelPool(workers=workers, frame_timeout_s=frame_timeout_s * SLOWNESS, niceness=NICENESS)


async def keep_copying(database: Database, store: Store, copies: FrameCopies, frame_timeout_s: float) -> None:
    """Copy what waits, one frame at a time; never ends."""
    while True:
        waiting = await database.read(find_uncopied)
        if waiting:
            async with patient_pool(1, frame_timeout_s) as pool:
                while waiting:
                    await Copier(database, store, copies, pool).copy_waiting(waiting)
                    waiting = await database.read(find_uncopied)
        await asyncio.sleep(LOOK_EVERY_S)


async def copy_stored(copier: Copier, study_uid: str | None, at_once: int) -> AsyncIterator[tuple[int, Outcome]]:
    """Copy what is stored already, in a study or in all: how many images there are, and what became of each.

    Begun again, it passes over what is settled.
    """
    total = await copier.database.read(count_images, study_uid)
    page = await copier.database.read(find_images, study_uid, 0)
    while page.images:
        async for outcome in copier.copy_page(page.images, at_once):
            yield total, outcome
        page = await copier.database.read(find_images, study_uid, page.last_id)


def is_copied(instance: Instance) -> bool:
    """Whether frames like those of the instance are copied."""
    return (
        instance.pixels is not None
        and instance.frames.count > 0
        and instance.frames.layout in (FrameLayout.NATIVE, FrameLayout.FRAGMENTS)
        and takes_exact_copy(instance.transfer_syntax_uid, instance.pixels)
    )


def _worthwhile_bytes(instance: Instance) -> int:
    """How large a copy may be: smaller than what is stored, or decoded so much quicker."""
    frames = instance.frames
    stored_bytes = frames.count * frames.frame_bits // 8
    if frames.layout is FrameLayout.FRAGMENTS:
        stored_bytes = sum(span.length_bytes for spans in frames.spans for span in spans)
    return int(stored_bytes * (DECODED_SLOWLY if instance.transfer_syntax_uid in WAVELET else 1.0))


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
