"""Each part a bounded stream into the ingest; nothing is indexed before the whole request was seen (PS3.18 §10.5)."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from archive.audit import Event
from archive.errors import BadRequestError, LightboxError, PayloadTooLargeError, RefusedInstanceError
from archive.identifiers import StudyUID
from archive.instances import ParsedInstance, StoredInstance
from stow.outcome import Failure, Outcome

logger = logging.getLogger("lightbox.stow")

FINISHING = 4
"""Uploads of one request that are synced and parsed at the same time, while the next part is being read."""
INDEX_BATCH = 250


class Prepared(Protocol):
    """A finished upload: durable, parsed, not indexed yet."""

    @property
    def parsed(self) -> ParsedInstance: ...


class Upload(Protocol):
    """One instance on its way in; ends with exactly one of `finish` and `abort`."""

    async def write(self, chunk: bytes, /) -> None: ...

    async def finish(self, *, study_uid: StudyUID | None, by: str) -> Any: ...

    async def abort(self) -> None: ...


class Ingest(Protocol):
    """Takes instances in. What `index` gives as stored may be acknowledged."""

    def begin(self) -> Upload: ...

    async def index(
        self, batch: Sequence[Any], event: Event | None, /
    ) -> Sequence[StoredInstance | RefusedInstanceError]: ...


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose name the instances are stored under, and what the audit trail is told of the request."""

    by: str
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class StowLimits:
    """Bounds of one request. An instance's own limit is the ingest's.

    `held_metadata_bytes` bounds what is kept of parts that wait for the end of the request. A body may be silent for
    `idle_s`, and takes no longer in all than that and its length at `bytes_per_s`.
    """

    request_bytes: int = 64 << 30
    parts: int = 10_000
    held_metadata_bytes: int = 64 << 20
    idle_s: float = 60.0
    bytes_per_s: int = 1024


async def read_body(request: web.Request, limits: StowLimits) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises
    ------
    PayloadTooLargeError
        More than `request_bytes`, announced or sent.
    BadRequestError
        Nothing came for `idle_s`, or the body trickles.
    """
    limit = limits.request_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    await _invite(request)
    received, waited_s, loop = 0, 0.0, asyncio.get_running_loop()
    while True:
        asked_s = loop.time()
        try:
            async with asyncio.timeout(limits.idle_s):
                chunk = await request.content.readany()  # `readchunk` never comes to the end of an empty body
        except TimeoutError:
            raise BadRequestError(
                f"The body stopped arriving for {limits.idle_s:g} seconds.", parameter="body"
            ) from None
        if not chunk:
            return
        received += len(chunk)
        waited_s += loop.time() - asked_s  # what the disk takes is not the client's doing
        if waited_s > limits.idle_s + received / limits.bytes_per_s:
            message = f"The body came more slowly than {limits.bytes_per_s} bytes a second."
            raise BadRequestError(message, parameter="body")
        if received > limit:
            raise _too_large(limit)
        yield chunk


def _too_large(limit_bytes: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"A request may have at most {limit_bytes} bytes.", limit_bytes=limit_bytes)


async def expect_later(request: web.Request) -> None:
    """aiohttp's hook for `Expect`: leaves it to `read_body`, so that a refusal comes before the body is sent."""


async def _invite(request: web.Request) -> None:
    """Answer `Expect: 100-continue` (RFC 9110 §10.1.1). Raises HTTPExpectationFailed on another expectation."""
    expectation = request.headers.get(hdrs.EXPECT)
    if expectation is None or request.version != HttpVersion11:
        return
    if expectation.lower() != "100-continue":
        raise web.HTTPExpectationFailed
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # aiohttp counts the answer proper from here


