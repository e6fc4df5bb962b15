"""An instance as the decoding processes take it: a file on this machine, and what is known of it."""

import asyncio

from aiohttp import web

from archive.errors import NotFoundError
from archive.instances import Instance
from archive.store.contract import Store
from wado.pixels.copies import COPIED_AS, FrameCopies
from wado.pixels.pool import PixelPool
from wado.pixels.source import FrameSource

PIXELS: web.AppKey[PixelPool] = web.AppKey("PIXELS", PixelPool)
COPIES: web.AppKey[FrameCopies] = web.AppKey("COPIES", FrameCopies)
READ_AT_ONCE_BYTES = 4 << 20
"""Copies of frames up to this size, as they were, are read quicker than a thread is asked."""


async def frame_source(store: Store, instance: Instance) -> FrameSource:
    """Where the workers find the frames of an instance.

    Raises
    ------
    NotFoundError
        It has no frames, or says too little of its pixels.
    StoreError
        Its bytes are missing.
    """
    if instance.pixels is None or instance.frames.count == 0:
        raise NotFoundError("There is no picture of this instance.")
    # A file on this machine is found quicker than a thread is asked.
    here = bool(store.quick_bytes)
    path = store.path_of(instance.digest) if here else await asyncio.to_thread(store.path_of, instance.digest)
    return FrameSource(path, instance.digest, instance.pixels, instance.frames, instance.transfer_syntax_uid)


async def copied_frame(request: web.Request, instance: Instance, frame_index: int, syntax: str | None) -> bytes | None:
    """The frame (0-based) from its HTJ2K copy, where that is what is asked for and there is one."""
    if syntax not in COPIED_AS or instance.pixels is None:
        return None
    copies = request.app[COPIES]
    if instance.pixels.frame_bytes <= READ_AT_ONCE_BYTES:
        return copies.read(instance.digest, frame_index)
    return await asyncio.to_thread(copies.read, instance.digest, frame_index)
