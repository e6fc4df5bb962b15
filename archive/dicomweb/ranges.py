"""Range and conditional requests (RFC 9110 §13, §14). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from archive.errors import RangeNotSatisfiableError

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.ASCII | re.IGNORECASE)
_ETAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The octets `start` to `end`, `end` not included, of a representation `total_bytes` long."""

    start: int
    end: int
    total_bytes: int

    @property
    def length_bytes(self) -> int:
        return self.end - self.start

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.end - 1}/{self.total_bytes}"


def parse_range(value: str | None, total_bytes: int) -> ByteRange | None:
    """The one range a client asks for; None where the whole is to be sent.

    Several ranges, other units and what cannot be read are ignored, as RFC 9110 §14.2 allows.

    Raises
    ------
    RangeNotSatisfiableError
        The range begins after the end.
    """
    match = _RANGE.fullmatch(value or "")
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(0, total_bytes - int(match[2])), total_bytes
    else:
        start = int(match[1])
        end = min(total_bytes, int(match[2]) + 1) if match[2] else total_bytes
        if match[2] and int(match[2]) < start:
            return None
    if start >= total_bytes:
        raise RangeNotSatisfiableError(total_bytes)
    return ByteRange(start, end, total_bytes)


def applies(if_range: str | None, etag: str) -> bool:
    """Whether a Range counts: there is no If-Range, or it names this very representation (RFC 9110 §13.1.5)."""
    return if_range is None or if_range.strip() == etag


def quoted_etag(tag: str, coding: str = "identity") -> str:
    """A strong entity tag; each content coding is a representation of its own. `tag` is letters, digits and dashes."""
    return f'"{tag}"' if coding == "identity" else f'"{tag}.{coding}"'


def is_not_modified(if_none_match: Sequence[str], etag: str) -> bool:
    """Whether the client has this representation already (RFC 9110 §13.1.2: weak comparison)."""
    return any(value.strip() == "*" or etag in _ETAG.findall(value) for value in if_none_match)
