"""A stored instance as a Part 10 file whose frames are encoded anew (PS3.5 A.4), to be sent in pieces.

Each frame is one fragment, so the Basic Offset Table can be empty: nobody has to know the lengths beforehand, and a
reader finds frame n in fragment n. What compression takes from an image is said in it, under a UID of its own.
"""

import struct
import uuid
from dataclasses import dataclass

from archive.dicom.elements import PIXEL_DATA, UNDEFINED, dataset_elements, outermost
from archive.dicom.explicit import (
    ITEM_HEAD,
    ITEM_TAIL,
    SEQUENCE_TAIL,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    ExplicitFile,
    FileWriter,
    element_head,
    even,
    file_head,
    short_element,
)
from archive.dicom.part10 import FileMeta, Limits, read_file_meta
from archive.errors import NotAcceptableError
from archive.instances import Buffer, PixelFacts, Span

DERIVED_UIDS = uuid.UUID("5b0c7f0e-3d0a-4c0f-9a3e-6f4f0a8f6c11")
"""Namespace of the UIDs that approximations get: the same instance has the same one each time."""
IMAGE_TYPE, LOSSY, RATIO, METHOD = 0x00080008, 0x00282110, 0x00282112, 0x00282114
DESCRIPTION, SOURCE_IMAGES, DERIVATION_CODES = 0x00082111, 0x00082112, 0x00089215
PURPOSE_CODES, REFERENCED_CLASS, REFERENCED_INSTANCE = 0x0040A170, 0x00081150, 0x00081155
KEPT_VALUES = frozenset((SOP_CLASS_UID, SOP_INSTANCE_UID, IMAGE_TYPE, RATIO, METHOD))
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
OVERLAY_BIT_POSITION = 0x0102
FRAGMENT_HEAD = struct.Struct("<HHI")
MAXIMUM_TEXT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Loss:
    """What PS3.3 C.7.6.1.1.5 wants to be said of lossy compression; the ratio is an approximate one."""

    method: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the frames are encoded as. `facts` describe them afterwards.

    `whole_container`: bits outside Bits Stored are kept too, so that overlays may lie in them.
    """

    transfer_syntax_uid: str
    facts: PixelFacts
    loss: Loss | None = None
    whole_container: bool = False


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """The file to send: what stands before the frames, the frames as `fragment` makes them, what stands after."""

    before: ExplicitFile
    after: ExplicitFile


def fragment(frame: bytes) -> bytes:
    """One frame as an item of the pixel data."""
    padded = even(frame, b"\0")
    return FRAGMENT_HEAD.pack(0xFFFE, 0xE000, len(padded)) + padded


def derived_uid(instance_uid: str, transfer_syntax_uid: str) -> str:
    """The SOP Instance UID of the approximation of an instance in this syntax."""
    return f"2.25.{uuid.uuid5(DERIVED_UIDS, f'{instance_uid} {transfer_syntax_uid}').int}"


def plan_encoded(data: Buffer, encoding: Encoding, limits: Limits = Limits()) -> EncodedFile:  # noqa: B008 - frozen
    """Plan the file. Raises NotAcceptableError where the syntax cannot hold all that the pixel data holds."""
    meta = read_file_meta(data, limits)
    uids = {SOP_CLASS_UID: meta.media_storage_sop_class_uid, SOP_INSTANCE_UID: meta.media_storage_sop_instance_uid}
    derivation = None
    if encoding.loss is not None:
        values = _kept_values(data, meta, limits)
        uids |= {tag: values[tag] for tag in uids if values.get(tag)}
        derivation = _derivation(encoding, uids, values)
        uids[SOP_INSTANCE_UID] = derived_uid(uids[SOP_INSTANCE_UID], encoding.transfer_syntax_uid)
    dataset = dataset_elements(data, meta, limits)
    writer = _EncodedWriter(dataset.data, encoding, derivation, big_endian=dataset.big_endian)
    writer.uids.update(uids)
    writer.write(dataset.events)
    pieces = writer.finish()
    head = file_head(writer.uids[SOP_CLASS_UID], writer.uids[SOP_INSTANCE_UID], encoding.transfer_syntax_uid)
    if writer.frames_at is None:
        raise NotAcceptableError
    before, after = (head, *pieces[: writer.frames_at]), tuple(pieces[writer.frames_at :])
    in_file = not meta.deflated
    return EncodedFile(ExplicitFile(before, dataset.data, in_file), ExplicitFile(after, dataset.data, in_file))


@dataclass(frozen=True, slots=True)
class _Derivation:
    """Elements that are set, and items that are added to sequences, by tag."""

    elements: dict[int, bytes]
    items: dict[int, bytes]


class _EncodedWriter(FileWriter):
    """Leaves a place for the frames, wherever the pixel data comes from."""

    def __init__(self, data: Buffer, encoding: Encoding, derivation: _Derivation | None, *, big_endian: bool) -> None:
        super().__init__(data, encoding.facts, big_endian=big_endian)
        self.frames_at: int | None = None
        self._whole_container = encoding.whole_container
        self._items: dict[int, bytes] = {}
        if derivation is not None:
            self._items = derivation.items
            self._replaced |= derivation.elements
            for tag, items in derivation.items.items():
                self._replaced[tag] = element_head(tag, "SQ", UNDEFINED) + items + SEQUENCE_TAIL
            self._pending = sorted(self._replaced)

    def _put_frames(self) -> None:
        self._text += element_head(PIXEL_DATA, "OB", UNDEFINED) + fragment(b"")  # an empty Basic Offset Table
        self._flush()
        self.frames_at = len(self._pieces)
        self._text += SEQUENCE_TAIL

    def _element(self, tag: int, vr: str, span: Span) -> None:
        if tag == PIXEL_DATA and not self._open:
            self._insert_before(tag)
            self._put_frames()
            return
        if tag & 0xFFFF == OVERLAY_BIT_POSITION and tag >> 16 in OVERLAY_GROUPS and not self._open:
            self._check_overlay(span)
        super()._element(tag, vr, span)

    def _check_overlay(self, span: Span) -> None:
        """Raise NotAcceptableError where an overlay lies in bits of the pixel data that would be lost."""
        if not self._whole_container and any(self._data[span.offset : span.offset + span.length_bytes]):
            raise NotAcceptableError

    def _open_sequence(self, tag: int) -> None:
        if not self._open and tag in self._items and tag in self._pending:
            self._pending.remove(tag)
        super()._open_sequence(tag)

    def _close_sequence(self) -> None:
        if len(self._open) == 1:
            self._text += self._items.get(self._open[0], b"")
        super()._close_sequence()


def _kept_values(data: Buffer, meta: FileMeta, limits: Limits) -> dict[int, str]:
    """Values of the dataset itself that the description of an approximation is made from."""
    dataset = dataset_elements(data, meta, limits)
    values: dict[int, str] = {}
    for tag, _, span in outermost(dataset.events):
        if tag in KEPT_VALUES and span.length_bytes <= MAXIMUM_TEXT_BYTES:
            value = bytes(dataset.data[span.offset : span.offset + span.length_bytes])
            values[tag] = value.decode("latin-1").strip("\0 ")
    return values


def _derivation(encoding: Encoding, uids: dict[int, str], values: dict[int, str]) -> _Derivation:
    """PS3.3 C.7.6.1.1.2 to .5: an approximation is a derived image, and names what it was made from."""
    loss = encoding.loss or Loss("", 1.0)
    image_type = values.get(IMAGE_TYPE, "").split("\\")
    ratios = [value for value in (values.get(RATIO, ""), f"{loss.ratio:.2f}") if value]
    methods = [value for value in (values.get(METHOD, ""), loss.method) if value]
    instance_uid = derived_uid(uids[SOP_INSTANCE_UID], encoding.transfer_syntax_uid)
    elements = {
        IMAGE_TYPE: _text(IMAGE_TYPE, "CS", "\\".join(["DERIVED", *(image_type[1:] or ["SECONDARY"])])),
        SOP_INSTANCE_UID: _uid(SOP_INSTANCE_UID, instance_uid),
        DESCRIPTION: _text(DESCRIPTION, "ST", "Lossy compression on retrieval"),
        LOSSY: _text(LOSSY, "CS", "01"),
        RATIO: _text(RATIO, "DS", "\\".join(ratios)),
        METHOD: _text(METHOD, "CS", "\\".join(methods)),
    }
    purpose = _code("121320", "Uncompressed predecessor")
    source = (
        _uid(REFERENCED_CLASS, uids[SOP_CLASS_UID])
        + _uid(REFERENCED_INSTANCE, uids[SOP_INSTANCE_UID])
        + element_head(PURPOSE_CODES, "SQ", UNDEFINED)
        + purpose
        + SEQUENCE_TAIL
    )
    items = {SOURCE_IMAGES: ITEM_HEAD + source + ITEM_TAIL, DERIVATION_CODES: _code("113040", "Lossy Compression")}
    return _Derivation(elements, items)


def _code(value: str, meaning: str) -> bytes:
    """An item of a code sequence, of DICOM's own scheme (PS3.16 D)."""
    text = _text(0x00080100, "SH", value) + _text(0x00080102, "SH", "DCM") + _text(0x00080104, "LO", meaning)
    return ITEM_HEAD + text + ITEM_TAIL


def _text(tag: int, vr: str, value: str) -> bytes:
    return short_element(tag, vr, even(value.encode("latin-1"), b" "))


def _uid(tag: int, value: str) -> bytes:
    return short_element(tag, "UI", even(value.encode("latin-1"), b"\0"))
