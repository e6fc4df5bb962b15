"""Images whose pixel data lies, each under a name: sizes, offset tables, fragments, RLE heads, code streams, documents.

Code streams of JPEG-LS, JPEG 2000 and HTJ2K that say 65535 × 65535 are in `system/test_hostile_frames.py`.
"""

import struct
from collections.abc import Iterator

from hostile_files import (
    DEFLATED,
    ENDLESS,
    EXPLICIT,
    ITEM,
    SEQUENCE_END,
    Values,
    element,
    elements,
    head,
    number,
    small,
    text,
)

RLE, BASELINE, EXTENDED, LOSSLESS, LS, J2K, HTJ2K, XL, MPEG2, FRAME_DEFLATED = (
    f"1.2.840.10008.1.2.{end}"
    for end in ("5", "4.50", "4.51", "4.70", "4.80", "4.90", "4.201", "4.110", "4.100", "8.1")
)
PIXELS, FRAMES, OFFSETS, OFFSET_LENGTHS = 0x7FE00010, 0x00280008, 0x7FE00001, 0x7FE00002
PDF_CLASS, SR_CLASS = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.11"


def item(value: bytes, length: int | None = None) -> bytes:
    return ITEM + struct.pack("<I", len(value) if length is None else length) + value


def encapsulated(*fragments: bytes, table: bytes = b"", end: bytes = SEQUENCE_END + bytes(4)) -> bytes:
    return element(PIXELS, b"OB", b"", ENDLESS) + item(table) + b"".join(map(item, fragments)) + end


def image(name: str, syntax: str, pixels: bytes, changes: Values | None = None) -> tuple[str, bytes]:
    return name, head(syntax) + elements(name, {PIXELS: pixels, **(changes or {})})


def native() -> Iterator[tuple[str, bytes]]:
    """Uncompressed images of impossible size and form."""
    huge = {0x00280010: number(0x00280010, 65535), 0x00280011: number(0x00280011, 65535)}
    lying: dict[str, Values] = {
        "size-65535": huge,
        "size-0": {0x00280010: number(0x00280010, 0), 0x00280011: number(0x00280011, 0)},
        "frames-2-billion": {FRAMES: text(FRAMES, b"IS", "2147483647")},
        "frames-negative": {FRAMES: text(FRAMES, b"IS", "-1")},
        "frames-0": {FRAMES: text(FRAMES, b"IS", "0")},
        "frames-words": {FRAMES: text(FRAMES, b"IS", "abc")},
        "frames-huge-of-huge": {**huge, FRAMES: text(FRAMES, b"IS", "999999999999")},
        "bits-0": {0x00280100: number(0x00280100, 0)},
        "bits-7": {0x00280100: number(0x00280100, 7)},
        "bits-65535": {0x00280100: number(0x00280100, 65535), 0x00280101: number(0x00280101, 65535)},
        "bits-stored-beyond": {0x00280101: number(0x00280101, 200), 0x00280102: number(0x00280102, 199)},
        "high-bit-beyond": {0x00280102: number(0x00280102, 300)},
        "samples-0": {0x00280002: number(0x00280002, 0)},
        "samples-65535": {0x00280002: number(0x00280002, 65535)},
        "planes-9": {0x00280002: number(0x00280002, 3), 0x00280006: number(0x00280006, 9)},
        "sign-9": {0x00280103: number(0x00280103, 9)},
        "colours-unknown": {0x00280004: text(0x00280004, b"CS", "X" * 16)},
        "colours-of-one-sample": {0x00280004: text(0x00280004, b"CS", "YBR_FULL_422")},
        "rows-missing": {0x00280010: b""},
        "rows-text": {0x00280010: text(0x00280010, b"LO", "many")},
        "aspect-0": {0x00280034: text(0x00280034, b"IS", "0\\0")},
        "float-pixels-short": {PIXELS: b"", 0x7FE00008: element(0x7FE00008, b"OF", b"\1\2")},
    }
    for name, changes in lying.items():
        yield name, small(name, changes)
    descriptor, table = 0x00281101, 0x00281201
    for what, described, entries in (
        ("short", (65535, 0, 16), b"\1\2\3\4"),
        ("of-no-bits", (4, 0, 0), bytes(8)),
        ("from-65535", (4, 65535, 16), bytes(8)),
        ("odd", (0, 0, 8), b"\1"),
    ):
        changes: Values = {0x00280004: text(0x00280004, b"CS", "PALETTE COLOR")}
        for colour in range(3):
            changes[descriptor + colour] = element(descriptor + colour, b"US", struct.pack("<3H", *described))
            changes[table + colour] = element(table + colour, b"OW", entries)
        yield f"palette-{what}", small(f"palette-{what}", changes)
    overlay = {
        0x60000010: number(0x60000010, 65535),
        0x60000011: number(0x60000011, 65535),
        0x60000050: element(0x60000050, b"SS", struct.pack("<2h", -32768, -32768)),
        0x60000100: number(0x60000100, 1),
        0x60003000: element(0x60003000, b"OW", b"\xff\xff"),
    }
    yield "overlay-huge", small("overlay-huge", overlay)
    lut = {0x00283010: element(0x00283010, b"SQ", item(element(0x00283002, b"US", struct.pack("<3H", 0, 0, 16))))}
    yield "lut-without-data", small("lut-without-data", lut)


