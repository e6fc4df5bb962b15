"""Values of each VR as the DICOM JSON Model writes them (PS3.18 F.2.3), from bytes that PS3.5 §6.2 describes.

A decimal or integer string comes out as a JSON number in the digits of the file (`1.10` stays `1.10`), and as a
string where it is no number, is out of its range, or has more digits than a reader's double could keep.
"""

import math
import re
import struct
from collections.abc import Callable
from typing import Any

import orjson

from archive.dicom.charset import CharacterSets

Encoder = Callable[[bytes, CharacterSets, bool], bytes]
"""(value, character sets, big endian) → the JSON values, joined by commas; empty where there is no value.

Raises ValueError when the bytes are no value of the VR.
"""

_PAD = " \0"
_PAD_BYTES = b" \0"
_NUMBER = rb"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?"
_NUMBERS = re.compile(rb"%b(?:\\%b)*" % (_NUMBER, _NUMBER))
_INTEGERS = re.compile(rb"(?:0|-?[1-9][0-9]{0,8})(?:\\(?:0|-?[1-9][0-9]{0,8}))*")
_DECIMAL = re.compile(r"([+-]?)(?=\.?[0-9])0*([0-9]{0,15})(?:\.([0-9]{0,30}))?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}", re.ASCII)
_IS_MINIMUM, _IS_MAXIMUM = -(2**31), 2**31 - 1
_SHORT_BYTES = 256
_EXACT_DIGITS = 15
_SAFE_INTEGER = 2**53 - 1
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


class NotFiniteError(ValueError):
    """A float that JSON cannot write (NaN, infinity)."""


class UndecodableTextError(ValueError):
    """Text with bytes outside its character sets; `encoded` is what could be made of it."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__("There are bytes outside the character sets.")
        self.encoded = encoded


def _ascii(value: bytes) -> str:
    return value.decode("ascii") if value.isascii() else value.decode("latin-1")


def _listed(parts: list[str | None]) -> bytes:
    return b"" if parts == [None] else orjson.dumps(parts)[1:-1]


def _codes(value: bytes, _sets: CharacterSets, _big: bool) -> bytes:
    """AE AS CS DA DT TM UI: ASCII, several values, padding of no meaning."""
    text = _ascii(value)
    if "\\" in text:
        return _listed([part.strip(_PAD) or None for part in text.split("\\")])
    text = text.strip(_PAD)
    return orjson.dumps(text) if text else b""


def _uri(value: bytes, _sets: CharacterSets, _big: bool) -> bytes:
    return _listed([_ascii(value).rstrip(_PAD) or None])


def _strings(value: bytes, sets: CharacterSets, _big: bool) -> bytes:
    """LO SH UC: several values in the dataset's character sets; leading spaces are kept."""
    text, valid = sets.decode(value)
    if "\\" in text:
        encoded = _listed([part.rstrip(_PAD) or None for part in text.split("\\")])
    else:
        text = text.rstrip(_PAD)
        encoded = orjson.dumps(text) if text else b""
    if not valid:
        raise UndecodableTextError(encoded)
    return encoded


def _text(value: bytes, sets: CharacterSets, _big: bool) -> bytes:
    """LT ST UT: one value, a backslash is a character."""
    text, valid = sets.decode(value)
    text = text.rstrip(_PAD)
    encoded = orjson.dumps(text) if text else b""
    if not valid:
        raise UndecodableTextError(encoded)
    return encoded


def _names(value: bytes, sets: CharacterSets, _big: bool) -> bytes:
    """PN: component groups by name, those that are empty left out (F.2.2)."""
    text, valid = sets.decode(value)
    if "=" not in text and "\\" not in text and valid:
        text = text.rstrip(_PAD)
        return b'{"Alphabetic":' + orjson.dumps(text) + b"}" if text else b""
    names: list[dict[str, str] | None] = []
    for part in text.split("\\"):
        groups = zip(_NAME_GROUPS, part.split("="), strict=False)
        stripped = {key: group.rstrip(_PAD) for key, group in groups}
        names.append({key: group for key, group in stripped.items() if group} or None)
    encoded = b"" if names == [None] else orjson.dumps(names)[1:-1]
    if not valid:
        raise UndecodableTextError(encoded)
    return encoded


