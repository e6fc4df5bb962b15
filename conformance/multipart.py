"""Write and read multipart/related bodies (RFC 2387, PS3.18 §8.6.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.media_types import MediaType, parse_media_type

BOUNDARY = "----conformance-7c1d0f5e"


@dataclass(frozen=True, slots=True)
class Part:
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Give the first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def media_type(self) -> MediaType:
        return parse_media_type(self.header("Content-Type") or "")


def part(body: bytes, content_type: str, *more: tuple[str, str]) -> Part:
    return Part((("Content-Type", content_type), *more), body)


def build(parts: Sequence[Part], boundary: str = BOUNDARY, *, preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    """Join parts with CRLF delimiters and the closing delimiter."""
    pieces = [preamble + b"\r\n" if preamble else b""]
    for each in parts:
        head = "".join(f"{key}: {value}\r\n" for key, value in each.headers)
        pieces.append(f"--{boundary}\r\n{head}\r\n".encode())
        pieces.append(each.body + b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode() + epilogue)
    return b"".join(pieces)


def parse(media_type: MediaType, body: bytes) -> tuple[Part, ...]:
    """Split a body at its boundary.

    Raises ValueError where the body breaks RFC 2046: no boundary, no closing delimiter, a part without
    the empty line that ends its headers.
    """
    boundary = media_type.parameter("boundary")
    if media_type.essence != "multipart/related" or not boundary:
        raise ValueError(f"not multipart/related with a boundary: {media_type.essence or 'no Content-Type'}")
    delimiter = b"--" + boundary.encode()
    sections = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        raise ValueError("the closing delimiter of the multipart body is missing")
    return tuple(_read_part(section) for section in sections[1:-1])


def _read_part(section: bytes) -> Part:
    _padding, line_end, rest = section.partition(b"\r\n")
    if not line_end:
        raise ValueError("a delimiter of the multipart body has no line end")
    if rest.startswith(b"\r\n"):
        return Part((), rest[2:])
    head, blank, content = rest.partition(b"\r\n\r\n")
    if not blank:
        raise ValueError("a part has no empty line after its headers")
    headers = []
    for line in head.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("a part has a header line without a colon")
        headers.append((name.strip(), value.strip()))
    return Part(tuple(headers), content)