def fragments() -> Iterator[tuple[str, bytes]]:
    """Offset tables and fragments that point elsewhere."""
    two: Values = {FRAMES: text(FRAMES, b"IS", "2")}
    frame = rle(b"\3\1\2\3\4")

    def table(*offsets: int) -> bytes:
        return struct.pack(f"<{len(offsets)}I", *offsets)

    def extended(*offsets: int, lengths: tuple[int, ...] = ()) -> Values:
        lengths = lengths or (len(frame),) * len(offsets)
        return {
            OFFSETS: element(OFFSETS, b"OV", struct.pack(f"<{len(offsets)}Q", *offsets)),
            OFFSET_LENGTHS: element(OFFSET_LENGTHS, b"OV", struct.pack(f"<{len(lengths)}Q", *lengths)),
        }

    yield image("table-past-the-end", RLE, encapsulated(frame, frame, table=table(0, 0xFFFFFFF0)), two)
    yield image("table-backwards", RLE, encapsulated(frame, frame, table=table(80, 0)), two)
    yield image("table-between", RLE, encapsulated(frame, frame, table=table(0, 3)), two)
    yield image("table-odd", RLE, encapsulated(frame, frame, table=b"\0\0\0\0\1\2"), two)
    yield image("table-of-too-many", RLE, encapsulated(frame, frame, table=table(*range(0, 4000, 4))), two)
    yield image("extended-past-the-end", RLE, encapsulated(frame, frame), two | extended(0, 2**63))
    yield image("extended-lengths-huge", RLE, encapsulated(frame), extended(0, lengths=(2**63,)))
    yield image("extended-without-lengths", RLE, encapsulated(frame), {OFFSETS: element(OFFSETS, b"OV", bytes(8))})
    yield image("extended-wrapping", RLE, encapsulated(frame, frame), two | extended(0, 2**64 - 8))
    yield image("no-fragments", RLE, encapsulated())
    yield image("empty-fragments", RLE, encapsulated(b"", b"", b""))
    opening = element(PIXELS, b"OB", b"", ENDLESS) + item(b"")
    yield image("fragment-past-the-end", RLE, opening + item(frame, 0x7FFFFFFE))
    yield image("fragment-endless", RLE, opening + item(frame, ENDLESS))
    yield image("fragments-without-end", RLE, encapsulated(frame, end=b""))
    yield image("fragments-are-no-items", RLE, encapsulated(end=element(0x00100010, b"PN", b"Doe ")))
    yield image("fragments-more-than-frames", RLE, encapsulated(*[frame] * 50), two)
    yield image("frames-more-than-fragments", RLE, encapsulated(frame), {FRAMES: text(FRAMES, b"IS", "100000")})
    yield image("fragments-20000", RLE, encapsulated(*[b"\0\0"] * 20_000), two)
    yield image("native-in-compressed", RLE, element(PIXELS, b"OW", b"\1\2\3\4"))
    yield image("compressed-in-native", EXPLICIT, encapsulated(frame))
    yield image("compressed-in-deflated", DEFLATED, encapsulated(frame))


