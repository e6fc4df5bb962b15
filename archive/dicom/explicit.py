"""A stored instance as a Part 10 file in Explicit VR Little Endian (PS3.5 A.2, PS3.10 §7), to be sent in pieces.

Values are passed over, not read: what the plan holds is new heads, small values, and where the others lie. Sequences
and items come out with undefined lengths, group lengths are left out (both are free to the writer).
"""

import struct
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archive.dicom.elements import (
    ITEM,
    ITEM_END,
    LONG_VRS,
    PIXEL_DATA,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    Event,
    dataset_elements,
)
from archive.dicom.part10 import EXPLICIT_LE, FileMeta, Limits, read_file_meta
from archive.dicom.values import UNIT_BYTES, little_endian
from archive.errors import NotAcceptableError, UnprocessableError
from archive.instances import Buffer, PixelFacts, Span

IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.UUID('7f0f6a3e-6a0b-4e0c-9d53-0e5a1b3c8d21').int}"
IMPLEMENTATION_VERSION_NAME = "LIGHTBOX"
MAXIMUM_VALUE_BYTES = 0xFFFFFFFE
MAXIMUM_SHORT_BYTES = 0xFFFE
INLINE_BYTES = 1024
"""Longer values stay where they lie; the plan names their span."""
BLOCK_BYTES = 1 << 20
OFFSET_TABLES = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00003))
ICON_IMAGE_SEQUENCE = 0x00880200
SOP_CLASS_UID, SOP_INSTANCE_UID = 0x00080016, 0x00080018
LONG = frozenset(LONG_VRS)
SPACE_PADDED = frozenset(SHORT_VRS) - {"UI"} | {"UC", "UR", "UT"}
ITEM_HEAD = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
ITEM_TAIL = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_TAIL = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value that lies in `data`; `swapped_vr` is its VR where its byte order has to be turned round."""

    span: Span
    swapped_vr: str = ""


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """The place of all frames of the instance, one after another, decoded by whoever sends the file."""

    count: int
    frame_bits: int

    @property
    def frame_bytes(self) -> int:
        """Length of one decoded frame, filled up to whole bytes."""
        return (self.frame_bits + 7) // 8

    @property
    def length_bytes(self) -> int:
        return (self.count * self.frame_bits + 7) // 8

    def join(self, frames: Iterable[bytes]) -> Iterator[bytes]:
        """The frames as they follow each other in native pixel data: 1-bit samples across borders (PS3.5 §8.1.1).

        Raises UnprocessableError when a frame has not its length, or there are not `count` of them.
        """
        joiner = FrameJoiner(self)
        for frame in frames:
            yield joiner.add(frame)
        yield joiner.finish()


class FrameJoiner:
    """`DecodedFrames.join` for who gets the frames one by one."""

    def __init__(self, frames: DecodedFrames) -> None:
        self._frames = frames
        self._count = 0
        self._held = 0
        self._held_bits = 0

    def add(self, frame: bytes) -> bytes:
        self._count += 1
        if len(frame) != self._frames.frame_bytes or self._count > self._frames.count:
            raise UnprocessableError("A decoded frame has not the length that it should have.")
        if self._frames.frame_bits % 8 == 0:
            return frame
        bits = int.from_bytes(frame, "little") & ((1 << self._frames.frame_bits) - 1)
        joined = bits << self._held_bits | self._held
        whole_bytes, self._held_bits = divmod(self._frames.frame_bits + self._held_bits, 8)
        whole = joined & ((1 << whole_bytes * 8) - 1)
        self._held = joined >> whole_bytes * 8
        return whole.to_bytes(whole_bytes, "little")

    def finish(self) -> bytes:
        if self._count != self._frames.count:
            raise UnprocessableError("Some of the frames could not be decoded.")
        return self._held.to_bytes(1, "little") if self._held_bits else b""


Piece = bytes | StoredValue | DecodedFrames


@dataclass(frozen=True, slots=True)
class ExplicitFile:
    """The file to send: its pieces in order. `data` is what the spans lie in: the stored file, or its inflated dataset.

    `in_file`: the spans are ranges of the stored file itself and can be read from the store.
    """

    pieces: tuple[Piece, ...]
    data: Buffer
    in_file: bool

    @property
    def length_bytes(self) -> int:
        return sum(_length_of(piece) for piece in self.pieces)

    def blocks(self, frames: Iterable[bytes] = ()) -> Iterator[bytes]:
        """The whole file in blocks, `frames` being the decoded ones in order."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, StoredValue):
                yield from self.stored_blocks(piece)
            else:
                yield from piece.join(frames)

    def stored_blocks(self, value: StoredValue) -> Iterator[bytes]:
        """A stored value as it is sent, in blocks of bounded size."""
        end = value.span.offset + value.span.length_bytes
        for start in range(value.span.offset, end, BLOCK_BYTES):
            block = bytes(self.data[start : min(start + BLOCK_BYTES, end)])
            yield little_endian(block, value.swapped_vr) if value.swapped_vr else block


