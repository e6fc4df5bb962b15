"""The one way in: bytes → durable blob → parsed facts → index.

An upload passes through three steps. `write` takes bytes as they come, `finish` syncs them, reads them and names the
blob, `Ingest.index` syncs the names of a batch of finished uploads and adds it to the index; in the same transaction it
tells the audit trail. What `index` returns as stored is on the disk, indexed and written down: only then may a sender
be told. A crash before that leaves an orphan blob, never a row without one.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from archive.audit import Event, append
from archive.database.engine import Connection, Database
from archive.dicom.coercion import CoercedFile, Coercion, coerce
from archive.dicom.extract import parse_instance
from archive.dicom.part10 import Limits, require_magic
from archive.errors import PayloadTooLargeError, RefusedInstanceError, StoreError, StoreUnreachableError
from archive.identifiers import Digest, StudyUID
from archive.index.inventory import is_named
from archive.index.uncopied import note_uncopied
from archive.index.writer import NewInstance, Outcome, add_instances
from archive.instances import Buffer, ParsedInstance, StoredInstance
from archive.store.checksum import checksum_of
from archive.store.contract import Draft, Store
from archive.store.room import Room

T = TypeVar("T")
log = logging.getLogger("lightbox.ingest")

SPILL_BYTES = 1 << 20
"""An upload is held in memory up to this size, then written on."""
HEAD_BYTES = 132
DISK_THREADS = 4
MAXIMUM_BATCH = 256
"""Instances in one transaction of the index."""
STUDY_MISMATCH = 0xA900
PROCESSING_FAILURE = 0x0110


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """What one instance may be; `parsing` bounds what reading it may cost, `room` is what its disk has to have.

    `coercion` is what is changed in each. `notes_uncopied`: each new image is noted in the index as one whose frames
    are to be copied to HTJ2K.
    """

    instance_bytes: int = 8 << 30
    parsing: Limits = field(default_factory=Limits)
    coercion: Coercion = field(default_factory=Coercion)
    notes_uncopied: bool = False
    room: Room = field(default_factory=Room)


Told = tuple[NewInstance, Event | None]
"""An instance, and the event of the request that brought it."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What waits for the next transaction, and who waits for it."""

    batch: Sequence[NewInstance]
    event: Event | None
    done: "asyncio.Future[list[Outcome]]"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Ingest:
    """Takes instances in, for STOW-RS and for the command line alike."""

    def __init__(
        self, store: Store, database: Database, limits: IngestLimits, now_ms: Callable[[], int] = _now_ms
    ) -> None:
        self._store = store
        self._database = database
        self.limits = limits
        self._now_ms = now_ms
        self._threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="ingest")
        self._waiting: list[_Part] = []
        self._committer: asyncio.Task[None] | None = None

    def begin(self, coercion: Coercion | None = None) -> "Upload":
        """An upload. `coercion` is made in place of the one that `limits` hold, such as to reconcile a patient."""
        limits = self.limits if coercion is None else replace(self.limits, coercion=coercion)
        return Upload(self._store, self._threads, limits, self._now_ms)

    async def read_again(self, digest: Digest, by: str) -> NewInstance:
        """A blob that is stored already, to be indexed anew. Raises StoreError, RefusedInstanceError."""

        def read() -> NewInstance:
            with self._store.contents(digest) as data:
                parsed = parse_instance(data, self.limits.parsing)
                return NewInstance(parsed, digest, len(data), by, checksum=checksum_of(data, digest))

        return await asyncio.get_running_loop().run_in_executor(self._threads, read)

    async def index(self, batch: Sequence[NewInstance], event: Event | None = None) -> list[Outcome]:
        """Add finished uploads to the index; outcomes in the batch's order.

        `event` tells of the store: it is appended to the trail for each study, with the number of instances that are
        acknowledged, in the same transaction. Where the trail cannot be written, nothing is indexed.
        Batches that wait at the same time share one transaction, and so one sync of the index.
        """
        loop = asyncio.get_running_loop()
        # The names of all blobs are on the disk before the first row is: see store/FORMAT.md.
        await loop.run_in_executor(self._threads, self._store.settle, {new.digest for new in batch})
        futures = []
        for start in range(0, len(batch), MAXIMUM_BATCH):
            future: asyncio.Future[list[Outcome]] = loop.create_future()
            self._waiting.append(_Part(batch[start : start + MAXIMUM_BATCH], event, future))
            futures.append(future)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_waiting())
        results = await asyncio.gather(*futures)
        return [outcome for result in results for outcome in result]

    async def _commit_waiting(self) -> None:
        while self._waiting:
            group: list[_Part] = []
            size = 0
            while self._waiting and (not group or size + len(self._waiting[0].batch) <= MAXIMUM_BATCH):
                group.append(self._waiting.pop(0))
                size += len(group[-1].batch)
            batch = [(new, part.event) for part in group for new in part.batch]
            try:
                outcomes = await self._commit(batch)
            except BaseException as error:
                for part in group:
                    if not part.done.done():
                        part.done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for part in group:
                own, outcomes = outcomes[: len(part.batch)], outcomes[len(part.batch) :]
                if not part.done.done():
                    part.done.set_result(own)

    async def _commit(self, batch: Sequence[Told]) -> list[Outcome]:
        """Add a batch. An instance that the index cannot take fails alone: its neighbours may be other people's.

        Raises LightboxError for what befalls them all: no room, a busy or broken database.
        """
        try:
            outcomes = await self._database.write_batch(self._add, batch)
        except (ValueError, TypeError, ArithmeticError) as error:  # a value that the driver cannot bind
            if len(batch) > 1:
                return [outcome for one in batch for outcome in await self._commit([one])]
            log.error("An instance could not be indexed.", extra={"error": type(error).__name__})
            outcomes = [RefusedInstanceError(PROCESSING_FAILURE, "The instance could not be indexed.")]
        await self._drop_spare(batch, outcomes)
        return outcomes

    async def _drop_spare(self, batch: Sequence[tuple[NewInstance, Event | None]], outcomes: Sequence[Outcome]) -> None:
        """Remove what was kept for nothing: refused bytes, and coerced copies of what is there already."""
        for (new, _), outcome in zip(batch, outcomes, strict=True):
            # In a bucket others may be storing the same bytes at this moment: the sweep removes them when they are old.
            is_refused = isinstance(outcome, RefusedInstanceError) and bool(self._store.quick_bytes)
            is_second = isinstance(outcome, StoredInstance) and outcome.already_there
            if is_refused or (is_second and new.original_digest is not None):
                await self.remove_unnamed(new.digest)

    async def remove_unnamed(self, digest: Digest) -> bool:
        """Remove a blob, unless a row names it; whether it was removed."""
        return await self._database.write_batch(remove_unnamed, self._store, digest)

    def _add(self, connection: Connection, batch: Sequence[Told]) -> list[Outcome]:
        """Within the transaction: whoever sweeps blobs that no row names does so in one too, before this or after."""
        there, now_ms = [self._is_there(new.digest) for new, _ in batch], self._now_ms()
        kept = [new for (new, _), is_there in zip(batch, there, strict=True) if is_there]
        added = iter(add_instances(connection, kept, now_ms))
        gone = RefusedInstanceError(PROCESSING_FAILURE, "The bytes were swept away before they were indexed.")
        outcomes = [next(added) if is_there else gone for is_there in there]
        append(connection, _events_of(batch, outcomes), now_ms)
        if self.limits.notes_uncopied:
            note_uncopied(connection, _new_images(batch, outcomes))
        return outcomes

    def _is_there(self, digest: Digest) -> bool:
        if not self._store.quick_bytes:
            # Asking a bucket would hold up every writer. Whoever sweeps looks at the age right before, and what was
            # just uploaded is young.
            return True
        try:
            self._store.written_s(digest)
        except StoreUnreachableError:
            raise
        except StoreError:
            return False
        return True

    async def close(self) -> None:
        if self._committer is not None:
            await self._committer
        self._threads.shutdown(wait=True)


