"""An instance as the decoding processes take it: a file on this machine, and what is known of it."""

import asyncio

from aiohttp import web

from archive.instances import Instance
from archive.store.contract import Store
from wado.pixels.pool import PixelPool
from wado.pixels.source import FrameSource

PIXELS: web.AppKey[PixelPool] = web.AppKey("PIXELS", PixelPool)


async def frame_source(store: Store, instance: Instance) -> FrameSource:
    """Where the workers find the frames of an instance. Raises StoreError when its bytes are missing."""
    if instance.pixels is None:
        raise ValueError("An instance without pixels has no frames.")
    path = await asyncio.to_thread(store.path_of, instance.digest)
    return FrameSource(path, instance.digest, instance.pixels, instance.frames, instance.transfer_syntax_uid)