def _length_of(piece: Piece) -> int:
    if isinstance(piece, bytes):
        return len(piece)
    return piece.span.length_bytes if isinstance(piece, StoredValue) else piece.length_bytes


def plan_explicit(data: Buffer, decoded: PixelFacts | None, limits: Limits = Limits()) -> ExplicitFile:  # noqa: B008 - frozen
    """Plan the file. `decoded` says what the decoded frames are, where the stored pixel data is encapsulated.

    Raises
    ------
    NotAcceptableError
        The pixel data is longer than Explicit VR Little Endian can say, or some of it is encapsulated and not decoded.
    """
    return _plan(data, read_file_meta(data, limits), decoded, limits)


def complete_file(data: Buffer, limits: Limits = Limits()) -> ExplicitFile:  # noqa: B008 - frozen
    """A bare dataset, as old programs write it without preamble and meta information, made a Part 10 file.

    Raises RefusedInstanceError when it is no dataset, NotAcceptableError when it has encapsulated pixel data: what
    that is compressed with, nothing says.
    """
    return _plan(data, read_file_meta(data, limits, allow_missing_preamble=True), None, limits)


def _plan(data: Buffer, meta: FileMeta, decoded: PixelFacts | None, limits: Limits) -> ExplicitFile:
    dataset = dataset_elements(data, meta, limits)
    writer = FileWriter(dataset.data, decoded, big_endian=dataset.big_endian)
    writer.uids[SOP_CLASS_UID] = meta.media_storage_sop_class_uid
    writer.uids[SOP_INSTANCE_UID] = meta.media_storage_sop_instance_uid
    writer.write(dataset.events)
    head = file_head(writer.uids[SOP_CLASS_UID], writer.uids[SOP_INSTANCE_UID])
    return ExplicitFile((head, *writer.finish()), dataset.data, not meta.deflated)


def rewrite_explicit(
    data: Buffer, *, pixel_frames: Iterable[bytes] | None = None, facts_after: PixelFacts | None = None
) -> Iterator[bytes]:
    """The whole file in blocks, `pixel_frames` being the decoded frames in order; the memory used stays bounded.

    Raises NotAcceptableError as `plan_explicit`, UnprocessableError when a frame has not the length that
    `facts_after` says or frames are missing.
    """
    plan = plan_explicit(data, facts_after if pixel_frames is not None else None)
    return plan.blocks(pixel_frames or ())


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str = EXPLICIT_LE) -> bytes:
    """Preamble and File Meta Information (PS3.10 §7.1)."""
    group = element_head(0x00020001, "OB", 2) + b"\0\1"
    for tag, uid in (
        (0x00020002, sop_class_uid),
        (0x00020003, sop_instance_uid),
        (0x00020010, transfer_syntax_uid),
        (0x00020012, IMPLEMENTATION_CLASS_UID),
    ):
        group += short_element(tag, "UI", even(uid.encode(), b"\0"))
    group += short_element(0x00020013, "SH", even(IMPLEMENTATION_VERSION_NAME.encode(), b" "))
    length = short_element(0x00020000, "UL", struct.pack("<I", len(group)))
    return bytes(128) + b"DICM" + length + group


def even(value: bytes, pad: bytes) -> bytes:
    return value + pad if len(value) % 2 else value


def element_head(tag: int, vr: str, length: int) -> bytes:
    if vr in LONG:
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def short_element(tag: int, vr: str, value: bytes) -> bytes:
    return element_head(tag, vr, len(value)) + value


class PieceWriter:
    """Copies values of a stored dataset into the pieces of a file in Explicit VR Little Endian."""

    def __init__(self, data: Buffer, *, big_endian: bool) -> None:
        self.uids: dict[int, str] = {}
        self._data = data
        self._big = big_endian
        self._pieces: list[Piece] = []
        self._text = bytearray()

    def _flush(self) -> None:
        if self._text:
            self._pieces.append(bytes(self._text))
            self._text.clear()

    def _read(self, span: Span) -> bytes:
        return bytes(self._data[span.offset : span.offset + span.length_bytes])

    def _copy(self, tag: int, vr: str, span: Span) -> None:
        """The element as it is, but for its form."""
        padded = padded_length(span.length_bytes)
        swapped = vr if self._big and UNIT_BYTES.get(vr, 1) > 1 else ""
        if vr not in LONG and padded > MAXIMUM_SHORT_BYTES:
            vr = "UN"  # PS3.5 §6.2.2
        self._text += element_head(tag, vr, padded)
        self._copy_value(span, swapped)
        if span.length_bytes % 2:
            self._text += b" " if vr in SPACE_PADDED else b"\0"

    def _copy_value(self, span: Span, swapped: str) -> None:
        if span.length_bytes > INLINE_BYTES:
            self._flush()
            self._pieces.append(StoredValue(span, swapped))
        else:
            value = self._read(span)
            self._text += little_endian(value, swapped) if swapped else value


