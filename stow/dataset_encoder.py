"""DICOM JSON object → Part 10 file in Explicit VR Little Endian, as a plan of pieces (PS3.18 F.2, PS3.5 §7, PS3.10 §7).

Bulk values stay where they lie: the plan names their spans. Pure.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archive.dicom.explicit import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from archive.errors import RefusedInstanceError
from archive.identifiers import is_uid
from archive.instances import Span
from stow.outcome import CANNOT_UNDERSTAND, MISSING_BULK_DATA

Json = Mapping[str, Mapping[str, Any]]
Piece = bytes | Span

CHARACTER_SET, SOP_CLASS, SOP_INSTANCE, PIXEL_DATA = "00080005", "00080016", "00080018", "7FE00010"
UTF_8 = "ISO_IR 192"
MAXIMUM_DEPTH = 64
UNDEFINED = 0xFFFFFFFF
MAXIMUM_LENGTH = 0xFFFFFFFE

_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
_LONG = _BINARY | {"SQ", "SV", "UC", "UR", "UT", "UV"}
_SINGLE_TEXT = {"LT", "ST", "UR", "UT"}
_TEXT = {"AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UC", "UI"} | _SINGLE_TEXT
_NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NOT_OF_THE_DATASET = {0x0000, 0x0002}
_TAG = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_LEFT_OUT = {"00083002"}
"""Available Transfer Syntax UID speaks of the server the metadata came from."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk value: where it lies; of encapsulated pixel data each span is the one fragment of a frame."""

    spans: tuple[Span, ...]
    encapsulated: bool = False


Resolver = Callable[[str], Bulk | None]
"""BulkDataURI → the value; None where it did not come with the request."""


def encode_file(dataset: Json, transfer_syntax_uid: str, resolve: Resolver) -> list[Piece]:
    """The pieces of a Part 10 file, in order.

    Text is written in UTF-8, and the Specific Character Set says so, unless all of it is ASCII.

    Raises RefusedInstanceError where the object cannot be expressed; names the attribute, never its value.
    """
    writer = _Writer(resolve, is_ascii=_is_ascii(dataset, 0))
    if not writer.is_ascii:
        dataset = {**dataset, CHARACTER_SET: {"vr": "CS", "Value": [UTF_8]}}
    sop_class, sop_instance = uid_of(dataset, SOP_CLASS), uid_of(dataset, SOP_INSTANCE)
    writer.put(_file_meta(sop_class, sop_instance, transfer_syntax_uid))
    writer.dataset(dataset, 0)
    return writer.pieces()


def uid_of(dataset: Json, tag: str) -> str:
    """The UID of an attribute. Raises RefusedInstanceError where it is missing or is none."""
    values = _entry(dataset, tag).get("Value")
    uid = values[0] if isinstance(values, list) and values else None
    if not isinstance(uid, str) or not is_uid(uid):
        raise _refusal(tag, "is missing or is no UID")
    return uid


def _entry(dataset: Json, tag: str) -> Mapping[str, Any]:
    entry = dataset.get(tag)
    return entry if isinstance(entry, Mapping) else {}


def _refusal(tag: str, fault: str) -> RefusedInstanceError:
    return RefusedInstanceError(CANNOT_UNDERSTAND, f"Attribute {tag[:8]} {fault}.")


def _file_meta(sop_class: str, sop_instance: str, transfer_syntax_uid: str) -> bytes:
    elements = b"".join(
        (
            _head(0x0002, 0x0001, "OB", 2) + b"\0\1",
            _uid_element(0x0002, sop_class),
            _uid_element(0x0003, sop_instance),
            _uid_element(0x0010, transfer_syntax_uid),
            _uid_element(0x0012, IMPLEMENTATION_CLASS_UID),
            _head(0x0002, 0x0013, "SH", len(IMPLEMENTATION_VERSION_NAME)) + IMPLEMENTATION_VERSION_NAME.encode(),
        )
    )
    length = _head(0x0002, 0x0000, "UL", 4) + struct.pack("<I", len(elements))
    return bytes(128) + b"DICM" + length + elements


