"""Where a frame's bytes are, and reading them: a file, an instance's frame index, an index into it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from archive.dicom.part10 import Limits, inflate, read_file_meta
from archive.errors import NotFoundError, RefusedInstanceError, StoreError, UnprocessableError
from archive.identifiers import Digest
from archive.instances import Buffer, FrameIndex, PixelFacts, Span
from wado.pixels.codestream import MAXIMUM_FRAME_BYTES
from wado.pixels.syntaxes import DEFLATED, EXPLICIT_BE


@dataclass(frozen=True, slots=True)
class FrameSource:
    """A stored instance whose frames are wanted: its blob on disk and what the index knows of it."""

    path: Path
    digest: Digest
    facts: PixelFacts
    frames: FrameIndex
    transfer_syntax_uid: str

    def frame(self, frame_index: int) -> "FrameLocation":
        """Where one frame (0-based) lies.

        Raises NotFoundError past the last frame, UnprocessableError where frames cannot be told apart.
        """
        try:
            spans = self.frames.spans_of(frame_index)
        except IndexError:
            raise NotFoundError("The instance has no such frame.", parameter="frames") from None
        except ValueError as error:
            raise UnprocessableError(str(error)) from None
        by_words = (
            self.transfer_syntax_uid == EXPLICIT_BE and self.facts.bits_allocated <= 8 and self.facts.pixel_vr == "OW"
        )
        return FrameLocation(
            str(self.path),
            spans,
            self.frames.bit_offset(frame_index),
            self.facts,
            self.transfer_syntax_uid,
            value_offset=self.frames.offset if by_words else None,
        )


@dataclass(frozen=True, slots=True)
class StateSource:
    """A stored presentation state: its blob on disk."""

    path: Path
    digest: Digest


@dataclass(frozen=True, slots=True)
class FrameLocation:
    """One frame: enough to read and decode it, small enough to be sent to another process.

    `value_offset` is where the pixel data begins, set only where its octets are swapped by words (big endian OW).
    """

    path: str
    spans: tuple[Span, ...]
    bit_offset: int
    facts: PixelFacts
    transfer_syntax_uid: str
    value_offset: int | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """As `Span`'s."""
        return type(self), _LOCATION(self)

    @property
    def length_bytes(self) -> int:
        return sum(span.length_bytes for span in self.spans)


_LOCATION = attrgetter(*(field.name for field in fields(FrameLocation)))


class FrameReader:
    """Reads frames. Keeps the last deflated dataset that it inflated: at most `Limits.inflated_bytes`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._inflated: tuple[str, Buffer] | None = None

    def read(self, location: FrameLocation) -> bytes:
        """The frame's bytes in order: fragments joined, and words of 8-bit big endian samples put right.

        Raises
        ------
        UnprocessableError
            The frame is over `MAXIMUM_FRAME_BYTES`, or the deflated dataset is damaged.
        StoreError
            The file is missing or shorter than its index says.
        """
        if location.length_bytes > MAXIMUM_FRAME_BYTES:
            raise UnprocessableError(f"The frame is larger than {MAXIMUM_FRAME_BYTES} bytes.")
        if location.transfer_syntax_uid == DEFLATED:
            data = self._inflated_dataset(location.path)
            frame = b"".join(data[span.offset : span.offset + span.length_bytes] for span in location.spans)
        elif location.value_offset is not None:
            return _unswapped(location, location.value_offset)
        else:
            frame = _read_spans(location.path, location.spans)
        if len(frame) != location.length_bytes:
            raise StoreError("The file of this instance is shorter than it was when it was stored.")
        return frame

    def _inflated_dataset(self, path: str) -> Buffer:
        if self._inflated is not None and self._inflated[0] == path:
            return self._inflated[1]
        self._inflated = None
        whole = _read_whole(path)
        try:
            meta = read_file_meta(whole, self._limits)
            data = inflate(memoryview(whole)[meta.dataset_offset :], self._limits)
        except RefusedInstanceError as error:
            raise UnprocessableError(error.message) from None
        self._inflated = (path, data)
        return data


def _read_spans(path: str, spans: Iterable[Span]) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise StoreError("The file of this instance cannot be opened.") from None
    try:
        parts = [os.pread(descriptor, span.length_bytes, span.offset) for span in spans]
    except OSError:
        raise StoreError("The file of this instance cannot be read.") from None
    finally:
        os.close(descriptor)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_whole(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        raise StoreError("The file of this instance cannot be read.") from None


def _unswapped(location: FrameLocation, value_offset: int) -> bytes:
    """Octets of big endian OW: each word is swapped, so a frame may begin and end within one (PS3.5 §7.3)."""
    span = location.spans[0]
    start = span.offset - value_offset
    before = start % 2
    length = before + span.length_bytes
    widened = _read_spans(location.path, (Span(span.offset - before, length + length % 2),))
    if len(widened) < length + length % 2:
        raise StoreError("The file of this instance is shorter than it was when it was stored.")
    swapped = bytearray(len(widened))
    swapped[0::2], swapped[1::2] = widened[1::2], widened[0::2]
    return bytes(swapped[before : before + span.length_bytes])
