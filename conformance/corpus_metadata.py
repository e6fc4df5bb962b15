"""Instances whose attributes try every rule of PS3.18 Annex F: each VR, empty values, items, private data."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from conformance.samples import (
    Sample,
    Study,
    instance_of,
    new_uid,
    part10,
    ramp,
    sample_of,
    set_pixels,
    set_raw,
)


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A value as it stands in the file and as JSON shall give it (`Value`, or bytes for a binary VR)."""

    id: str
    tag: int
    vr: str
    raw: bytes
    expected: Any
    what: str


def _le(code: str, *values: float) -> bytes:
    return struct.pack(f"<{len(values)}{code}", *values)


VALUE_ROWS = (
    ValueRow("ae", 0x0072005E, "AE", b"STORE_SCP", ["STORE_SCP"], "an AE title"),
    ValueRow("as", 0x0072005F, "AS", b"045Y", ["045Y"], "an age string"),
    ValueRow(
        "at", 0x00720060, "AT", _le("H", 0x0010, 0x0020), ["00100020"], "AT is a string of eight hexadecimal digits"
    ),
    ValueRow("cs", 0x00720062, "CS", b"ONE\\TWO", ["ONE", "TWO"], "two code strings are two members"),
    ValueRow("da", 0x00720061, "DA", b"20200115", ["20200115"], "a date keeps its DICOM form"),
    ValueRow(
        "dt",
        0x00720063,
        "DT",
        b"20200115101530.250000+0100",
        ["20200115101530.250000+0100"],
        "a date-time keeps its offset",
    ),
    ValueRow("ds", 0x00720072, "DS", b"0.50\\-1.5E-3", [0.5, -0.0015], "decimal strings, one with an exponent"),
    ValueRow(
        "ds-long",
        0x00181041,
        "DS",
        b"1.23456789012345",
        [1.23456789012345],
        "a decimal string of sixteen characters keeps its precision",
    ),
    ValueRow("ds-padded", 0x00180088, "DS", b" 2.5 ", [2.5], "padding around a decimal string is not part of it"),
    ValueRow("fl", 0x00720076, "FL", _le("f", 1.5, -0.25), [1.5, -0.25], "single precision numbers"),
    ValueRow("fd", 0x00720074, "FD", _le("d", 0.1, 1e300), [0.1, 1e300], "double precision numbers, exact"),
    ValueRow("is", 0x00720064, "IS", b"-7\\2147483647", [-7, 2147483647], "integer strings to the limit of the VR"),
    ValueRow("is-signed", 0x00181150, "IS", b"+0042", [42], "an integer string with sign and leading zeros"),
    ValueRow("lo", 0x00720066, "LO", "é\\ü".encode(), ["é", "ü"], "long strings in UTF-8, two members"),
    ValueRow(
        "lt",
        0x00720068,
        "LT",
        b"  two\r\nlines \\ one backslash",
        ["  two\r\nlines \\ one backslash"],
        "LT is one value: line ends, leading spaces and backslashes stay",
    ),
    ValueRow(
        "pn",
        0x0072006A,
        "PN",
        "Doe^Jane\\=山田^太郎\\Roe^Ann=X^Y".encode(),
        [{"Alphabetic": "Doe^Jane"}, {"Ideographic": "山田^太郎"}, {"Alphabetic": "Roe^Ann", "Ideographic": "X^Y"}],
        "person names are objects; groups without a value are left out",
    ),
    ValueRow("sh", 0x0072006C, "SH", b"short\\string", ["short", "string"], "short strings"),
    ValueRow("sl", 0x0072007C, "SL", _le("i", -2147483648, 2147483647), [-2147483648, 2147483647], "signed long"),
    ValueRow("ss", 0x0072007E, "SS", _le("h", -32768, 32767), [-32768, 32767], "signed short"),
    ValueRow("st", 0x0072006E, "ST", b"one \\ value", ["one \\ value"], "ST is one value even with a backslash"),
    ValueRow(
        "sv",
        0x00720082,
        "SV",
        _le("q", -(2**63), 2**63 - 1),
        [-(2**63), 2**63 - 1],
        "64-bit signed integers to the last digit, as number or string",
    ),
    ValueRow("tm", 0x0072006B, "TM", b"101530.123456", ["101530.123456"], "a time keeps its fraction"),
    ValueRow("uc", 0x0072006F, "UC", b"unlimited\\characters", ["unlimited", "characters"], "UC has members"),
    ValueRow(
        "ui",
        0x0072007F,
        "UI",
        b"1.2.840.10008.1.2\0",
        ["1.2.840.10008.1.2"],
        "the null that pads a UID is not part of it",
    ),
    ValueRow("ul", 0x00720078, "UL", _le("I", 4294967295), [4294967295], "unsigned long"),
    ValueRow("ur", 0x00720071, "UR", b"https://example.org/a?b=c ", ["https://example.org/a?b=c"], "a URI"),
    ValueRow("us", 0x0072007A, "US", _le("H", 0, 65535), [0, 65535], "unsigned short"),
    ValueRow("ut", 0x00720070, "UT", b"one \\ text\n", ["one \\ text\n"], "UT is one value"),
    ValueRow(
        "uv",
        0x00720083,
        "UV",
        _le("Q", 2**64 - 1),
        [2**64 - 1],
        "64-bit unsigned integers to the last digit, as number or string",
    ),
    ValueRow("ob", 0x00720065, "OB", bytes(range(16)), bytes(range(16)), "OB as base64 or by address"),
    ValueRow("od", 0x00720073, "OD", _le("d", 0.1, -2.0), _le("d", 0.1, -2.0), "OD as base64 or by address"),
    ValueRow("of", 0x00720067, "OF", _le("f", 0.5, -2.0), _le("f", 0.5, -2.0), "OF as base64 or by address"),
    ValueRow("ol", 0x00720075, "OL", _le("I", 1, 2**32 - 1), _le("I", 1, 2**32 - 1), "OL as base64 or by address"),
    ValueRow("ov", 0x00720081, "OV", _le("Q", 1, 2**64 - 1), _le("Q", 1, 2**64 - 1), "OV as base64 or by address"),
    ValueRow(
        "ow", 0x00720069, "OW", _le("H", 1, 65535), _le("H", 1, 65535), "OW as base64 or by address, little endian"
    ),
    ValueRow("un", 0x0072006D, "UN", b"\x01\x02\x03\x04", b"\x01\x02\x03\x04", "UN as base64 or by address"),
)