def _integer_strings(value: bytes, _sets: CharacterSets, _big: bool) -> bytes:
    """IS: numbers, as far as they are integers of 32 bits."""
    value = value.strip(_PAD_BYTES)
    if _INTEGERS.fullmatch(value):
        return value.replace(b"\\", b",")
    parts = [part.strip(_PAD) for part in _ascii(value).split("\\")]
    return b"" if parts == [""] else b",".join(map(_integer, parts))


def _integer(part: str) -> bytes:
    if _INTEGER.fullmatch(part) and _IS_MINIMUM <= int(part) <= _IS_MAXIMUM:
        return b"%d" % int(part)
    return orjson.dumps(part or None)


def _decimal_strings(value: bytes, _sets: CharacterSets, _big: bool) -> bytes:
    """DS: numbers in the digits that they are written with."""
    value = value.strip(_PAD_BYTES)
    if _are_decimals(value):
        return value.replace(b"\\", b",")
    parts = [part.strip(_PAD) for part in _ascii(value).split("\\")]
    return b"" if parts == [""] else b",".join(map(_decimal, parts))


def _are_decimals(value: bytes) -> bool:
    """Whether all values can stand in JSON as they are. Contours have thousands: there a parser is faster."""
    if len(value) <= _SHORT_BYTES:
        return _NUMBERS.fullmatch(value) is not None
    if value.translate(None, b"0123456789+-.eE\\") or max(map(len, value.split(b"\\"))) > _EXACT_DIGITS:
        return False
    try:
        orjson.loads(b"[" + value.replace(b"\\", b",") + b"]")
    except orjson.JSONDecodeError:
        return False
    return True


def _decimal(part: str) -> bytes:
    """`+1.`, `.5` and `007` are decimals of PS3.5 that JSON writes in another way."""
    found = _DECIMAL.fullmatch(part)
    if found is None or not math.isfinite(float(part)):
        return orjson.dumps(part or None)
    sign, whole, fraction, exponent = found.groups(default="")
    text = sign.lstrip("+") + (whole or "0") + (f".{fraction}" if fraction else "") + exponent
    return text.encode()


def _numbers(code: str) -> Encoder:
    unpacked = _unpacker(code)

    def encode(value: bytes, _sets: CharacterSets, big: bool) -> bytes:
        numbers = unpacked(value, big)
        return b"%d" % numbers[0] if len(numbers) == 1 else orjson.dumps(numbers)[1:-1]

    return encode


def _unpacker(code: str) -> Callable[[bytes, bool], tuple[Any, ...]]:
    """Numbers of a format of `struct`. Raises ValueError when the value's length is no multiple of their size."""
    one = {False: struct.Struct(f"<{code}"), True: struct.Struct(f">{code}")}
    size = one[False].size

    def unpacked(value: bytes, big: bool) -> tuple[Any, ...]:
        if len(value) == size:
            return one[big].unpack(value)
        count, rest = divmod(len(value), size)
        if rest:
            raise ValueError("The length is not a multiple of the value's size.")
        return struct.unpack(f"{'>' if big else '<'}{count}{code}", value)

    return unpacked


def _long_numbers(code: str) -> Encoder:
    """SV UV: strings where a reader's double would not hold the number."""
    unpacked = _unpacker(code)

    def encode(value: bytes, _sets: CharacterSets, big: bool) -> bytes:
        numbers = unpacked(value, big)
        return orjson.dumps([n if abs(n) <= _SAFE_INTEGER else str(n) for n in numbers])[1:-1]

    return encode


def _floats(code: str) -> Encoder:
    unpacked = _unpacker(code)

    def encode(value: bytes, _sets: CharacterSets, big: bool) -> bytes:
        numbers = unpacked(value, big)
        if not all(map(math.isfinite, numbers)):
            raise NotFiniteError("JSON has no number for NaN and infinity.")
        return orjson.dumps(numbers)[1:-1]

    return encode


_words = _unpacker("H")


def _tags(value: bytes, _sets: CharacterSets, big: bool) -> bytes:
    """AT: eight hexadecimal digits each."""
    numbers = _words(value, big)
    if len(numbers) % 2:
        raise ValueError("An AT value has four bytes.")
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return b",".join(b'"%04X%04X"' % pair for pair in pairs)


ENCODERS: dict[str, Encoder] = {
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
    "UV": _long_numbers("Q"),
    "SV": _long_numbers("q"),
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
