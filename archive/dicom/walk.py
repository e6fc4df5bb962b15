"""One walk over the bytes of a dataset: its DICOM JSON object, and where its large values lie.

Works on a mapped file: values that are given as BulkDataURI are passed over, never read. One bad element never costs
the rest: what cannot be read as its VR says is kept as InlineBinary, with a warning.
"""

import struct
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from pydicom.datadict import DicomDictionary, dictionary_VR

from archive.dicom.part10 import FileMeta, Limits, inflate, refuse
from archive.dicom.values import BINARY_VRS, PARSERS, Encodings, little_endian
from archive.instances import Buffer, Span

BULK_BINARY_BYTES = 1024
"""Longer values of binary VRs become BulkDataURI."""
BULK_TEXT_BYTES = 64 << 10
"""Longer values of the other VRs that may (PS3.18 §10.4.3.3.2) do too."""
BULK_VRS = frozenset(
    ("DS", "FL", "FD", "IS", "LT", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "ST", "SV", "UC", "UL", "UN", "US")
) | {"UT", "UV"}
PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
OFFSET_TABLE_TAGS = frozenset((0x7FE00001, 0x7FE00002))
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SPECIFIC_CHARACTER_SET = "00080005"
PIXEL_REPRESENTATION = "00280103"
MAXIMUM_WARNINGS = 20

_LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_VR_NAMES = {vr.encode(): vr for vr in (*PARSERS, *BINARY_VRS, "SQ")}
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "US or SS": "US"}

Json = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value that is not in the JSON. `spans` lie in the walked bytes: several where it is encapsulated."""

    path: str
    tag: int
    vr: str
    spans: tuple[Span, ...]
    big_endian: bool = False
    encapsulated: bool = False
    offset_table: tuple[int, ...] = ()


@dataclass(slots=True)
class Walked:
    """What a walk found. `data` is what the spans lie in: the file, or the inflated dataset."""

    data: Buffer
    attributes: Json = field(default_factory=dict)
    bulk: list[BulkValue] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    """The JSON entries of `bulk`, in its order, to be given their BulkDataURI."""


def walk(data: Buffer, meta: FileMeta, limits: Limits) -> Walked:
    """Walk the whole dataset. Raises RefusedInstanceError when it is cut short or over a limit."""
    start = meta.dataset_offset
    if meta.deflated:
        data, start = inflate(data[start:], limits), 0
    walker = _Walker(data, meta, limits)
    attributes, _ = walker.dataset(start, len(data), _Place(0, "", Encodings(), delimited=False))
    walker.walked.attributes = attributes
    return walker.walked


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the nesting a dataset stands."""

    depth: int
    path: str
    encodings: Encodings
    delimited: bool
    explicit: bool | None = None


