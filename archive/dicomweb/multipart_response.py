"""Send multipart/related answers (RFC 2387, PS3.18 §8.6.1).

The status and the headers are settled before the first byte. What fails later can only be told by breaking the
connection: `BrokenStreamError` after `transport.abort()`, so that no client takes half an answer for a whole one.
"""

import asyncio
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import hdrs, web

from archive.dicomweb.header_values import quote
from archive.errors import BrokenStreamError

JOINED_BYTES = 64 << 10
"""Up to this size a part's header and its content are joined into one write."""
SEND_IDLE_S = 120.0
"""A client that takes nothing for this long is cut off."""


@dataclass(frozen=True, slots=True)
class PartHead:
    """Header of one part. `length_bytes` where it is known beforehand; then it is held to."""

    content_type: str
    content_location: str | None = None
    length_bytes: int | None = None

    def encode(self, boundary: str) -> bytes:
        """The delimiter line, the header lines and the blank line."""
        lines = [f"--{boundary}", f"Content-Type: {self.content_type}"]
        if self.content_location is not None:
            lines.append(f"Content-Location: {self.content_location}")
        if self.length_bytes is not None:
            lines.append(f"Content-Length: {self.length_bytes}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the whole answer says: the type of its parts, the status, further headers."""

    media_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    boundary: str = ""

    def with_boundary(self) -> "Envelope":
        if self.boundary:
            return self
        return Envelope(self.media_type, self.status, self.headers, secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        return f"multipart/related; type={quote(self.media_type)}; boundary={self.boundary}"


def length_of(heads: Iterable[PartHead], boundary: str) -> int | None:
    """Length of the whole body; None where the length of a part is not known."""
    total = len(boundary) + 6  # the closing delimiter and its line end
    for head in heads:
        if head.length_bytes is None:
            return None
        total += len(head.encode(boundary)) + head.length_bytes + 2
    return total


def multipart_response(envelope: Envelope, parts: Sequence[tuple[PartHead, bytes]]) -> web.Response:
    """An answer whose parts are all in memory, sent in one write."""
    envelope = envelope.with_boundary()
    body = bytearray()
    for head, content in parts:
        whole = PartHead(head.content_type, head.content_location, len(content))
        body += whole.encode(envelope.boundary) + content + b"\r\n"
    body += f"--{envelope.boundary}--\r\n".encode()
    response = web.Response(status=envelope.status, headers=envelope.headers, body=bytes(body))
    response.headers[hdrs.CONTENT_TYPE] = envelope.content_type
    return response


class FramedResponse:
    """An answer of parts whose lengths are known, in one buffer: their framing is there, their contents are filled in.

    Content is read right into its place and the whole is sent in one write. For answers of bounded size; `gaps` are
    the places of the contents, in the order of the parts.
    """

    def __init__(self, request: web.Request, envelope: Envelope, heads: Sequence[PartHead]) -> None:
        envelope = envelope.with_boundary()
        framing = [head.encode(envelope.boundary) for head in heads]
        closing = f"--{envelope.boundary}--\r\n".encode()
        lengths = [head.length_bytes or 0 for head in heads]
        self._buffer = bytearray(sum(map(len, framing)) + sum(lengths) + 2 * len(heads) + len(closing))
        self._request = request
        self._response = web.StreamResponse(status=envelope.status, headers=envelope.headers)
        self._response.headers[hdrs.CONTENT_TYPE] = envelope.content_type
        self._response.content_length = len(self._buffer)
        self.gaps: list[memoryview] = []
        view, position = memoryview(self._buffer), 0
        for opening, length_bytes in zip(framing, lengths, strict=True):
            start = position + len(opening)
            view[position:start] = opening
            self.gaps.append(view[start : start + length_bytes])
            position = start + length_bytes + 2
            view[position - 2 : position] = b"\r\n"
        view[position:] = closing

    async def send(self) -> web.StreamResponse:
        """Send what has been filled in; the response is the handler's result."""
        await self._response.prepare(self._request)
        try:
            async with asyncio.timeout(SEND_IDLE_S):
                await self._response.write_eof(self._buffer)  # type: ignore[arg-type]  # any buffer will do
        except TimeoutError as late:
            break_off(self._request)
            raise BrokenStreamError("The client takes nothing any more.") from late
        return self._response


class MultipartResponse:
    """An answer sent part by part.

    `heads`, where all parts and their lengths are known, gives the answer a Content-Length. Nothing is sent before the
    first content is there: what fails until then still becomes a status. Leave with `body.response` as the handler's
    result.

        async with MultipartResponse(request, Envelope("application/dicom"), heads) as body:
            for head, content in …:
                await body.part(head, content)
        return body.response
    """

    def __init__(self, request: web.Request, envelope: Envelope, heads: Sequence[PartHead] | None = None) -> None:
        self._request = request
        self._envelope = envelope.with_boundary()
        self.response = web.StreamResponse(status=envelope.status, headers=envelope.headers)
        self.response.headers[hdrs.CONTENT_TYPE] = self._envelope.content_type
        if heads is not None:
            self.response.content_length = length_of(heads, self._envelope.boundary)
        self._pending = b""

    @property
    def head_only(self) -> bool:
        """Whether only the headers are asked for, so that no content need be read."""
        return self._request.method == hdrs.METH_HEAD

    async def __aenter__(self) -> Self:
        return self

    async def part(self, head: PartHead, content: bytes | AsyncIterable[bytes]) -> None:
        """Send one part.

        Raises
        ------
        BrokenStreamError
            The content failed, or is not as long as its head says, after the answer had begun. Before that what the
            content raises passes through.
        """
        if self.head_only:
            return
        self._pending += head.encode(self._envelope.boundary)
        sent = 0
        async for chunk in _chunks_of(content):
            sent += len(chunk)
            if head.length_bytes is not None and sent > head.length_bytes:
                break
            await self._send(chunk)
        if head.length_bytes is not None and sent != head.length_bytes:
            raise BrokenStreamError("A part is not as long as its header says.")
        self._pending += b"\r\n"

    async def _send(self, chunk: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        pending, self._pending = self._pending, b""
        async with asyncio.timeout(SEND_IDLE_S):
            if len(chunk) <= JOINED_BYTES:
                await self.response.write(pending + chunk)
            else:
                if pending:
                    await self.response.write(pending)
                await self.response.write(chunk)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            try:
                if self.head_only:
                    await self.response.prepare(self._request)
                else:
                    await self._send(f"--{self._envelope.boundary}--\r\n".encode())
                await self.response.write_eof()
            except TimeoutError as late:
                break_off(self._request)
                raise BrokenStreamError("The client takes nothing any more.") from late
            return
        if not self.response.prepared:
            return
        break_off(self._request)
        if isinstance(error, Exception) and not isinstance(error, BrokenStreamError | ConnectionError):
            raise BrokenStreamError("The answer could not be completed.") from error


def break_off(request: web.BaseRequest) -> None:
    """Close the connection at once, whatever it is in the middle of."""
    if request.transport is not None:
        request.transport.abort()


async def _chunks_of(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    async for chunk in content:
        yield chunk