def _events_of(batch: Sequence[Told], outcomes: Sequence[Outcome]) -> list[Event]:
    """One event for each request and study, with the number of its instances that are acknowledged."""
    events = {id(event): event for _, event in batch if event is not None}
    counts = Counter(
        (id(event), new.parsed.study_uid)
        for (new, event), outcome in zip(batch, outcomes, strict=True)
        if event is not None and isinstance(outcome, StoredInstance)
    )
    return [replace(events[key], study_uid=study_uid, count=count) for (key, study_uid), count in counts.items()]


def _new_images(batch: Sequence[Told], outcomes: Sequence[Outcome]) -> list[Digest]:
    return [
        new.digest
        for (new, _), outcome in zip(batch, outcomes, strict=True)
        if new.parsed.pixels is not None and isinstance(outcome, StoredInstance) and not outcome.already_there
    ]


def remove_unnamed(connection: Connection, store: Store, digest: Digest, older_than_s: float = math.inf) -> bool:
    """Remove a blob that was stored before a time, unless a row names it by now.

    A unit of work: an ingest looks for its blob in the transaction that names it, so neither comes between the other's
    look and deed.
    """
    if is_named(connection, digest):
        return False
    with contextlib.suppress(StoreError):  # it is gone already
        if store.written_s(digest) >= older_than_s:
            return False
    store.remove(digest)
    return True


