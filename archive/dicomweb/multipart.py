"""Read multipart/related bodies as they arrive (RFC 2046 §5.1, RFC 2387, PS3.18 §8.6.1).

Memory is bounded whatever is sent: the reader holds one chunk, a piece of a delimiter, and one part's header.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field

from archive.dicomweb.header_values import MediaType
from archive.errors import BadRequestError, UnsupportedMediaTypeError

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_FOLD = re.compile(rb"\r\n[ \t]+")
_LINE_END = b"\r\n"


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    parts: int = 10_000
    header_bytes: int = 16 << 10
    header_count: int = 32
    preamble_bytes: int = 64 << 10
    padding_bytes: int = 256


@dataclass(frozen=True, slots=True)
class RelatedType:
    """A parsed `Content-Type: multipart/related`: the type of the root part, and the boundary."""

    type: str
    boundary: str

    @classmethod
    def parse(cls, content_type: str) -> "RelatedType":
        """Read the header. `type` is in lower case, without parameters of its own.

        Raises
        ------
        UnsupportedMediaTypeError
            Something else than multipart/related, or the `type` parameter is missing.
        BadRequestError
            The boundary is missing or is not one (RFC 2046 §5.1.1: 1 to 70 characters).
        """
        try:
            outer = MediaType.parse(content_type)
        except ValueError:
            raise UnsupportedMediaTypeError("Content-Type cannot be read.", parameter="Content-Type") from None
        if outer.name != "multipart/related":
            raise UnsupportedMediaTypeError("Content-Type must be multipart/related.", parameter="Content-Type")
        try:
            root = MediaType.parse(outer.parameters.get("type", ""))
        except ValueError:
            message = 'multipart/related must name its type, such as type="application/dicom".'
            raise UnsupportedMediaTypeError(message, parameter="Content-Type") from None
        boundary = outer.parameters.get("boundary", "")
        if _BOUNDARY.fullmatch(boundary) is None:
            raise BadRequestError("The multipart boundary is missing or is not one.", parameter="Content-Type")
        return cls(root.name, boundary)


SHORT_BYTES = 512
"""A rest that is shorter is copied, so that what has been read is let go."""


@dataclass(slots=True)
class IncomingPart:
    """One part while it arrives. `position` counts from 1. Its chunks can be read once, before the next part."""

    position: int
    headers: Mapping[str, str]
    """Names in lower case; of a repeated header the first value."""
    _reader: "MultipartReader" = field(repr=False)

    @property
    def content_type(self) -> MediaType | None:
        """The parsed Content-Type; None where it is absent. Raises BadRequestError on one that cannot be read."""
        text = self.headers.get("content-type")
        if text is None:
            return None
        try:
            return MediaType.parse(text)
        except ValueError:
            raise BadRequestError("The Content-Type of a part cannot be read.", parameter="Content-Type") from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content as it arrives, never an empty chunk; nothing after the part has ended."""
        while (chunk := await self._reader.read_content(self.position)) is not None:
            yield chunk


