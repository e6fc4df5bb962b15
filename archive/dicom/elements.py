"""The elements of a dataset in their order, in whichever syntax they are encoded (PS3.5 §7 and A). Pure.

Only the heads of elements are read, so it works on a mapped file of any size; every length is held to the bytes that
are there, and nothing is allocated by a length that the file claims.
"""

import struct
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from archive.dicom.dictionary import ImpliedVRs
from archive.dicom.part10 import FileMeta, Limits, inflate, refuse
from archive.errors import RefusedInstanceError
from archive.instances import Buffer, Span

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010
PIXEL_REPRESENTATION = 0x00280103

SHORT_VRS = ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST",
             "TM", "UI", "UL", "US")  # fmt: skip
LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
"""VRs whose head has a 32-bit length (PS3.5 Table 7.1-1)."""
_SHORT = {vr.encode(): vr for vr in SHORT_VRS}
_LONG = {vr.encode(): vr for vr in LONG_VRS}
_FRAGMENT_VRS = frozenset(("OB", "OW"))
_PADDING_BLOCK_BYTES = 1 << 16
_MAXIMUM_CREATOR_BYTES = 256

Event = tuple[int, str, int, int]
"""(tag, VR, offset of the value, length of the value).

A sequence is the event of its element with VR SQ, then for each item an ITEM event, the item's elements and an
ITEM_END event, then a SEQUENCE_END event. Encapsulated pixel data is the event of its element with an undefined
length, then one ITEM event for the offset table and for each fragment, then SEQUENCE_END. Whether lengths were
defined or delimited in the file makes no difference. Items and delimiters have no VR ("").
"""


@dataclass(frozen=True, slots=True)
class DatasetElements:
    """The events of a file's dataset. `data` is what their offsets lie in: the file, or its inflated dataset.

    `start` is the first byte of the dataset in it. `explicit`: its first element is written with its VR.
    """

    data: Buffer
    events: Iterator[Event]
    big_endian: bool
    warnings: tuple[str, ...] = ()
    start: int = 0
    explicit: bool = True