def _uid_element(element: int, uid: str) -> bytes:
    value = _padded(uid.encode(), b"\0")
    return _head(0x0002, element, "UI", len(value)) + value


def _head(group: int, element: int, vr: str, length_bytes: int) -> bytes:
    if vr in _LONG:
        return struct.pack("<HH2sHI", group, element, vr.encode(), 0, length_bytes)
    return struct.pack("<HH2sH", group, element, vr.encode(), length_bytes)


def _padded(value: bytes, pad: bytes) -> bytes:
    return value + pad if len(value) % 2 else value


def _is_ascii(node: object, depth: int) -> bool:
    if depth > 4 * MAXIMUM_DEPTH:
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The sequences are nested too deeply.")
    if isinstance(node, str):
        return node.isascii()
    if isinstance(node, Mapping):
        return all(_is_ascii(value, depth + 1) for value in node.values())
    if isinstance(node, list):
        return all(_is_ascii(value, depth + 1) for value in node)
    return True


class _Writer:
    def __init__(self, resolve: Resolver, *, is_ascii: bool) -> None:
        self._resolve = resolve
        self.is_ascii = is_ascii
        self._pieces: list[Piece] = []
        self._pending = bytearray()

    def put(self, data: bytes) -> None:
        self._pending += data

    def pieces(self) -> list[Piece]:
        self._flush()
        return self._pieces

    def _flush(self) -> None:
        if self._pending:
            self._pieces.append(bytes(self._pending))
            self._pending.clear()

    def dataset(self, dataset: Json, depth: int) -> None:
        if depth > MAXIMUM_DEPTH:
            raise RefusedInstanceError(CANNOT_UNDERSTAND, "The sequences are nested too deeply.")
        if not isinstance(dataset, Mapping):
            raise RefusedInstanceError(CANNOT_UNDERSTAND, "An object of the metadata is no JSON object.")
        for tag in sorted(dataset, key=str.upper):
            group, element = _numbers_of(tag)
            if group == 0xFFFE:
                raise _refusal(tag, "is none that a dataset may hold")
            left_out = group in _NOT_OF_THE_DATASET or element == 0 or tag.upper() in _LEFT_OUT
            if left_out or (tag == CHARACTER_SET and depth and not self.is_ascii):
                continue
            self._element(tag, group, element, _entry(dataset, tag), depth)

    def _element(self, tag: str, group: int, element: int, entry: Mapping[str, Any], depth: int) -> None:
        vr = entry.get("vr")
        if not isinstance(vr, str) or vr not in _LONG | _TEXT | set(_NUMBERS) | {"AT", "DS", "IS", "PN"}:
            raise _refusal(tag, "has no known VR")
        if "BulkDataURI" in entry:
            self._bulk(tag, vr, entry["BulkDataURI"])
            return
        if vr == "SQ":
            self._sequence(tag, entry.get("Value", []), depth)
            return
        try:
            value = _value(vr, entry)
        except (ValueError, TypeError, AttributeError, struct.error, OverflowError, binascii.Error):
            raise _refusal(tag, f"has a value that cannot be written as {vr}") from None
        if vr not in _LONG and len(value) > 0xFFFE:
            vr = "UN"  # PS3.5 §6.2.2: what its own VR cannot hold in explicit form
        self.put(_head(group, element, vr, len(value)) + value)

    def _sequence(self, tag: str, items: object, depth: int) -> None:
        if not isinstance(items, list):
            raise _refusal(tag, "is no sequence of items")
        self.put(_head(*_numbers_of(tag), "SQ", UNDEFINED))
        for item in items:
            self.put(struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED))
            self.dataset({} if item is None else item, depth + 1)
            self.put(struct.pack("<HHI", 0xFFFE, 0xE00D, 0))
        self.put(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))

    def _bulk(self, tag: str, vr: str, uri: object) -> None:
        bulk = self._resolve(uri) if isinstance(uri, str) else None
        if bulk is None:
            raise RefusedInstanceError(MISSING_BULK_DATA, f"The bulk data of attribute {tag[:8]} did not come with it.")
        group, element = _numbers_of(tag)
        length = sum(span.length_bytes for span in bulk.spans)
        if any(span.length_bytes > MAXIMUM_LENGTH - 1 for span in bulk.spans):
            raise _refusal(tag, "is longer than a DICOM file can hold")
        if bulk.encapsulated:
            self.put(_head(group, element, "OB", UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, 0))
            for span in bulk.spans:
                self.put(struct.pack("<HHI", 0xFFFE, 0xE000, span.length_bytes + span.length_bytes % 2))
                self._span(span)
            self.put(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
            return
        if length > MAXIMUM_LENGTH - 1:
            raise _refusal(tag, "is longer than a DICOM file can hold")
        if vr not in _LONG and length > 0xFFFE:
            vr = "UN"
        self.put(_head(group, element, vr, length + length % 2))
        for span in bulk.spans:
            self._span(span, pad=b" " if vr in _TEXT else b"\0")

    def _span(self, span: Span, pad: bytes = b"\0") -> None:
        self._flush()
        self._pieces.append(span)
        if span.length_bytes % 2:
            self.put(pad)


def _numbers_of(tag: str) -> tuple[int, int]:
    if _TAG.fullmatch(tag) is None:  # int() would take signs and underscores too
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "A name in the metadata is no tag of eight digits.")
    return int(tag[:4], 16), int(tag[4:], 16)