class MultipartReader:
    """Iterate over the parts of a body. A part that was not read to its end is passed over.

    The iteration ends only after the closing delimiter; a body that stops before it raises BadRequestError, also
    within a part. A line counts as a delimiter when the boundary is followed by nothing but blanks, so data that only
    looks like one is data.
    """

    def __init__(self, body: AsyncIterable[bytes], boundary: str, limits: MultipartLimits | None = None) -> None:
        self._body = aiter(body)
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits or MultipartLimits()
        padding = b"[ \t]{0,%d}" % self._limits.padding_bytes
        # A whole delimiter line has group 2; one that may still become one runs to the end of what has arrived.
        self._line = re.compile(
            re.escape(self._delimiter) + rb"(?:-?\Z|(--)?" + padding + rb"(?:(\r\n)|\r?\Z))", re.DOTALL
        )
        # The first delimiter may stand at the very start of the body: it gets the line end it lacks.
        self._buffer = _LINE_END
        self._start = 0  # what stands before it in the buffer has been read: to cut it off would copy all the rest
        self._position = 0
        self._lead = 0
        self._in_content = False
        self._closed = False
        self._body_ended = False

    def __aiter__(self) -> AsyncIterator[IncomingPart]:
        return self._parts()

    async def _parts(self) -> AsyncIterator[IncomingPart]:
        await self._skip_preamble()
        while not self._closed:
            if self._position >= self._limits.parts:
                raise BadRequestError(f"A request may have at most {self._limits.parts} parts.", parameter="body")
            headers = await self._read_headers()
            self._position += 1
            self._in_content, self._lead = True, len(_LINE_END)
            yield IncomingPart(self._position, headers, self)
            while await self.read_content(self._position) is not None:
                pass
        async for _ in self._body:  # the epilogue says nothing
            pass

    async def read_content(self, position: int) -> bytes | None:
        """The next chunk of the part that is being read; None at its end."""
        while self._in_content and position == self._position:
            content, ended = self._take_content()
            if ended:
                self._in_content = False
            if content:
                return content
            if not ended:
                await self._fill()
        return None

    def _take_content(self) -> tuple[bytes, bool]:
        """Cut from the buffer what is certainly content; whether a delimiter ended it.

        The line end of the delimiter is left in the buffer: it may be all that stands before a part's content.
        """
        buffer = self._buffer
        hit = buffer.find(self._delimiter, self._start)
        line = self._line.search(buffer, hit) if hit >= 0 else None
        if line is None:
            return self._cut(self._possible_start()), False
        if line[2] is None and not self._body_ended:  # the rest of the line has not arrived yet
            return self._cut(line.start()), False
        if line[2] is None and line[1] is None:  # the body ends in what is no closing delimiter
            return self._cut(len(buffer)), False
        self._closed = line[1] is not None
        content = self._cut(line.start())
        self._start += line.end() - len(line[2] or b"") - line.start()
        return content, True

    def _cut(self, end: int) -> bytes:
        """What stands before `end`, without the line end of the header."""
        start, self._start, buffer = self._start, end, self._buffer
        if end > start:
            start, self._lead = start + self._lead, 0
        if len(buffer) - end < SHORT_BYTES:
            self._buffer, self._start = buffer[end:], 0
        return buffer[start:end]

    def _possible_start(self) -> int:
        """Position of the first octet that may begin a delimiter which has only partly arrived."""
        buffer = self._buffer
        start = max(self._start, len(buffer) - len(self._delimiter) + 1)
        while (start := buffer.find(b"\r", start)) >= 0:
            if self._delimiter.startswith(buffer[start:]):
                return start
            start += 1
        return len(buffer)

    async def _skip_preamble(self) -> None:
        skipped = 0
        while True:
            content, ended = self._take_content()
            skipped += len(content)
            if skipped > self._limits.preamble_bytes:
                raise BadRequestError("The body does not begin with its multipart boundary.", parameter="body")
            if ended:
                return
            await self._fill()

    async def _read_headers(self) -> dict[str, str]:
        """Read up to the blank line, whose line end stays in the buffer, before the content."""
        limit_bytes = self._limits.header_bytes
        while (end := self._buffer.find(b"\r\n\r\n", self._start)) < 0:
            if len(self._buffer) - self._start > limit_bytes:
                break
            await self._fill()
        if not 0 <= end - self._start <= limit_bytes:
            raise BadRequestError("The header of a part is too long or does not end.", parameter="body")
        block = _FOLD.sub(b" ", self._buffer[self._start + len(_LINE_END) : end])
        self._start = end + len(_LINE_END)
        lines = [line for line in block.split(_LINE_END) if line]
        if len(lines) > self._limits.header_count:
            raise BadRequestError("A part has too many header lines.", parameter="body")
        headers: dict[str, str] = {}
        for line in lines:
            match = _FIELD.fullmatch(line)
            if match is None:
                raise BadRequestError("The header of a part cannot be read.", parameter="body")
            headers.setdefault(match[1].decode("ascii").lower(), match[2].decode("latin-1").strip())
        return headers

    async def _fill(self) -> None:
        """Append what arrives next. Raises BadRequestError at the end of the body."""
        if self._body_ended:
            raise BadRequestError("The body ends before its closing multipart boundary.", parameter="body")
        chunk = await anext(self._body, None)
        if chunk is None:
            self._body_ended = True  # a closing delimiter may be the last thing, without a line end
        else:
            self._buffer, self._start = self._buffer[self._start :] + chunk, 0