def dataset_elements(data: Buffer, meta: FileMeta, limits: Limits) -> DatasetElements:
    """Walk the dataset of a file. A file that is not encoded as it says is read as it is, with a warning.

    The iterator raises RefusedInstanceError when the dataset is cut short, cannot be understood, or is over a limit.
    """
    start = meta.dataset_offset
    if meta.deflated:
        data, start = inflate(data[start:], limits), 0
    explicit, big_endian = meta.explicit, meta.big_endian
    warnings: tuple[str, ...] = ()
    name = bytes(data[start + 4 : start + 6])
    if not explicit and (name in _SHORT or name in _LONG):
        explicit, warnings = True, ("The dataset is in explicit VR, though its transfer syntax says implicit.",)
    elif explicit and not big_endian and len(data) >= start + 8 and not (name.isalpha() and name.isupper()):
        warnings = ("The dataset is in implicit VR, though its transfer syntax says explicit.",)
    walker = _Walker(data, limits, ">" if big_endian else "<")
    events = walker.dataset(start, len(data), _Place(0, False, explicit, ImpliedVRs()))
    return DatasetElements(data, events, big_endian, warnings, start, name in _SHORT or name in _LONG)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a dataset stands: how deep, whether a delimiter ends it, how its heads are written."""

    depth: int
    delimited: bool
    explicit: bool
    implied: ImpliedVRs


class _Walker:
    def __init__(self, data: Buffer, limits: Limits, order: str) -> None:
        self._data = data
        self._limits = limits
        self._left = limits.elements
        self._no_padding_before = -1
        self._head = struct.Struct(order + "HH2sH").unpack_from
        self._implicit_head = struct.Struct(order + "HHI").unpack_from
        self._long = struct.Struct(order + "I").unpack_from
        self._short = struct.Struct(order + "H").unpack_from

    def dataset(self, position: int, end: int, place: _Place) -> Generator[Event, None, int]:
        """Elements until `end`, or until the item's delimiter; returns the position behind."""
        data, head, short = self._data, self._head, _SHORT if place.explicit else {}
        while position + 8 <= end:
            group, element, name, length = head(data, position)
            vr = short.get(name)
            offset = position + 8
            if vr is None:
                if group == 0xFFFE and place.delimited and element == 0xE00D:
                    return offset
                if name == b"\0\0" and place.depth == 0 and self._is_padding(position, end):
                    return end
                vr, offset, length = self._other_head(position, end, place)
            elif group == 0xFFFE:
                raise refuse("A delimiter stands where an element should.")
            self._left -= 1
            if self._left < 0:
                raise self._too_many()
            tag = group << 16 | element
            if length == UNDEFINED or vr == "SQ":
                position = yield from self._nested((tag, vr, offset, length), end, place)
                continue
            position = offset + length
            if position > end:
                raise refuse(f"The file is cut short: the value of ({group:04X},{element:04X}) ends behind its end.")
            yield tag, vr, offset, length
        if place.delimited:
            raise refuse("The file is cut short inside a sequence.")
        if position != end and not (place.depth == 0 and self._is_padding(position, end)):
            raise refuse("The file is cut short inside an element's head.")
        return end

    def _too_many(self) -> RefusedInstanceError:
        return refuse(f"The dataset has more than {self._limits.elements} elements and items.")

    def _is_padding(self, position: int, end: int) -> bool:
        """Whether nothing but zeros follows, as some encoders fill up their last block.

        What was found is kept: a file may ask this at each of a million elements of zeros.
        """
        if position <= self._no_padding_before:
            return False
        while position < end:
            block = bytes(self._data[position : min(end, position + _PADDING_BLOCK_BYTES)])
            if block.count(0) != len(block):
                self._no_padding_before = position + len(block) - len(block.lstrip(b"\0"))
                return False
            position += len(block)
        return True

    def _other_head(self, position: int, end: int, place: _Place) -> tuple[str, int, int]:
        """VR, value offset and length of a head that is not explicit with a 16-bit length."""
        group, element, name, length = self._head(self._data, position)
        if group == 0xFFFE:
            raise refuse("A delimiter stands where an element should.")
        if place.explicit and name.isalpha() and name.isupper():
            return self._long_head(position, end, name)
        # Implicit VR; also met inside explicit datasets of old encoders, element by element.
        _, _, length = self._implicit_head(self._data, position)
        tag, offset = group << 16 | element, position + 8
        vr = place.implied.vr_of(tag)
        if group & 1 and 0x10 <= element <= 0xFF and offset + length <= end:
            value = bytes(self._data[offset : offset + min(length, _MAXIMUM_CREATOR_BYTES)])
            place.implied.learn_creator(tag, value)
        elif tag == PIXEL_REPRESENTATION and length == 2 and offset + 2 <= end:
            place.implied.learn_pixel_representation(signed=self._short(self._data, offset)[0] == 1)
        return vr, offset, length

    def _long_head(self, position: int, end: int, name: bytes) -> tuple[str, int, int]:
        vr = _LONG.get(name)
        _, _, _, short_length = self._head(self._data, position)
        if position + 12 > end:
            if vr is None:
                return "UN", position + 8, int(short_length)
            raise refuse("The file is cut short inside an element's head.")
        (length,) = self._long(self._data, position + 8)
        if vr is not None:
            return vr, position + 12, length
        # A VR of a later edition has a 32-bit length (PS3.5 §6.2); one of nobody's may be written either way.
        if short_length == 0 and position + 12 + length <= end:
            return "UN", position + 12, length
        return "UN", position + 8, int(short_length)

    def _nested(self, event: Event, end: int, place: _Place) -> Generator[Event, None, int]:
        """A sequence, or encapsulated pixel data; returns the position behind it."""
        tag, vr, offset, length = event
        if length == UNDEFINED and (tag == PIXEL_DATA or vr in _FRAGMENT_VRS):
            written = bytes(self._data[offset - 8 : offset - 6])  # the VR, where the head has one
            yield tag, "OW" if written == b"OW" else "OB", offset, UNDEFINED
            return (yield from self._fragments(offset, end))
        if vr not in ("SQ", "UN") and place.explicit:
            raise refuse(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has an undefined length and is no sequence.")
        if place.depth >= self._limits.depth:
            raise refuse(f"Sequences are nested more than {self._limits.depth} deep.")
        stop = end if length == UNDEFINED else offset + length
        if stop > end:
            raise refuse(f"The file is cut short: sequence ({tag >> 16:04X},{tag & 0xFFFF:04X}) ends behind its end.")
        # PS3.5 §6.2.2: UN of undefined length is a sequence in implicit VR.
        explicit = place.explicit and vr == "SQ"
        yield tag, "SQ", offset, length
        position = offset
        while position < stop:
            item_tag, start, item_length = self._item_head(position, stop)
            if item_tag == SEQUENCE_END and length == UNDEFINED:
                yield SEQUENCE_END, "", start, 0
                return start
            if item_tag != ITEM:
                raise refuse(f"Sequence ({tag >> 16:04X},{tag & 0xFFFF:04X}) holds something that is no item.")
            undefined = item_length == UNDEFINED
            item_end = stop if undefined else start + item_length
            if item_end > stop:
                raise refuse("The file is cut short: an item ends behind its sequence.")
            yield ITEM, "", start, item_length
            inside = _Place(place.depth + 1, undefined, explicit, ImpliedVRs(place.implied))
            position = yield from self.dataset(start, item_end, inside)
            yield ITEM_END, "", position, 0
        if length == UNDEFINED:
            raise refuse("The file is cut short inside a sequence.")
        yield SEQUENCE_END, "", position, 0
        return position

    def _fragments(self, position: int, end: int) -> Generator[Event, None, int]:
        """The items of encapsulated pixel data (PS3.5 A.4)."""
        while True:
            item_tag, start, length = self._item_head(position, end)
            if item_tag == SEQUENCE_END:
                yield SEQUENCE_END, "", start, 0
                return start
            if item_tag != ITEM or length == UNDEFINED:
                raise refuse("Encapsulated pixel data holds something that is no fragment.")
            position = start + length
            if position > end:
                raise refuse("The file is cut short inside its pixel data.")
            yield ITEM, "", start, length

    def _item_head(self, position: int, end: int) -> tuple[int, int, int]:
        if position + 8 > end:
            raise refuse("The file is cut short inside a sequence or its pixel data.")
        group, element, length = self._implicit_head(self._data, position)
        self._left -= 1
        if self._left < 0:
            raise self._too_many()
        return group << 16 | element, position + 8, length


def outermost(events: Iterable[Event]) -> Iterator[tuple[int, str, Span]]:
    """Tag, VR and value of the dataset's own elements that are neither sequences nor encapsulated."""
    depth = 0
    for tag, vr, offset, length in events:
        if tag == SEQUENCE_END:
            depth -= 1
        elif vr == "SQ" or (vr and length == UNDEFINED):
            depth += 1
        elif not depth and vr:
            yield tag, vr, Span(offset, length)