def _value(vr: str, entry: Mapping[str, Any]) -> bytes:
    """The encoded value, of even length. Raises ValueError and its like where it does not fit the VR."""
    if "InlineBinary" in entry:
        return _padded(base64.b64decode(entry["InlineBinary"], validate=True), b"\0")
    values: Sequence[Any] = entry.get("Value") or []
    if not isinstance(values, list) or (vr in _BINARY and values):
        raise ValueError(vr)
    if vr in _NUMBERS:
        return b"".join(_number(vr, value) for value in values)
    if vr == "AT":
        return b"".join(struct.pack("<HH", *_numbers_of(value)) for value in values)
    if vr in _SINGLE_TEXT and len(values) > 1:
        raise ValueError(vr)
    texts = [_text(vr, value) for value in values]
    if vr not in _SINGLE_TEXT and any("\\" in text for text in texts):
        raise ValueError(vr)
    return _padded("\\".join(texts).encode("utf-8"), b"\0" if vr == "UI" else b" ")


def _number(vr: str, value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(vr)
    if vr in ("FL", "FD"):
        return struct.pack("<" + _NUMBERS[vr], float(value))
    return struct.pack("<" + _NUMBERS[vr], _whole(value))


def _whole(value: int | float | str) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def _text(vr: str, value: object) -> str:
    if value is None:
        return ""
    if vr == "PN":
        if not isinstance(value, Mapping):
            raise TypeError(vr)
        groups = [str(value.get(group, "")) for group in _NAME_GROUPS]
        return "=".join(groups).rstrip("=")
    if vr == "DS" and isinstance(value, float):
        return _decimal(value)
    if vr == "IS" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(_whole(value))
    if isinstance(value, int) and not isinstance(value, bool) and vr == "DS":
        return str(value)
    if not isinstance(value, str):
        raise TypeError(vr)
    return value


def _decimal(value: float) -> str:
    """At most 16 characters, with as many digits as fit (PS3.5 Table 6.2-1)."""
    if not math.isfinite(value):
        raise ValueError(value)
    text = repr(value)
    digits = 16
    while len(text) > 16:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text
