"""Send a range of a file as the body of an answer, by the system: its bytes do not pass through this process.

uvloop has no sendfile of its own, so the socket is given the file here, while the transport has nothing waiting. What
the socket does not take at once is read and written like any other body.
"""

import asyncio
import os
from dataclasses import dataclass

from aiohttp import web

from archive.dicomweb.multipart_response import SEND_IDLE_S, Envelope, PartHead, break_off
from archive.errors import BrokenStreamError, StoreError

FROM_BYTES = 128 << 10
"""Smaller ranges are quicker read and sent in one write with their head."""


@dataclass(frozen=True, slots=True)
class FileRange:
    """`descriptor` is the caller's to close."""

    descriptor: int
    offset: int
    length_bytes: int

    def require_whole(self) -> None:
        """Raises StoreError when the file ends before the range does."""
        if os.fstat(self.descriptor).st_size < self.offset + self.length_bytes:
            raise StoreError("The bytes of this instance are shorter than they were.")


async def send_part(request: web.Request, envelope: Envelope, head: PartHead, content: FileRange) -> web.StreamResponse:
    """A multipart answer of one part, which is a range of a file. Raises StoreError before anything is sent."""
    content.require_whole()
    envelope = envelope.with_boundary()
    opening, closing = head.encode(envelope.boundary), f"\r\n--{envelope.boundary}--\r\n".encode()
    response = web.StreamResponse(status=envelope.status, headers=envelope.headers)
    response.headers["Content-Type"] = envelope.content_type
    response.content_length = len(opening) + content.length_bytes + len(closing)
    await response.prepare(request)
    try:
        await response.write(opening)
        sent_bytes = await _given_to_socket(request.transport, content)
        rest = _rest_of(content, sent_bytes)
        if not rest:
            await response.write_eof(closing)
            return response
        async with asyncio.timeout(SEND_IDLE_S):
            await response.write_eof(rest + closing)
    except (TimeoutError, StoreError) as error:
        break_off(request)
        raise BrokenStreamError("The answer could not be completed.") from error
    return response


async def _given_to_socket(transport: asyncio.Transport | None, content: FileRange) -> int:
    """Give the socket what it takes at once; how much that was."""
    await asyncio.sleep(0)  # the transport sends what it gathered when the loop comes round
    if transport is None or transport.is_closing() or transport.get_write_buffer_size():
        return 0
    socket = transport.get_extra_info("socket")
    if socket is None or transport.get_extra_info("sslcontext") is not None:
        return 0
    sent_bytes = 0
    while sent_bytes < content.length_bytes:
        try:
            sent = os.sendfile(
                socket.fileno(), content.descriptor, content.offset + sent_bytes, content.length_bytes - sent_bytes
            )
        except BlockingIOError:
            break
        if not sent:
            raise StoreError("The bytes of this instance are shorter than they were.")
        sent_bytes += sent
    return sent_bytes


def _rest_of(content: FileRange, sent_bytes: int) -> bytes:
    wanted = content.length_bytes - sent_bytes
    if not wanted:
        return b""
    rest = os.pread(content.descriptor, wanted, content.offset + sent_bytes)
    if len(rest) != wanted:
        raise StoreError("The bytes of this instance are shorter than they were.")
    return rest
