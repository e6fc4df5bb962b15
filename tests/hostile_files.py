"""DICOM files that lie, each under a name: heads, lengths, nesting, UIDs, character sets, values, preambles."""

import gzip
import random
import struct
import zlib
from collections.abc import Callable, Iterator

EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in (".1", "", ".2", ".1.99"))
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY, SERIES = "1.2.66.1", "1.2.66.1.1"
LONG = {b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV"}
ENDLESS = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, element) for element in (0xE000, 0xE00D, 0xE0DD))
Values = dict[int, bytes]
"""Whole elements by tag; they are written in the order of tags."""


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """An element in Explicit VR Little Endian; `length` is what it claims."""
    length = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (struct.pack("<HI", 0, length) if vr in LONG else struct.pack("<H", length & 0xFFFF)) + value


def text(tag: int, vr: bytes, value: str | bytes) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return element(tag, vr, value + b" \0"[vr == b"UI" : (vr == b"UI") + 1] * (len(value) % 2))


def head(syntax: str | bytes = EXPLICIT, preamble: bytes = bytes(128)) -> bytes:
    meta = text(0x00020002, b"UI", CT) + text(0x00020003, b"UI", "1.2.66.9") + text(0x00020010, b"UI", syntax)
    return preamble + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta


def elements(name: str, changes: Values | None = None) -> bytes:
    """The dataset of a small image whose SOP Instance UID follows from the case's name; b"" leaves an element out."""
    values: Values = {
        0x00080016: text(0x00080016, b"UI", CT),
        0x00080018: text(0x00080018, b"UI", uid_of(name)),
        0x00080060: text(0x00080060, b"CS", "CT"),
        0x00100010: text(0x00100010, b"PN", "Doe^Jane"),
        0x00100020: text(0x00100020, b"LO", "P1"),
        0x0020000D: text(0x0020000D, b"UI", STUDY),
        0x0020000E: text(0x0020000E, b"UI", SERIES),
        0x00280002: number(0x00280002, 1),
        0x00280004: text(0x00280004, b"CS", "MONOCHROME2"),
        0x00280010: number(0x00280010, 2),
        0x00280011: number(0x00280011, 2),
        0x00280100: number(0x00280100, 8),
        0x00280101: number(0x00280101, 8),
        0x00280102: number(0x00280102, 7),
        0x00280103: number(0x00280103, 0),
        0x7FE00010: element(0x7FE00010, b"OW", b"\1\2\3\4"),
    }
    return b"".join(value for _, value in sorted({**values, **(changes or {})}.items()))


def number(tag: int, value: int) -> bytes:
    return element(tag, b"US", struct.pack("<H", value))


def uid_of(name: str) -> str:
    return f"1.2.66.9.{zlib.crc32(name.encode())}"


def small(name: str, changes: Values | None = None) -> bytes:
    return head() + elements(name, changes)