class _Walker:
    def __init__(self, data: Buffer, meta: FileMeta, limits: Limits) -> None:
        order = ">" if meta.big_endian else "<"
        self._data = data
        self._explicit = meta.explicit
        self._big = meta.big_endian
        self._limits = limits
        self._left = limits.elements
        self._head = struct.Struct(order + "HH2sH")
        self._implicit_head = struct.Struct(order + "HHI")
        self._long = struct.Struct(order + "I")
        self.walked = Walked(data)

    def dataset(self, position: int, end: int, place: _Place) -> tuple[Json, int]:
        """Read elements until `end`, or until the item's delimiter; returns the JSON and where it ended."""
        found: Json = {}
        encodings = place.encodings
        explicit = self._explicit if place.explicit is None else place.explicit
        previous = -1
        while position < end:
            tag, vr, offset, length = self._element(position, end, explicit)
            if tag == ITEM_END and place.delimited:
                return found, offset
            if tag >> 16 == 0xFFFE:
                raise refuse("A delimiter stands where an element should.")
            self._left -= 1
            if self._left < 0:
                raise refuse(f"The dataset has more than {self._limits.elements} elements.")
            key = f"{tag:08X}"
            if vr == "":
                vr = self._implied_vr(tag, found)
            if length == UNDEFINED or vr == "SQ":
                entry, position = self._nested(tag, vr, (offset, length, end), _Place(
                    place.depth + 1, f"{place.path}{key}", encodings, delimited=True, explicit=place.explicit
                ))  # fmt: skip
            else:
                position = offset + length
                entry = self._plain((tag, vr, offset, length), place.path + key, encodings)
            if tag & 0xFFFF == 0:
                continue  # group lengths are left out (F.2.5)
            if tag <= previous:
                if key in found:
                    self._warn(f"({key[:4]},{key[4:]}) stands twice; the first is kept.")
                    continue
                found[key] = entry
                found = dict(sorted(found.items()))
                continue
            previous = tag
            found[key] = entry
            if tag == 0x00080005:
                encodings = Encodings([term or "" for term in entry.get("Value", ())])
        if place.delimited:
            raise refuse("The file is cut short inside a sequence.")
        return found, position

    def _element(self, position: int, end: int, explicit: bool) -> tuple[int, str, int, int]:
        """Tag, VR ("" when implicit), offset and length of the value that begins at `position`."""
        if position + 8 > end:
            raise refuse("The file is cut short inside an element's head.")
        group, element, name, length = self._head.unpack_from(self._data, position)
        tag = group << 16 | element
        vr = _VR_NAMES.get(name) if explicit and group != 0xFFFE else None
        offset = position + 8
        if vr is None:
            vr = ""
            if explicit and group != 0xFFFE and name.isalpha() and name.isupper():
                vr = "UN"  # an unknown VR in the short form, as its length says
            else:
                # Implicit VR; also met inside explicit datasets of old encoders, element by element.
                _, _, length = self._implicit_head.unpack_from(self._data, position)
        elif vr in _LONG_VRS:
            if position + 12 > end:
                raise refuse("The file is cut short inside an element's head.")
            (length,) = self._long.unpack_from(self._data, offset)
            offset += 4
        if length != UNDEFINED and offset + length > end:
            raise refuse(f"The file is cut short: the value of ({group:04X},{element:04X}) ends behind its end.")
        return tag, vr, offset, length

    def _implied_vr(self, tag: int, found: Json) -> str:
        """The VR that the dictionary gives, for implicit VR; UN for private and unknown attributes."""
        if tag & 0xFFFF == 0:
            return "UL"
        if tag >> 16 & 1:
            return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
        try:
            vr = DicomDictionary[tag][0] if tag in DicomDictionary else dictionary_VR(tag)
        except KeyError:
            return "UN"
        if vr == "US or SS" and found.get(PIXEL_REPRESENTATION, {}).get("Value") == [1]:
            return "SS"
        return _AMBIGUOUS.get(str(vr), str(vr))

    def _plain(self, element: tuple[int, str, int, int], path: str, encodings: Encodings) -> dict[str, Any]:
        tag, vr, offset, length = element
        if tag in PIXEL_TAGS or (
            length > (BULK_BINARY_BYTES if vr in BINARY_VRS else BULK_TEXT_BYTES) and vr in BULK_VRS
        ):
            return self._bulk(BulkValue(path, tag, vr, (Span(offset, length),), self._big))
        if length == 0:
            return {"vr": vr}
        value = bytes(self._data[offset : offset + length])
        if vr not in BINARY_VRS:
            try:
                values = PARSERS[vr](value, encodings, self._big)
            except (ValueError, struct.error, LookupError):
                self._warn(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is no valid {vr}; its bytes are given as they stand.")
            else:
                return {"vr": vr} if values == [None] else {"vr": vr, "Value": values}
        return {"vr": vr, "InlineBinary": b64encode(little_endian(value, vr) if self._big else value).decode()}

    def _bulk(self, value: BulkValue) -> dict[str, Any]:
        entry: dict[str, Any] = {"vr": value.vr}
        if any(span.length_bytes for span in value.spans):
            self.walked.bulk.append(value)
            self.walked.entries.append(entry)
        return entry

    def _nested(self, tag: int, vr: str, where: tuple[int, int, int], place: _Place) -> tuple[dict[str, Any], int]:
        """A sequence, or encapsulated pixel data; returns its JSON and the position behind it."""
        if place.depth > self._limits.depth:
            raise refuse(f"Sequences are nested more than {self._limits.depth} deep.")
        offset, length, end = where
        if tag in PIXEL_TAGS:
            return self._encapsulated(tag, vr, offset, end, place.path)
        if vr not in ("SQ", "UN"):
            raise refuse(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has an undefined length and is no sequence.")
        if vr == "UN":  # PS3.5 §6.2.2 note: of undefined length it is a sequence in implicit VR little endian
            place = _Place(place.depth, place.path, place.encodings, delimited=True, explicit=False)
        items: list[Json] = []
        position = offset
        stop = end if length == UNDEFINED else offset + length
        while position < stop:
            item_tag, _, start, item_length = self._element(position, stop, explicit=False)
            if item_tag == SEQUENCE_END and length == UNDEFINED:
                return self._sequence(items), start
            if item_tag != ITEM:
                raise refuse(f"Sequence ({tag >> 16:04X},{tag & 0xFFFF:04X}) holds something that is no item.")
            undefined = item_length == UNDEFINED
            inside = _Place(place.depth, f"{place.path}/{len(items) + 1}/", place.encodings, undefined, place.explicit)
            item, position = self.dataset(start, stop if undefined else start + item_length, inside)
            items.append(item)
        if length == UNDEFINED:
            raise refuse("The file is cut short inside a sequence.")
        return self._sequence(items), position

    @staticmethod
    def _sequence(items: list[Json]) -> dict[str, Any]:
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}

    def _encapsulated(self, tag: int, vr: str, position: int, end: int, path: str) -> tuple[dict[str, Any], int]:
        """Fragments of encapsulated pixel data; the first item is the Basic Offset Table (PS3.5 A.4)."""
        spans: list[Span] = []
        table: tuple[int, ...] | None = None
        while True:
            item_tag, _, start, length = self._element(position, end, explicit=False)
            if item_tag == SEQUENCE_END:
                break
            if item_tag != ITEM or length == UNDEFINED:
                raise refuse("Encapsulated pixel data holds something that is no fragment.")
            if table is None:
                table = struct.unpack_from(f"<{length // 4}I", self._data, start)
            else:
                spans.append(Span(start, length))
            position = start + length
        value = BulkValue(path, tag, "OB" if vr in ("", "UN") else vr, tuple(spans), False, True, table or ())
        return self._bulk(value), start

    def _warn(self, sentence: str) -> None:
        if len(self.walked.warnings) < MAXIMUM_WARNINGS:
            self.walked.warnings.append(sentence)