def rle(*segments: bytes, offsets: tuple[int, ...] | None = None, count: int | None = None) -> bytes:
    """An RLE frame (PS3.5 G.5) whose head may lie."""
    if offsets is None:
        offsets = tuple(64 + sum(map(len, segments[:place])) for place in range(len(segments)))
    start = struct.pack("<16I", len(segments) if count is None else count, *(*offsets, *[0] * 15)[:15])
    frame = start + b"".join(segments)
    return frame + bytes(len(frame) % 2)


def run_lengths() -> Iterator[tuple[str, bytes]]:
    segment = b"\3\1\2\3\4"
    for what, frame in (
        ("count-0", rle(segment, count=0)),
        ("count-99", rle(segment, count=99)),
        ("count-4-billion", rle(segment, count=0xFFFFFFFF)),
        ("offset-past-the-end", rle(segment, offsets=(0xFFFFFFF0,))),
        ("offset-in-the-head", rle(segment, offsets=(4,))),
        ("offsets-backwards", rle(segment, segment, offsets=(70, 64))),
        ("head-cut", rle(segment)[:40]),
        ("run-past-the-end", rle(b"\x7f\1\2")),
        ("too-little", rle(b"\0\1")),
        ("too-much", rle(b"\x81\xaa" * 5000)),
        ("nothing-but-noops", rle(b"\x80" * 100_000)),
    ):
        yield image(f"rle-{what}", RLE, encapsulated(frame))


def jpeg(rows: int, columns: int, *, kind: int = 0xC0, components: int = 1, scans: int = 1) -> bytes:
    """The head of a JPEG of that size, and scans of nothing."""
    parts = b"".join(struct.pack(">BBB", number + 1, 0x11, 0) for number in range(components))
    frame = struct.pack(">BHBHHB", kind, 8 + 3 * components, 8, rows, columns, components) + parts
    tables = b"\xff\xdb\0\x43\0" + b"\1" * 64 + b"\xff\xc4\0\x14\0" + b"\1" + bytes(15) + b"\0"
    scan = b"\xff\xda" + struct.pack(">HB", 6 + 2, 1) + b"\1\0\0\x3f\0" + b"\0\0"
    stream = b"\xff\xd8" + tables + b"\xff" + frame + scan * scans + b"\xff\xd9"
    return stream + bytes(len(stream) % 2)


def jpeg2000(side: int, *, tile: int, components: int = 1, bits: int = 7, layers: int = 1) -> bytes:
    """The head of a JPEG 2000 code stream of that size, tiles and components, and nothing behind it."""
    size = struct.pack(">H8IH", 0, side, side, 0, 0, tile, tile, 0, 0, components) + bytes([bits, 1, 1]) * components
    coding = b"\0\0" + struct.pack(">H", layers) + b"\0\0\4\4\0\1"
    stream = b"\xff\x4f\xff\x51" + struct.pack(">H", 2 + len(size)) + size
    stream += b"\xff\x52" + struct.pack(">H", 2 + len(coding)) + coding + b"\xff\x5c\0\4\x40\x40"
    stream += b"\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93" + b"\0" * 20 + b"\xff\xd9"
    return stream + bytes(len(stream) % 2)