EMPTY_MEMBER_ROWS = (
    ValueRow(
        "cs",
        0x00080008,
        "CS",
        b"ORIGINAL\\PRIMARY\\\\AXIAL",
        ["ORIGINAL", "PRIMARY", None, "AXIAL"],
        "an empty member of a code string is null",
    ),
    ValueRow("lo", 0x00720066, "LO", b"\\second", [None, "second"], "an empty first member is null"),
    ValueRow("sh", 0x0072006C, "SH", b"first\\\\third", ["first", None, "third"], "an empty middle member is null"),
    ValueRow("ds", 0x00720072, "DS", b"1.5\\\\2.5", [1.5, None, 2.5], "an empty member of decimal strings is null"),
    ValueRow("is", 0x00720064, "IS", b"1\\\\3", [1, None, 3], "an empty member of integer strings is null"),
    ValueRow(
        "pn",
        0x0072006A,
        "PN",
        b"A^B\\\\C^D",
        [{"Alphabetic": "A^B"}, None, {"Alphabetic": "C^D"}],
        "an empty person name is null",
    ),
)

EMPTY_GROUPS = (
    ("text", "strings", {0x00720062: "CS", 0x00720066: "LO", 0x0072006E: "ST", 0x00720070: "UT", 0x0072007F: "UI"}),
    ("date", "dates and times", {0x00720061: "DA", 0x00720063: "DT", 0x0072006B: "TM"}),
    ("number", "numbers", {0x00720072: "DS", 0x00720064: "IS", 0x0072007A: "US", 0x00720074: "FD", 0x00720083: "UV"}),
    ("binary", "binary values", {0x00720065: "OB", 0x00720069: "OW", 0x0072006D: "UN", 0x00720067: "OF"}),
    ("name", "a person name", {0x0072006A: "PN"}),
    ("tag", "an attribute tag", {0x00720060: "AT"}),
)

BAD_ROWS = (
    ValueRow("ds-comma", 0x00180050, "DS", b"1,5", None, "a decimal string with a comma"),
    ValueRow("ds-word", 0x00180050, "DS", b"abc", None, "a decimal string that is a word"),
    ValueRow("is-fraction", 0x00181150, "IS", b"1.5", None, "an integer string with a fraction"),
    ValueRow("is-overflow", 0x00181150, "IS", b"3000000000", None, "an integer string beyond 32 bits"),
    ValueRow("da-dashes", 0x00080022, "DA", b"2020-01-15", None, "a date with dashes"),
    ValueRow("fd-nan", 0x00720074, "FD", _le("d", float("nan")), None, "a number that is NaN"),
    ValueRow("fl-infinity", 0x00720076, "FL", _le("f", float("inf")), None, "a number that is infinite"),
    ValueRow("ui-letters", 0x0072007F, "UI", b"1.2.abc", None, "a UID with letters"),
    ValueRow("utf8-broken", 0x00720066, "LO", b"caf\xe9 \xff", None, "bytes that are not in the character set"),
)

BIG_BYTES = bytes(i * 7 % 251 for i in range(70_000))
NESTED_BYTES = (BIG_BYTES[:40_000], BIG_BYTES[100:50_100])
LONG_TEXT = "Zeile mit Ümläuten und 漢字. " * 2500
PRIVATE_GROUP = 0x0013


