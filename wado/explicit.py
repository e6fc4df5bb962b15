"""A stored instance as a file in Explicit VR Little Endian, made while it is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any

from aiohttp import web

from archive.dicom.explicit import DecodedFrames, ExplicitFile, FrameJoiner, StoredValue, plan_explicit
from archive.instances import FrameLayout, Instance
from archive.resources import STORE
from wado.blobs import contents, span_chunks
from wado.pixels.transcode import facts_after
from wado.sources import PIXELS, frame_source

FRAMES_AHEAD = 4
"""Frames of one file that are decoded at the same time."""


async def explicit_file(request: web.Request, instance: Instance) -> AsyncIterator[bytes]:
    """The file, piece by piece. Raises NotAcceptableError, UnprocessableError, BusyError, StoreError."""
    facts = None
    if instance.pixels is not None and instance.frames.layout is FrameLayout.FRAGMENTS:
        facts = facts_after(instance.pixels, instance.transfer_syntax_uid)
    async with contents(request.app[STORE], instance.digest) as data:
        plan = await asyncio.to_thread(plan_explicit, data, facts)
        places = [piece for piece in plan.pieces if isinstance(piece, DecodedFrames)]
        decoded = [_decoded(request, instance, place) for place in places]
        # The first frame before the first byte: what cannot be decoded at all still becomes a status.
        begun = [await anext(chunks) for chunks in decoded[:1]]
        for piece in plan.pieces:
            if isinstance(piece, DecodedFrames):
                for chunk in begun:
                    yield chunk
                begun.clear()
                async for chunk in decoded.pop(0):
                    yield chunk
            else:
                async for chunk in _plain(request, instance, plan, piece):
                    yield chunk


async def plain_pieces(request: web.Request, instance: Instance, plan: ExplicitFile) -> AsyncIterator[bytes]:
    """The pieces of a plan without frames."""
    for piece in plan.pieces:
        if not isinstance(piece, DecodedFrames):
            async for chunk in _plain(request, instance, plan, piece):
                yield chunk


async def _plain(
    request: web.Request, instance: Instance, plan: ExplicitFile, value: bytes | StoredValue
) -> AsyncIterator[bytes]:
    if isinstance(value, bytes):
        yield value
        return
    if plan.in_file and not value.swapped_vr:
        async for chunk in span_chunks(request.app[STORE], instance.digest, (value.span,)):
            yield chunk
        return
    for block in plan.stored_blocks(value):
        yield block


async def _decoded(request: web.Request, instance: Instance, place: DecodedFrames) -> AsyncIterator[bytes]:
    """All frames, decoded a few ahead of the one that is sent."""
    pool, joiner = request.app[PIXELS], FrameJoiner(place)
    source = await frame_source(request.app[STORE], instance)
    frames = frames_ahead(lambda index: pool.native_frame(source, index), range(place.count))
    async for frame in frames:
        yield joiner.add(frame)
    yield joiner.finish()


async def frames_ahead(
    make: Callable[[int], Coroutine[Any, Any, bytes]], frame_indexes: Iterable[int]
) -> AsyncIterator[bytes]:
    """Frames in order, a few of them being made while one is sent."""
    running: list[asyncio.Task[bytes]] = []
    try:
        for frame_index in frame_indexes:
            running.append(asyncio.create_task(make(frame_index)))
            if len(running) == FRAMES_AHEAD:
                yield await running.pop(0)
        while running:
            yield await running.pop(0)
    finally:
        for task in running:
            task.cancel()