class FileWriter(PieceWriter):
    """Turns the events of the stored dataset into pieces. `decoded`: what takes the place of the pixel data."""

    def __init__(self, data: Buffer, decoded: PixelFacts | None, *, big_endian: bool) -> None:
        super().__init__(data, big_endian=big_endian)
        self._decoded = decoded
        self._replaced = image_pixel(decoded) if decoded is not None else {}
        self._pending = sorted(self._replaced)
        self._open: list[int] = []
        self._icon_begins: int | None = None
        self._icon_is_compressed = False

    def write(self, events: Iterator[Event]) -> None:
        for tag, vr, offset, length in events:
            if tag == ITEM:
                self._text += ITEM_HEAD
            elif tag == ITEM_END:
                self._text += ITEM_TAIL
            elif tag == SEQUENCE_END:
                self._close_sequence()
            elif vr == "SQ":
                self._open_sequence(tag)
            elif length == UNDEFINED:
                self._encapsulated(tag, events)
            elif tag & 0xFFFF:  # group lengths are left out
                self._element(tag, vr, Span(offset, length))

    def finish(self) -> list[Piece]:
        self._insert_before(1 << 32)
        self._flush()
        return self._pieces

    def _insert_before(self, tag: int) -> None:
        while self._pending and self._pending[0] < tag:
            self._text += self._replaced[self._pending.pop(0)]

    def _open_sequence(self, tag: int) -> None:
        if not self._open:
            self._insert_before(tag)
            if tag == ICON_IMAGE_SEQUENCE:
                self._flush()
                self._icon_begins, self._icon_is_compressed = len(self._pieces), False
        self._text += element_head(tag, "SQ", UNDEFINED)
        self._open.append(tag)

    def _close_sequence(self) -> None:
        self._text += SEQUENCE_TAIL
        self._open.pop()
        if not self._open and self._icon_begins is not None:
            if self._icon_is_compressed:  # it has no place in a native syntax, and is a copy of the image anyway
                del self._pieces[self._icon_begins :]
                self._text.clear()
            self._icon_begins = None

    def _element(self, tag: int, vr: str, span: Span) -> None:
        if not self._open:
            if tag in self._replaced or (self._decoded is not None and tag in OFFSET_TABLES):
                return
            self._insert_before(tag)
            if tag in (SOP_CLASS_UID, SOP_INSTANCE_UID) and span.length_bytes <= 64:
                self.uids[tag] = self._read(span).decode("latin-1").strip("\0 ")
        self._copy(tag, vr, span)

    def _encapsulated(self, tag: int, events: Iterator[Event]) -> None:
        for fragment_tag, _, _, _ in events:
            if fragment_tag == SEQUENCE_END:
                break
        if self._open and self._open[0] == ICON_IMAGE_SEQUENCE:
            self._icon_is_compressed = True
            return
        if tag != PIXEL_DATA or self._open:
            raise NotAcceptableError
        self._insert_before(tag)
        self._put_frames()

    def _put_frames(self) -> None:
        """Write what takes the place of the pixel data."""
        if self._decoded is None:
            raise NotAcceptableError
        frames = _decoded_frames(self._decoded)
        vr = "OW" if self._decoded.bits_allocated > 8 else "OB"
        self._text += element_head(PIXEL_DATA, vr, padded_length(frames.length_bytes))
        self._flush()
        self._pieces.append(frames)
        self._text += bytes(frames.length_bytes % 2)


def padded_length(length_bytes: int) -> int:
    """The even length that is written. Raises NotAcceptableError where 32 bits cannot say it."""
    padded = length_bytes + length_bytes % 2
    if padded > MAXIMUM_VALUE_BYTES:
        raise NotAcceptableError
    return padded


def _decoded_frames(facts: PixelFacts) -> DecodedFrames:
    bits = facts.rows * facts.columns * facts.samples_per_pixel * facts.bits_allocated
    return DecodedFrames(facts.number_of_frames, bits)


def image_pixel(facts: PixelFacts) -> dict[int, bytes]:
    """The elements that say what the decoded samples are (PS3.3 C.7.6.3), by tag."""
    photometric = even(facts.photometric_interpretation.encode(), b" ")
    elements_by_tag = {0x00280004: short_element(0x00280004, "CS", photometric), 0x00280006: b""}
    numbers = {
        0x00280002: facts.samples_per_pixel,
        0x00280100: facts.bits_allocated,
        0x00280101: facts.bits_stored,
        0x00280102: facts.high_bit,
        0x00280103: facts.pixel_representation,
    }
    if facts.samples_per_pixel > 1:
        numbers[0x00280006] = facts.planar_configuration
    for tag, number in numbers.items():
        elements_by_tag[tag] = short_element(tag, "US", struct.pack("<H", number))
    return elements_by_tag