def metadata_samples(token: str) -> list[Sample]:
    study = Study(f"{token}-M", f"Meta{token}^Mia", new_uid(), {"AccessionNumber": f"{token}M"})
    series_uid = new_uid()

    def fresh(number: int) -> Dataset:
        dataset = instance_of(study, SeriesInstanceUID=series_uid, InstanceNumber=str(number))
        set_pixels(dataset, ramp(4, 4, "u1"))
        return dataset

    values, members, empties = fresh(1), fresh(2), fresh(3)
    for row in VALUE_ROWS:
        set_raw(values, row.tag, row.vr, _even(row))
    for row in EMPTY_MEMBER_ROWS:
        set_raw(members, row.tag, row.vr, _even(row))
    for _id, _what, tags in EMPTY_GROUPS:
        for tag, vr in tags.items():
            set_raw(empties, tag, vr, b"")
    made = [sample_of("values", values), sample_of("members", members), sample_of("empties", empties)]
    made += [_items(fresh(4)), _private(fresh(5)), _big(fresh(6)), _group_lengths(fresh(7)), _implicit(fresh(8))]
    for at, row in enumerate(BAD_ROWS):
        # a series of its own: a server that stumbles over it must not spoil the other cases
        dataset = instance_of(study, InstanceNumber=str(100 + at))
        set_pixels(dataset, ramp(4, 4, "u1"))
        set_raw(dataset, row.tag, row.vr, _even(row))
        made.append(sample_of(f"bad-{row.id}", dataset))
    return made


def _even(row: ValueRow) -> bytes:
    pad = b"\0" if row.vr in ("UI", "OB", "UN") else b" "
    return row.raw + pad * (len(row.raw) % 2)


def _items(dataset: Dataset) -> Sample:
    """Sequences: three levels deep, an empty item, an empty sequence, an item with its own character set."""
    inner, middle, outer = Dataset(), Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "T-A0100", "Großhirn"
    middle.PurposeOfReferenceCodeSequence = Sequence([inner])
    middle.ReferencedSOPInstanceUID = "1.2.3.4"
    outer.ReferencedInstanceSequence = Sequence([middle, Dataset()])
    outer.SeriesInstanceUID = "1.2.3.5"
    dataset.ReferencedSeriesSequence = Sequence([outer])
    dataset.ReferencedStudySequence = Sequence([])
    foreign = Dataset()
    foreign.SpecificCharacterSet = "ISO_IR 144"
    foreign.CodeMeaning = "Голова"
    plain = Dataset()
    plain.CodeMeaning = "頭"
    dataset.AnatomicRegionSequence = Sequence([foreign, plain])
    return sample_of("items", dataset)


def _private(dataset: Dataset) -> Sample:
    """Private blocks of two creators, a private sequence, a private UN."""
    group = PRIVATE_GROUP
    dataset.add_new((group << 16) | 0x0010, "LO", "CONFORMANCE ONE")
    dataset.add_new((group << 16) | 0x0011, "LO", "CONFORMANCE TWO")
    dataset.add_new((group << 16) | 0x1001, "LO", "first block")
    dataset.add_new((group << 16) | 0x1101, "DS", "2.5")
    set_raw(dataset, (group << 16) | 0x1102, "UN", b"\xde\xad\xbe\xef")
    item = Dataset()
    item.add_new((group << 16) | 0x0010, "LO", "CONFORMANCE ONE")
    item.add_new((group << 16) | 0x1005, "SH", "inside")
    dataset.add_new((group << 16) | 0x1003, "SQ", Sequence([item]))
    return sample_of("private", dataset)


def _big(dataset: Dataset) -> Sample:
    """Values so large that a server may hand them out by address: at the top, in items, as text."""
    set_raw(dataset, 0x00720065, "OB", BIG_BYTES)
    set_raw(dataset, 0x00720070, "UT", LONG_TEXT.encode() + b" " * (len(LONG_TEXT.encode()) % 2))
    items = []
    for value in NESTED_BYTES:
        item = Dataset()
        set_raw(item, 0x00720065, "OB", value)
        items.append(item)
    dataset.WaveformSequence = Sequence(items)
    return sample_of("big", dataset)


def _group_lengths(dataset: Dataset) -> Sample:
    """Retired group length elements in the stored data set, which JSON shall not hold."""
    set_raw(dataset, 0x00100000, "UL", _le("I", 40))
    set_raw(dataset, 0x00280000, "UL", _le("I", 60))
    return sample_of("group-lengths", dataset)


def _implicit(dataset: Dataset) -> Sample:
    """Implicit VR: a private element has no VR in the file, a public one gets the dictionary's."""
    dataset.add_new(0x00130010, "LO", "CONFORMANCE ONE")
    dataset.add_new(0x00131001, "UN", b"\x05\x06")
    dataset.SliceThickness = "3.5"
    syntax = "1.2.840.10008.1.2"
    return sample_of("implicit", dataset, syntax, data=part10(dataset, syntax))