class Intake:
    """Takes the parts of one request in. Use `take` and `refuse` for each part in turn, then `index` once.

    When the request fails as a whole, `give_up` waits for what is under way; its blobs stay behind without a row, and
    the archive's check sweeps them.
    """

    def __init__(self, ingest: Ingest, study_uid: StudyUID | None, sender: Sender, limits: StowLimits) -> None:
        self._ingest = ingest
        self._study_uid = study_uid
        self._sender = sender
        self._limits = limits
        self._prepared: dict[int, Prepared] = {}
        self._failures: dict[int, Failure] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._held_bytes = 0

    @property
    def is_empty(self) -> bool:
        return not (self._prepared or self._failures or self._finishing)

    def refuse(self, position: int, error: RefusedInstanceError) -> None:
        """A part that need not be read to be known as none of ours."""
        self._failures[position] = Failure.of(position, error)

    async def take(self, position: int, chunks: AsyncIterable[bytes]) -> None:
        """Read one part. What is wrong with it is its own failure; what is wrong with the body is raised."""
        upload = self._begin(position)
        if upload is None:
            return
        complete = False
        try:
            complete = await self._copy(position, upload, chunks)
        finally:
            if not complete:
                await upload.abort()
        if complete:
            await self._start_finishing(position, upload)

    def _begin(self, position: int) -> Upload | None:
        try:
            return self._ingest.begin()
        except Exception as error:  # noqa: BLE001 - whatever befalls one part, the others go on
            self._fail(position, error)
            return None

    async def _copy(self, position: int, upload: Upload, chunks: AsyncIterable[bytes]) -> bool:
        async for chunk in chunks:
            try:
                await upload.write(chunk)
            except Exception as error:  # noqa: BLE001 - whatever befalls one part, the others go on
                self._fail(position, error)
                return False
        return True

    async def _start_finishing(self, position: int, upload: Upload) -> None:
        task = asyncio.create_task(self._finish(position, upload))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        if len(self._finishing) >= FINISHING:
            await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)
        if self._held_bytes > self._limits.held_metadata_bytes:
            limit = self._limits.held_metadata_bytes
            message = f"The headers of one request may have at most {limit} bytes together; send it in pieces."
            raise PayloadTooLargeError(message, limit_bytes=limit)

    async def _finish(self, position: int, upload: Upload) -> None:
        try:
            prepared: Prepared = await upload.finish(study_uid=self._study_uid, by=self._sender.by)
        except Exception as error:  # noqa: BLE001 - whatever befalls one part, the others go on
            self._fail(position, error)
        else:
            self._prepared[position] = prepared
            self._held_bytes += len(prepared.parsed.metadata)

    def _fail(self, position: int, error: Exception) -> None:
        self._failures[position] = Failure.of(position, error)
        if not isinstance(error, LightboxError):
            logger.error("A part could not be processed.", extra={"position": position, "error": type(error).__name__})

    async def index(self) -> Outcome:
        """Make what was taken in visible, batch by batch; a batch that fails leaves the others."""
        await self._finished()
        positions = sorted(self._prepared)
        stored: list[StoredInstance] = []
        for start in range(0, len(positions), INDEX_BATCH):
            stored.extend(await self._index_batch(positions[start : start + INDEX_BATCH]))
        return Outcome(tuple(stored), tuple(self._failures[position] for position in sorted(self._failures)))

    async def _index_batch(self, positions: Sequence[int]) -> list[StoredInstance]:
        stored: list[StoredInstance] = []
        results: Sequence[StoredInstance | Exception]
        try:
            batch = [self._prepared[position] for position in positions]
            results = await self._ingest.index(batch, self._sender.event)
        except Exception as error:  # noqa: BLE001 - what an earlier batch stored must still be acknowledged
            results = [error] * len(positions)
        for position, result in zip(positions, results, strict=True):
            if isinstance(result, StoredInstance):
                stored.append(result)
                continue
            self._fail(position, result)
            parsed = self._prepared[position].parsed
            self._failures[position] = replace(
                self._failures[position], sop_class_uid=parsed.sop_class_uid, instance_uid=parsed.instance_uid
            )
        return stored

    async def give_up(self) -> None:
        await self._finished()
        self._prepared.clear()

    async def _finished(self) -> None:
        if self._finishing:
            await asyncio.wait(set(self._finishing))
