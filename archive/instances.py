"""What is known of a stored instance, and where each of its frames lies. Frozen values."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from operator import attrgetter
from typing import Any, Self, overload

from archive.identifiers import Digest, InstanceUID, SeriesUID, StudyUID

Buffer = bytes | memoryview
"""Bytes of a blob, copied or mapped."""


class FrameLayout(IntEnum):
    """How the frames of an instance lie in its blob."""

    NONE = 0
    NATIVE = 1
    """One after another, each `frame_bits` long (a multiple of 8)."""
    PACKED = 2
    """1-bit samples packed across frame borders (PS3.5 §8.1.1), each frame `frame_bits` long."""
    FRAGMENTS = 3
    """Encapsulated: each frame is a list of spans, joined (PS3.5 A.4)."""
    WHOLE = 4
    """The blob's pixel data cannot be cut into frames (video, or a broken offset table); `reason` says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a blob."""

    offset: int
    length_bytes: int

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """As it is pickled by default, in half the time: each frame's place goes to another process."""
        return type(self), (self.offset, self.length_bytes)


@dataclass(frozen=True, slots=True)
class SingleSpans(Sequence[tuple[Span, ...]]):
    """Spans of frames of one fragment each, read from the stored form when they are asked for.

    A slide has a hundred thousand frames: whoever wants one of them does not wait for all.
    """

    data: bytes
    """For each frame the number of its fragments, 1, then offset and length."""

    _ENTRY = struct.Struct("<IQI")

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """None where a frame has several fragments, or none."""
        count, rest = divmod(len(data), cls._ENTRY.size)
        is_single = not rest and data[:: cls._ENTRY.size] == b"\1" * count
        is_single = is_single and not any(any(data[place :: cls._ENTRY.size]) for place in (1, 2, 3))
        return cls(data) if is_single else None

    def __len__(self) -> int:
        return len(self.data) // self._ENTRY.size

    @overload
    def __getitem__(self, index: int) -> tuple[Span, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[Span, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Span, ...] | Sequence[tuple[Span, ...]]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        position = index if index >= 0 else index + len(self)
        if not 0 <= position < len(self):
            raise IndexError(index)
        _, offset, length_bytes = self._ENTRY.unpack_from(self.data, position * self._ENTRY.size)
        return (Span(offset, length_bytes),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Where each frame lies, made once at ingest.

    For NATIVE and PACKED: `offset` is the first byte of the pixel data, every frame is `frame_bits` long.
    For FRAGMENTS: `spans[frame_index]` are the frame's fragments in order.
    """

    layout: FrameLayout
    count: int = 0
    offset: int = 0
    frame_bits: int = 0
    spans: Sequence[tuple[Span, ...]] = ()
    reason: str = ""

    def spans_of(self, frame_index: int) -> tuple[Span, ...]:
        """Spans of a frame (0-based). For PACKED: the octets that cover it.

        Raises IndexError outside `count`, ValueError where frames cannot be cut out.
        """
        if not 0 <= frame_index < self.count:
            raise IndexError(frame_index)
        if self.layout is FrameLayout.FRAGMENTS:
            return self.spans[frame_index]
        if self.layout in (FrameLayout.NATIVE, FrameLayout.PACKED):
            first_bit = frame_index * self.frame_bits
            first_byte, end_byte = first_bit // 8, (first_bit + self.frame_bits + 7) // 8
            return (Span(self.offset + first_byte, end_byte - first_byte),)
        raise ValueError(self.reason or "This instance has no frames.")

    def bit_offset(self, frame_index: int) -> int:
        """Bits before the frame's first bit in its first octet; not 0 only for PACKED."""
        return frame_index * self.frame_bits % 8 if self.layout is FrameLayout.PACKED else 0

    _HEAD = struct.Struct("<BIQQ")
    _SPAN = struct.Struct("<QI")

    def to_bytes(self) -> bytes:
        """The form kept in the index; `from_bytes` reads it back."""
        head = self._HEAD.pack(self.layout, self.count, self.offset, self.frame_bits)
        if self.layout is FrameLayout.WHOLE:
            return head + self.reason.encode()
        parts = [head]
        for spans in self.spans:
            parts.append(struct.pack("<I", len(spans)))
            parts.extend(self._SPAN.pack(span.offset, span.length_bytes) for span in spans)
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        layout, count, offset, frame_bits = cls._HEAD.unpack_from(data)
        position = cls._HEAD.size
        if layout == FrameLayout.WHOLE:
            return cls(FrameLayout.WHOLE, count, reason=data[position:].decode())
        single = SingleSpans.of(data[position:])
        if single is not None:
            return cls(FrameLayout(layout), count, offset, frame_bits, single if single else ())
        frames: list[tuple[Span, ...]] = []
        while position < len(data):
            (fragments,) = struct.unpack_from("<I", data, position)
            position += 4
            end = position + fragments * cls._SPAN.size
            frames.append(tuple(Span(*pair) for pair in cls._SPAN.iter_unpack(data[position:end])))
            position = end
        return cls(FrameLayout(layout), count, offset, frame_bits, tuple(frames))


@dataclass(frozen=True, slots=True)
class PixelFacts:
    """The Image Pixel module (PS3.3 C.7.6.3) of an instance.

    `pixel_keyword`: PixelData, FloatPixelData or DoubleFloatPixelData.
    `pixel_vr`: its VR in the file; in big endian OW is swapped by 16-bit words and OB is not (PS3.5 §7.3).
    """

    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    planar_configuration: int = 0
    number_of_frames: int = 1
    pixel_keyword: str = "PixelData"
    pixel_vr: str = "OW"

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """As `Span`'s."""
        return type(self), _PIXEL_FACTS(self)

    @property
    def frame_bytes(self) -> int:
        """Length of one native frame in bytes, rounded up for 1-bit samples."""
        return (self.rows * self.columns * self.samples_per_pixel * self.bits_allocated + 7) // 8


_PIXEL_FACTS = attrgetter(*(field.name for field in fields(PixelFacts)))


@dataclass(frozen=True, slots=True)
class Instance:
    """One stored instance: who it is, where its bytes lie, how its frames lie in them."""

    study_uid: StudyUID
    series_uid: SeriesUID
    instance_uid: InstanceUID
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: Digest
    length_bytes: int
    frames: FrameIndex
    pixels: PixelFacts | None = None
    checksum: bytes | None = None
    """Of its bytes, as `archive.store.checksum` makes it; None where it was stored before there was one."""


@dataclass(frozen=True, slots=True)
class ParsedInstance:
    """What one walk over a Part 10 file gives: everything that the index keeps.

    `metadata` is the DICOM JSON Model object (PS3.18 Annex F) of the dataset as UTF-8 bytes, bulk values given
    as `"BulkDataURI":"/studies/{s}/series/{e}/instances/{i}/bulkdata/{path}"`; the server puts the public root
    before the path when it sends it.
    `attributes` is the same object parsed, without bulk and binary values: what search looks at.
    `warnings` are sentences about elements that were odd and kept as they could be.
    """

    study_uid: StudyUID
    series_uid: SeriesUID
    instance_uid: InstanceUID
    sop_class_uid: str
    transfer_syntax_uid: str
    frames: FrameIndex
    pixels: PixelFacts | None
    metadata: bytes
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One instance that is stored and indexed; `already_there` when the same bytes were stored before.

    `warning_reason` is the value for (0008,1196), where something was changed or odd.
    """

    study_uid: StudyUID
    series_uid: SeriesUID
    instance_uid: InstanceUID
    sop_class_uid: str
    already_there: bool = False
    warning_reason: int | None = None
    warnings: tuple[str, ...] = ()