class Upload:
    """One instance on its way in. Ends with exactly one of `finish` and `abort`."""

    def __init__(
        self, store: Store, threads: ThreadPoolExecutor, limits: IngestLimits, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._draft = store.begin()
        self._threads = threads
        self._limits = limits
        self._now_ms = now_ms
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.length_bytes = 0

    async def write(self, chunk: bytes) -> None:
        """Append. Raises PayloadTooLargeError over the limit for one instance."""
        self.length_bytes += len(chunk)
        if self.length_bytes > self._limits.instance_bytes:
            limit = self._limits.instance_bytes
            raise PayloadTooLargeError(f"One instance may have at most {limit} bytes.", limit_bytes=limit)
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes >= SPILL_BYTES:
            await self._in_thread(self._spill)

    async def finish(self, *, study_uid: StudyUID | None, by: str) -> NewInstance:
        """Sync the bytes, read them, give the blob its name.

        Raises
        ------
        RefusedInstanceError
            Not DICOM, cut short, without its UIDs, or not of the study `study_uid`; nothing is left behind.
        StorageFullError
        """
        new = await self._in_thread(self._finish, study_uid)
        return replace(new, stored_by=by)

    async def abort(self) -> None:
        """Leave nothing behind."""
        self._held.clear()
        await self._in_thread(self._draft.discard)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        # Shielded: a client that goes away must not leave a thread writing to a draft that is being discarded.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, work, *args))

    def _spill(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        self._limits.room.require()
        for chunk in held:
            self._draft.write(chunk)

    def _finish(self, study_uid: StudyUID | None) -> NewInstance:
        draft, original = self._draft, None
        try:
            if not draft.length_bytes:
                require_magic(b"".join(self._held)[:HEAD_BYTES])  # what is no DICOM at all costs no file and no sync
            self._spill()
            digest = draft.seal()
            with draft.contents() as data:
                parsed = self._parse(data, study_uid)
                coerced = self._coerce(data, parsed)
                if coerced is not None:
                    draft = self._draft = self._rewrite(coerced)
            if coerced is not None:
                original, digest = digest, draft.seal()
                with draft.contents() as data:
                    parsed = self._parse(data, study_uid)
            draft.keep()
        except BaseException:
            self._draft.discard()
            raise
        checksum = draft.checksum()
        return NewInstance(
            parsed, digest, draft.length_bytes, stored_by="", original_digest=original, checksum=checksum
        )

    def _parse(self, data: Buffer, study_uid: StudyUID | None) -> ParsedInstance:
        parsed = parse_instance(data, self._limits.parsing)
        if study_uid is not None and parsed.study_uid != study_uid:
            raise RefusedInstanceError(
                STUDY_MISMATCH,
                "The instance is of another study than the request names.",
                sop_class_uid=parsed.sop_class_uid,
                instance_uid=parsed.instance_uid,
            )
        return parsed

    def _coerce(self, data: Buffer, parsed: ParsedInstance) -> CoercedFile | None:
        if not self._limits.coercion:
            return None
        now = datetime.fromtimestamp(self._now_ms() / 1000, UTC)
        try:
            return coerce(data, self._limits.coercion, now, self._limits.parsing)
        except RefusedInstanceError as error:
            error.sop_class_uid, error.instance_uid = parsed.sop_class_uid, parsed.instance_uid
            raise

    def _rewrite(self, coerced: CoercedFile) -> Draft:
        """The coerced file as a draft in place of the one that was sent."""
        draft = self._store.begin()
        try:
            for block in coerced.blocks():
                draft.write(block)
        except BaseException:
            draft.discard()
            raise
        self._draft.discard()
        return draft
