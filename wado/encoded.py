"""A stored instance as a file whose frames are encoded anew, made while it is sent (PS3.18 §8.7.3)."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from archive.dicom.encoded import EncodedFile, Encoding, Loss, fragment, plan_encoded
from archive.errors import NotAcceptableError
from archive.instances import Instance
from archive.resources import STORE
from wado.blobs import contents
from wado.explicit import frames_ahead, plain_pieces
from wado.pixels.transcode import Transcoding, facts_after, loses, transcoding_of
from wado.sources import PIXELS, copied_frame, frame_source


async def encoded_file(request: web.Request, instance: Instance, transfer_syntax_uid: str) -> AsyncIterator[bytes]:
    """The file, piece by piece. Raises NotAcceptableError, UnprocessableError, BusyError, StoreError.

    The first frame is encoded before the first byte is given, so that most of what fails still becomes a status.
    """
    pool = request.app[PIXELS]
    source = await frame_source(request.app[STORE], instance)
    row = transcoding_of(transfer_syntax_uid)
    if row is None:
        raise NotAcceptableError

    async def encoded(frame_index: int) -> bytes:
        copied = await copied_frame(request, instance, frame_index, transfer_syntax_uid)
        return copied if copied is not None else await pool.transcode_frame(source, frame_index, transfer_syntax_uid)

    first = await encoded(0)
    encoding = _encoding(instance, row, len(first))
    async with contents(request.app[STORE], instance.digest) as data:
        plan: EncodedFile = await asyncio.to_thread(plan_encoded, data, encoding)
        async for chunk in plain_pieces(request, instance, plan.before):
            yield chunk
        yield fragment(first)
        rest = range(1, instance.frames.count)
        async for frame in frames_ahead(encoded, rest):
            yield fragment(frame)
        async for chunk in plain_pieces(request, instance, plan.after):
            yield chunk


def _encoding(instance: Instance, row: Transcoding, first_frame_bytes: int) -> Encoding:
    """The ratio is that of the first frame: the standard wants an approximate one (PS3.3 C.7.6.1.1.5.2)."""
    if instance.pixels is None:
        raise NotAcceptableError
    stored, target = instance.transfer_syntax_uid, row.transfer_syntax_uid
    loss = None
    if loses(stored, target):
        loss = Loss(row.method, instance.pixels.frame_bytes / max(1, first_frame_bytes))
    whole_container = row.target is not None and row.target.whole_container
    return Encoding(target, facts_after(instance.pixels, stored, target), loss, whole_container)