def nested(depth: int, *, defined: bool) -> bytes:
    """A sequence in a sequence in a sequence …"""
    if not defined:
        opening = element(0x00082112, b"SQ", b"", ENDLESS) + ITEM + struct.pack("<I", ENDLESS)
        return opening * depth + (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * depth
    inner = b""
    for _ in range(depth):
        inner = element(0x00082112, b"SQ", ITEM + struct.pack("<I", len(inner)) + inner)
    return inner


def deflated(dataset: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(dataset) + packer.flush()


def bomb(name: str, blocks: int, block: bytes) -> bytes:
    """A deflated dataset that ends in `blocks` times the block, packed without ever being there whole."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    whole = packer.compress(elements(name, {0x7FE00010: b""}))
    whole += packer.compress(element(0x7FE00010, b"OB", b"", min(blocks * len(block), 0xFFFFFFFE)))
    return head(DEFLATED) + whole + b"".join(packer.compress(block) for _ in range(blocks)) + packer.flush()


def no_files() -> Iterator[tuple[str, bytes]]:
    """What is no Part 10 file, or whose head lies."""
    good = small("good")
    yield from {
        "empty": b"",
        "one-byte": b"\0",
        "preamble-alone": bytes(128),
        "magic-alone": bytes(128) + b"DICM",
        "magic-wrong": good.replace(b"DICM", b"DICN", 1),
        "magic-shifted": b"\0" + good,
        "magic-twice": bytes(128) + b"DICM" + good,
        "random": random.Random(1).randbytes(4096),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "jpeg": b"\xff\xd8\xff\xe0" + bytes(200),
        "pdf": b"%PDF-1.7\n" + bytes(200),
        "zip": b"PK\3\4" + bytes(200),
        "elf": b"\x7fELF" + bytes(200),
        "html": b"<html><script>alert(1)</script>" + bytes(200),
        "gzipped": gzip.compress(good),
        "meta-without-syntax": bytes(128) + b"DICM" + text(0x00020002, b"UI", CT) + elements("meta-without-syntax"),
        "meta-syntax-no-uid": head("../../etc") + elements("meta-syntax-no-uid"),
        "meta-syntax-unknown": head("1.2.3.4.5") + elements("meta-syntax-unknown"),
        "meta-syntax-with-nul": head(b"1.2.840\0.1") + elements("meta-syntax-with-nul"),
        "meta-length-huge": bytes(128) + b"DICM" + element(0x00020000, b"UL", b"\xff\xff\xff\xff") + good[144:],
        "meta-element-endless": bytes(128) + b"DICM" + element(0x00020001, b"OB", b"", ENDLESS) + good[144:],
        "meta-element-4-gb": bytes(128) + b"DICM" + element(0x00020102, b"OB", b"", 0xFFFFFFF0) + good[144:],
        "meta-odd-vr": bytes(128) + b"DICM" + element(0x00020001, b"ZZ", b"ab", 0xFFFF) + good[144:],
        "meta-of-2-mb": bytes(128) + b"DICM" + element(0x00020102, b"OB", bytes(2 << 20)) + good[144:],
        "meta-in-implicit-vr": bytes(128) + b"DICM" + struct.pack("<HHI", 2, 0x10, 18) + EXPLICIT.encode() + good[300:],
        "meta-alone": head(),
        "says-implicit-is-explicit": head(IMPLICIT) + elements("says-implicit-is-explicit"),
        "says-big-is-little": head(BIG) + elements("says-big-is-little"),
        "says-deflated-is-plain": head(DEFLATED) + elements("says-deflated-is-plain"),
    }.items()
    for at in (100, 131, 133, 150, 250, 300, len(good) - 20, len(good) - 3, len(good) - 1):
        yield f"cut-at-{at}", good[:at]


def lengths() -> Iterator[tuple[str, bytes]]:
    """Elements that claim more, less or something else than there is."""
    lying: dict[str, Values] = {
        "text-past-the-end": {0x7FE00010: element(0x7FE00010, b"LO", b"x", 0xFFFE)},
        "pixels-4-gb": {0x7FE00010: element(0x7FE00010, b"OW", b"\1\2", 0xFFFFFFF0)},
        "pixels-2-gb": {0x7FE00010: element(0x7FE00010, b"OW", b"\1\2", 0x7FFFFFFE)},
        "pixels-odd": {0x7FE00010: element(0x7FE00010, b"OB", b"\1\2\3")},
        "pixels-none": {0x7FE00010: element(0x7FE00010, b"OW", b"")},
        "pixels-endless-without-items": {0x7FE00010: element(0x7FE00010, b"OB", b"abcd", ENDLESS)},
        "text-endless": {0x00104000: element(0x00104000, b"UT", b"abcd", ENDLESS)},
        "short-of-three-bytes": {0x00280010: element(0x00280010, b"US", b"\1\2\3")},
        "short-of-no-bytes": {0x00280010: element(0x00280010, b"US", b"")},
        "sequence-past-the-end": {0x00082112: element(0x00082112, b"SQ", ITEM + bytes(4), 0x00FFFFFF)},
        "item-past-the-end": {0x00082112: element(0x00082112, b"SQ", ITEM + struct.pack("<I", 0x7FFFFFFF))},
        "item-past-its-sequence": {0x00082112: element(0x00082112, b"SQ", ITEM + struct.pack("<I", 4000))},
        "sequence-without-end": {0x00082112: element(0x00082112, b"SQ", ITEM + bytes(4), ENDLESS)},
        "item-without-end": {0x00082112: element(0x00082112, b"SQ", ITEM + b"\xff\xff\xff\xff", ENDLESS)},
        "sequence-of-no-items": {0x00082112: element(0x00082112, b"SQ", b"abcdefgh")},
        "delimiters-alone": {0x00082112: (ITEM_END + bytes(4)) * 3 + SEQUENCE_END + bytes(4)},
        "command-group": {0x00000100: element(0x00000100, b"US", b"\1\0")},
        "meta-group-again": {0x00020010: text(0x00020010, b"UI", DEFLATED)},
        "last-group": {0xFFFFFFFF: element(0xFFFFFFFF, b"UN", b"ab")},
        "out-of-order": {0x00080019: text(0x00080005, b"CS", "ISO_IR 100") + text(0x00080001, b"UL", "1234")},
        "uid-twice": {0x00080019: text(0x00080018, b"UI", "1.2.66.666")},
        "study-twice": {0x0020000F: text(0x0020000D, b"UI", "1.2.66.666")},
        "vr-unknown": {0x00101010: element(0x00101010, b"ZZ", b"abcd")},
        "vr-nul": {0x00101010: element(0x00101010, b"\0\0", b"abcd")},
    }
    for name, changes in lying.items():
        yield name, small(name, changes)
    for depth in (50, 65, 240, 1000, 20_000):
        for defined in (True, False):
            if not (defined and depth > 1000):
                name = f"nested-{depth}-{'defined' if defined else 'endless'}"
                yield name, small(name, {0x00082112: nested(depth, defined=defined)})
    items = (ITEM + bytes(4)) * 200_000
    yield "wide-200000-items", small("wide-200000-items", {0x00082112: element(0x00082112, b"SQ", items)})
    many = element(0x00091000, b"SH", b"") * 200_000
    yield "wide-200000-elements", small("wide-200000-elements", {0x00091000: many})
    values = "\\".join(["1.5"] * 1_000_000)
    yield "wide-1000000-values", small("wide-1000000-values", {0x30040058: text(0x30040058, b"UT", values)})
    numbers = {0x00091001: element(0x00091001, b"FD", bytes(8 << 20))}
    yield "wide-1000000-floats", small("wide-1000000-floats", numbers)


def inflating() -> Iterator[tuple[str, bytes]]:
    """Deflated datasets: bombs, cut, doubled."""
    whole = deflated(elements("deflated-good"))
    yield "deflated-cut", head(DEFLATED) + whole[:-10]
    yield "deflated-and-garbage", head(DEFLATED) + deflated(elements("deflated-and-garbage")) + b"garbage" * 9
    yield "deflated-twice", head(DEFLATED) + deflated(deflated(elements("deflated-twice")))
    yield "deflated-in-zlib-form", head(DEFLATED) + zlib.compress(elements("deflated-in-zlib-form"))
    yield "bomb-of-a-gigabyte", bomb("bomb-of-a-gigabyte", 1024, bytes(1 << 20))
    yield "bomb-of-elements", bomb("bomb-of-elements", 300, element(0x00091000, b"SH", b"") * (1 << 17))
    yield "bomb-of-sequences", bomb("bomb-of-sequences", 40, nested(1, defined=True) * (1 << 15))


def uids() -> Iterator[tuple[str, bytes]]:
    """UIDs that are none, for the instance, the series and the study."""
    bad: dict[str, str | bytes] = {
        "path": "../../../../tmp/lightbox",
        "absolute": "/etc/passwd",
        "10000-long": "1." * 5000 + "1",
        "65-long": "1." * 32 + "1",
        "sql": "1' OR '1'='1",
        "markup": "<script>alert(1)</script>",
        "nul": b"1.2\0.3",
        "leading-zero": "1.02.3",
        "empty": "",
        "blank": "   ",
        "foreign-digits": "١.٢.٣",
        "two-values": "1.2\\1.3",
        "dots": "1..2",
        "newline": "1.2\r\nX-Injected: 1",
    }
    for what, value in bad.items():
        for tag, whose in ((0x00080018, "instance"), (0x0020000E, "series"), (0x0020000D, "study")):
            name = f"{whose}-uid-{what}"
            yield name, small(name, {tag: text(tag, b"UI", value)})
    for tag, whose in ((0x00080018, "instance"), (0x0020000D, "study"), (0x00080016, "class")):
        yield f"{whose}-uid-missing", small(f"{whose}-uid-missing", {tag: b""})
        yield f"{whose}-uid-number", small(f"{whose}-uid-number", {tag: number(tag, 7)})


def values() -> Iterator[tuple[str, bytes]]:
    """Character sets that lie, text that means something to a browser, numbers that are none."""
    charset, name_tag, comment = 0x00080005, 0x00100010, 0x00104000
    for what, declared, value in (
        ("unknown", "KLINGON", b"Doe^\xff\xfe"),
        ("invalid-utf-8", "ISO_IR 192", b"Doe^\xc3\x28\xa0\xa1"),
        ("surrogates-in-utf-8", "ISO_IR 192", b"Doe^\xed\xa0\x80\xed\xb0\x80"),
        ("half-a-pair", "\\ISO 2022 IR 87", b"Doe\x1b$B\x30"),
        ("escape-unfinished", "\\ISO 2022 IR 87", b"Doe\x1b"),
        ("escape-unknown", "\\ISO 2022 IR 149", b"Doe\x1b$)Z\xff"),
        ("broken-gbk", "GBK", b"Doe^\x81"),
        ("a-thousand", "\\".join(["ISO 2022 IR 87"] * 1000), b"Doe"),
        ("bidi-and-control", "ISO_IR 192", "Doe\u202e^\u2066\x07\x1b[31m\x85".encode()),
        ("nul-in-name", "ISO_IR 100", b"Doe\0^\0Jane"),
        ("a-thousand-components", "ISO_IR 100", b"^=" * 500),
        ("60-kb-name", "ISO_IR 100", b"D" * 60_000),
    ):
        changes = {charset: text(charset, b"CS", declared), name_tag: text(name_tag, b"PN", value)}
        yield f"charset-{what}", small(f"charset-{what}", changes)
    for what, value in (
        ("script", '"><script>alert(1)</script><img src=x onerror=alert(1)>'),
        ("formula", "=cmd|' /C calc'!A0"),
        ("template", "{{7*7}}${7*7}#{7*7}<%= 7*7 %>"),
        ("log-forging", 'x\r\n{"event": "forged"}\r\nX-Injected: 1'),
        ("format", "%s%n%x{0.__class__}"),
    ):
        changes = {name_tag: text(name_tag, b"PN", value), comment: text(comment, b"UT", value)}
        yield f"text-{what}", small(f"text-{what}", changes)
    numbers: dict[str, Values] = {
        "nan": {0x00186012: element(0x00186012, b"FD", struct.pack("<3d", float("nan"), float("inf"), -float("inf")))},
        "decimal-huge": {0x00281050: text(0x00281050, b"DS", "1e999"), 0x00281051: text(0x00281051, b"DS", "1e999")},
        "decimal-words": {0x00281050: text(0x00281050, b"DS", "abc"), 0x00281051: text(0x00281051, b"DS", "NaN")},
        "window-of-none": {0x00281050: text(0x00281050, b"DS", "0"), 0x00281051: text(0x00281051, b"DS", "-1")},
        "slope-huge": {0x00281052: text(0x00281052, b"DS", "1e308"), 0x00281053: text(0x00281053, b"DS", "1e308")},
        "integer-huge": {0x00200013: text(0x00200013, b"IS", "9" * 400)},
        "date-odd": {0x00080020: text(0x00080020, b"DA", "99999999"), 0x00080030: text(0x00080030, b"TM", "999999.9")},
        "tag-half": {0x00280009: element(0x00280009, b"AT", b"\1\2")},
        "address-of-a-script": {0x00081190: text(0x00081190, b"UR", "javascript:alert(1)")},
    }
    for what, changes in numbers.items():
        yield f"value-{what}", small(f"value-{what}", changes)


def preambles() -> Iterator[tuple[str, bytes]]:
    """Files that are programs or pages too."""
    for what, start in (
        ("windows", b"MZ\x90\0"),
        ("elf", b"\x7fELF\2\1\1"),
        ("shell", b"#!/bin/sh\necho owned\n"),
        ("html", b"<html><script>alert(1)</script><!--"),
        ("javascript", b"alert(1)/*"),
        ("tiff", b"II*\0\x08\0\0\0"),
        ("php", b"<?php system('id'); ?>"),
    ):
        name = f"preamble-{what}"
        yield name, head(preamble=start.ljust(128, b"\0")) + elements(name)


SETS: tuple[Callable[[], Iterator[tuple[str, bytes]]], ...] = (
    no_files, lengths, inflating, uids, values, preambles,
)  # fmt: skip