def code_streams() -> Iterator[tuple[str, bytes]]:
    huge: Values = {0x00280010: number(0x00280010, 65500), 0x00280011: number(0x00280011, 65500)}
    for what, syntax, frame, changes in (
        ("jpeg-bomb", BASELINE, jpeg(65500, 65500), None),
        ("jpeg-bomb-admitted", BASELINE, jpeg(65500, 65500), huge),
        ("jpeg-of-no-size", BASELINE, jpeg(0, 0), None),
        ("jpeg-of-255-components", BASELINE, jpeg(2, 2, components=255), None),
        ("jpeg-of-10000-scans", EXTENDED, jpeg(2, 2, kind=0xC2, scans=10_000), None),
        ("jpeg-lossless-bomb", LOSSLESS, jpeg(65500, 65500, kind=0xC3), None),
        ("jpeg-cut", BASELINE, jpeg(2, 2)[:20], None),
        ("jpeg-of-markers", BASELINE, b"\xff\xd8" + b"\xff\xe0\0\2" * 20_000, None),
        ("jpeg-ls-of-no-size", LS, jpeg(0, 0, kind=0xF7), None),
        ("j2k-of-4-billion", J2K, jpeg2000(0xFFFFFFFF, tile=0xFFFFFFFF), None),
        ("j2k-of-tiny-tiles", J2K, jpeg2000(65500, tile=1), huge),
        ("j2k-of-16384-components", J2K, jpeg2000(2, tile=2, components=16384), None),
        ("j2k-of-38-bits", J2K, jpeg2000(2, tile=2, bits=37), None),
        ("j2k-of-65535-layers", J2K, jpeg2000(2, tile=2, layers=65535), None),
        ("j2k-of-no-tile", J2K, jpeg2000(2, tile=0), None),
        ("htj2k-empty", HTJ2K, jpeg2000(2, tile=2), None),
        ("jpeg-xl-garbage", XL, b"\xff\x0a" + b"\xff" * 200, None),
        ("video-garbage", MPEG2, b"\0\0\1\xb3" + b"\xff" * 200, None),
        ("frame-deflated-bomb", FRAME_DEFLATED, b"\xed\xc1\1\1" + bytes(200), None),
    ):
        yield image(what, syntax, encapsulated(frame), changes)
        if syntax in (BASELINE, J2K) and changes is None:
            yield image(f"{what}-as-{'j2k' if syntax == BASELINE else 'jpeg'}", swapped(syntax), encapsulated(frame))


def swapped(syntax: str) -> str:
    return J2K if syntax == BASELINE else BASELINE


def documents() -> Iterator[tuple[str, bytes]]:
    """Documents and reports with scripts and entities."""
    cda = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ClinicalDocument>&x;</ClinicalDocument>'
    for what, media_type, value in (
        ("pdf-with-script", "application/pdf", b"%PDF-1.7 /OpenAction << /S /JavaScript /JS (app.alert(1)) >>"),
        ("html-as-pdf", "application/pdf", b"<html><script>alert(1)</script></html>"),
        ("html-as-html", "text/html", b"<html><script>alert(1)</script></html>"),
        ("type-with-newline", "text/html\r\nX-Injected: 1", b"x"),
        ("cda-with-entities", "text/XML", cda),
    ):
        changes: Values = {
            0x00080016: text(0x00080016, b"UI", PDF_CLASS),
            PIXELS: b"",
            0x00420011: element(0x00420011, b"OB", value + bytes(len(value) % 2)),
            0x00420012: text(0x00420012, b"LO", media_type),
        }
        yield what, small(what, changes)
    inner = text(0x0040A040, b"CS", "TEXT") + text(0x0040A160, b"UT", "<script>alert(1)</script>")
    for what, depth in (("report-with-markup", 1), ("report-60-deep", 60)):
        content = inner
        for _ in range(depth):
            content = text(0x0040A040, b"CS", "CONTAINER") + element(0x0040A730, b"SQ", item(content))
        changes = {0x00080016: text(0x00080016, b"UI", SR_CLASS), PIXELS: b"", 0x0040A040: content}
        yield what, small(what, changes)


SETS = (native, fragments, run_lengths, code_streams, documents)
