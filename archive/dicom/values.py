"""Values of each VR as the DICOM JSON Model has them (PS3.18 F.2.3), from bytes that PS3.5 §6.2 describes."""

import math
import re
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from pydicom import charset

Values = list[Any]
Parser = Callable[[bytes, "Encodings", bool], Values]
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_PAD = " \0"


class Encodings:
    """The character sets of a dataset (0008,0005), as Python's codecs. The default repertoire is read as UTF-8.

    ASCII is UTF-8; a file that writes UTF-8 without saying so is then shown as it was meant.
    """

    __slots__ = ("_codecs", "_single")

    def __init__(self, terms: Sequence[str] = ()) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown terms are read as the default, and a value is never lost
            try:
                self._codecs = charset.convert_encodings([term or "ISO_IR 6" for term in terms] or ["ISO_IR 192"])
            except (LookupError, ValueError):
                self._codecs = ["utf-8"]
        if self._codecs == ["iso8859"] and all(term in ("", "ISO_IR 6") for term in terms):
            self._codecs = ["utf-8"]
        self._single = self._codecs[0] if len(self._codecs) == 1 else None

    def decode(self, value: bytes, *, name: bool = False) -> str:
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii")
        if self._single is not None and b"\x1b" not in value:
            try:
                return value.decode(self._single)
            except (UnicodeDecodeError, LookupError):
                return value.decode("latin-1") if self._single == "utf-8" else value.decode(self._single, "replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            delimiters = charset.PN_DELIMS if name else charset.TEXT_VR_DELIMS
            return str(charset.decode_bytes(value, self._codecs, delimiters))


def _ascii(value: bytes) -> str:
    return value.decode("ascii") if value.isascii() else value.decode("latin-1")


def _codes(value: bytes, _encodings: Encodings, _big: bool) -> Values:
    """AE AS CS DA DT TM UI: ASCII, several values, padding of no meaning."""
    return [part.strip(_PAD) or None for part in _ascii(value).split("\\")]


def _strings(value: bytes, encodings: Encodings, _big: bool) -> Values:
    """LO SH UC: several values in the dataset's character set; leading spaces are kept."""
    return [part.rstrip(_PAD) or None for part in encodings.decode(value).split("\\")]


def _text(value: bytes, encodings: Encodings, _big: bool) -> Values:
    """LT ST UT: one value, a backslash is a character."""
    return [encodings.decode(value).rstrip(_PAD) or None]


def _uri(value: bytes, _encodings: Encodings, _big: bool) -> Values:
    return [_ascii(value).rstrip(_PAD) or None]


def _integer_strings(value: bytes, _encodings: Encodings, _big: bool) -> Values:
    """IS: a number where it is one, else the string as it stands (F.2.3 allows both)."""
    parts = [part.strip(_PAD) for part in _ascii(value).split("\\")]
    return [int(part) if _INTEGER.fullmatch(part) else part or None for part in parts]


def _decimal(part: str) -> float | str | None:
    if _DECIMAL.fullmatch(part):
        number = float(part)
        if math.isfinite(number):
            return number
    return part or None


def _decimal_strings(value: bytes, _encodings: Encodings, _big: bool) -> Values:
    """DS: a number where it is one and finite, else the string as it stands."""
    return [_decimal(part.strip(_PAD)) for part in _ascii(value).split("\\")]


def _names(value: bytes, encodings: Encodings, _big: bool) -> Values:
    """PN: component groups by name, those that are empty left out (F.2.2)."""
    names: Values = []
    for part in encodings.decode(value, name=True).split("\\"):
        groups = {key: group.rstrip(_PAD) for key, group in zip(_NAME_GROUPS, part.split("="), strict=False)}
        names.append({key: group for key, group in groups.items() if group} or None)
    return names


def _numbers(code: str) -> Parser:
    little, big, size = f"<%d{code}", f">%d{code}", struct.calcsize(f"<{code}")

    def parse(value: bytes, _encodings: Encodings, big_endian: bool) -> Values:
        count, rest = divmod(len(value), size)
        if rest:
            raise ValueError("The length is not a multiple of the value's size.")
        return list(struct.unpack((big if big_endian else little) % count, value))

    return parse


def _floats(code: str) -> Parser:
    parse_numbers = _numbers(code)

    def parse(value: bytes, encodings: Encodings, big_endian: bool) -> Values:
        numbers = parse_numbers(value, encodings, big_endian)
        if not all(map(math.isfinite, numbers)):
            raise ValueError("JSON has no number for NaN and infinity.")
        return numbers

    return parse


def _tags(value: bytes, _encodings: Encodings, big_endian: bool) -> Values:
    """AT: eight hexadecimal digits each."""
    numbers = _numbers("H")(value, _encodings, big_endian)
    if len(numbers) % 2:
        raise ValueError("An AT value has four bytes.")
    return [f"{group:04X}{element:04X}" for group, element in zip(numbers[::2], numbers[1::2], strict=True)]


PARSERS: dict[str, Parser] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI"), _codes),
    **dict.fromkeys(("LO", "SH", "UC"), _strings),
    **dict.fromkeys(("LT", "ST", "UT"), _text),
    "UR": _uri,
    "IS": _integer_strings,
    "DS": _decimal_strings,
    "PN": _names,
    "AT": _tags,
    "US": _numbers("H"),
    "SS": _numbers("h"),
    "UL": _numbers("I"),
    "SL": _numbers("i"),
    "UV": _numbers("Q"),
    "SV": _numbers("q"),
    "FL": _floats("f"),
    "FD": _floats("d"),
}
BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
UNIT_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8, "US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8,
              "UV": 8, "SV": 8, "AT": 2}  # fmt: skip
"""Size of the unit whose bytes change order between the byte orders; VRs that are not here have none."""


def little_endian(value: bytes, vr: str) -> bytes:
    """The bytes of a big endian value in little endian order (PS3.5 §7.3)."""
    unit = UNIT_BYTES.get(vr, 1)
    if unit == 1:
        return value
    swapped = bytearray(len(value))
    whole = len(value) - len(value) % unit
    for index in range(unit):
        swapped[index:whole:unit] = value[unit - 1 - index : whole : unit]
    swapped[whole:] = value[whole:]
    return bytes(swapped)
