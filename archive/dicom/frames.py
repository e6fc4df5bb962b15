"""Where each frame lies in the pixel data, found once at ingest (PS3.5 §8, A.4; PS3.3 C.7.6.3.1.8)."""

import re
import struct
from collections.abc import Sequence
from itertools import pairwise

from archive.dicom.part10 import EXPLICIT_LE, IMPLICIT_LE
from archive.dicom.walk import BulkValue, Walked
from archive.instances import Buffer, FrameIndex, FrameLayout, PixelFacts, Span

MAXIMUM_FRAMES = 1_000_000
EXTENDED_OFFSET_TABLE, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002
PIXEL_PATHS = frozenset(("7FE00010", "7FE00008", "7FE00009"))
RLE = "1.2.840.10008.1.2.5"
NATIVE_SYNTAXES = frozenset((IMPLICIT_LE, EXPLICIT_LE, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"))
_COMPRESSED = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.[0-9]+|5|1\.98|8\.1)", re.ASCII)
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.10[0-8](\.1)?|7\.[0-9]+)", re.ASCII)
PADDING_BYTES = 1
"""What native pixel data may be longer than its frames (PS3.5 §8.1.1)."""
HALVES_PER_PIXEL = {"YBR_FULL_422": 4, "YBR_PARTIAL_422": 4, "YBR_PARTIAL_420": 3}
"""Native samples of two pixels, where chroma is shared between pixels (PS3.3 C.7.6.3.1.2)."""
TAIL_BYTES = 64
"""How far from a fragment's end its end marker is looked for: padding follows it."""
END_OF_IMAGE = b"\xff\xd9"
STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
"""First bytes of JPEG and JPEG-LS, a JPEG 2000 code stream and file, a JPEG XL code stream and file."""
_START_BYTES = 8

Frames = tuple[tuple[Span, ...], ...]


def index_frames(walked: Walked, facts: PixelFacts | None, transfer_syntax_uid: str) -> FrameIndex:
    """The frame index of an instance; never a span outside the walked bytes.

    Where frames cannot be told apart the layout is WHOLE and says why: the instance is stored all the same.
    """
    value = next((bulk for bulk in walked.bulk if bulk.path in PIXEL_PATHS), None)
    if value is None:
        return FrameIndex(FrameLayout.NONE)
    if facts is None:
        return _whole(0, "The instance does not say how its pixels are encoded.")
    count = facts.number_of_frames
    if count > MAXIMUM_FRAMES:
        return _whole(0, f"The instance says that it has more than {MAXIMUM_FRAMES} frames.")
    if _VIDEO.fullmatch(transfer_syntax_uid):
        return _whole(count, "Video has no frames of its own; retrieve the bulk data or rendered.")
    if value.encapsulated:
        if transfer_syntax_uid in NATIVE_SYNTAXES:
            return _whole(count, "The pixel data is encapsulated, though the transfer syntax is a native one.")
        return _encapsulated(walked, value, count, transfer_syntax_uid)
    if _COMPRESSED.fullmatch(transfer_syntax_uid):
        return _whole(count, "The pixel data is not encapsulated, though the transfer syntax is a compressed one.")
    return _native(walked, value, facts)


def _whole(count: int, reason: str) -> FrameIndex:
    return FrameIndex(FrameLayout.WHOLE, count, reason=reason)


def _native(walked: Walked, value: BulkValue, facts: PixelFacts) -> FrameIndex:
    count = facts.number_of_frames
    halves = HALVES_PER_PIXEL.get(facts.photometric_interpretation, 2 * facts.samples_per_pixel)
    bits = facts.rows * facts.columns * facts.bits_allocated * halves // 2
    span = value.spans[0]
    excess_bytes = span.length_bytes - (bits * count + 7) // 8
    if bits == 0 or excess_bytes < 0:
        return _whole(count, "The pixel data is shorter than its rows, columns and frames say.")
    if excess_bytes > PADDING_BYTES:
        if bits % 8 and span.length_bytes - (bits + 7) // 8 * count in range(PADDING_BYTES + 1):
            return _whole(count, "Each frame seems to be filled up to whole bytes, against PS3.5 §8.1.1.")
        walked.warnings.append("The pixel data is longer than its rows, columns and frames say.")
    if facts.bits_allocated == 1:
        return FrameIndex(FrameLayout.PACKED, count, span.offset, bits)
    if bits % 8 and count > 1:
        return _whole(count, "The frames do not begin at whole bytes.")
    return FrameIndex(FrameLayout.NATIVE, count, span.offset, (bits + 7) // 8 * 8)


def _encapsulated(walked: Walked, value: BulkValue, count: int, transfer_syntax_uid: str) -> FrameIndex:
    """In the order of trust: extended table, basic table, one fragment a frame, the code streams themselves."""
    fragments = value.spans
    frames = (
        _by_extended_table(walked, fragments, count)
        or _by_basic_table(walked.data, value, count)
        or _one_each(fragments, count, transfer_syntax_uid)
        or _by_code_streams(walked.data, fragments, count)
    )
    if frames is None:
        return _whole(
            count, "The fragments of the pixel data cannot be told apart into the frames that it should have."
        )
    return FrameIndex(FrameLayout.FRAGMENTS, count, spans=frames)


def _by_extended_table(walked: Walked, fragments: Sequence[Span], count: int) -> Frames | None:
    """Extended Offset Table: each frame is one fragment, of the length that the table gives, and none is left over."""
    offsets = _table(walked.data, walked.offset_tables.get(EXTENDED_OFFSET_TABLE), "Q", count)
    lengths = _table(walked.data, walked.offset_tables.get(EXTENDED_LENGTHS), "Q", count)
    if not offsets or not lengths or len(fragments) != count:
        return None
    first = fragments[0].offset
    for span, offset, length in zip(fragments, offsets, lengths, strict=True):
        # The length may leave out the byte that makes the fragment even, or count it.
        if span.offset - first != offset or not 0 <= span.length_bytes - length <= 1:
            return None
    return tuple((Span(span.offset, length),) for span, length in zip(fragments, lengths, strict=True))


def _table(data: Buffer, span: Span | None, code: str, count: int) -> Sequence[int]:
    """The entries of an offset table that has one for each frame; none of any other."""
    if span is None or span.length_bytes != count * struct.calcsize(f"<{code}"):
        return ()
    return struct.unpack_from(f"<{count}{code}", data, span.offset)


def _by_basic_table(data: Buffer, value: BulkValue, count: int) -> Frames | None:
    """Basic Offset Table, believed only where every offset is the beginning of an item, in rising order."""
    offsets, fragments = _table(data, value.offset_table, "I", count), value.spans
    if not offsets or not fragments or offsets[0] != 0:
        return None
    first = fragments[0].offset
    index_of = {span.offset - first: index for index, span in enumerate(fragments)}
    starts = [index_of[offset] for offset in offsets if offset in index_of]
    if len(starts) != count or any(later <= earlier for earlier, later in pairwise(starts)):
        return None
    ends = [*starts[1:], len(fragments)]
    return tuple(tuple(fragments[start:end]) for start, end in zip(starts, ends, strict=True))


def _one_each(fragments: Sequence[Span], count: int, transfer_syntax_uid: str) -> Frames | None:
    if len(fragments) == count:
        return tuple((span,) for span in fragments)
    if count == 1 and fragments and transfer_syntax_uid != RLE:  # an RLE frame is one fragment (PS3.5 A.4.2)
        return (tuple(fragments),)
    return None


def _by_code_streams(data: Buffer, fragments: Sequence[Span], count: int) -> Frames | None:
    """A frame ends with the fragment that ends its code stream, and the next begins with a start marker."""
    frames: list[tuple[Span, ...]] = []
    begun: list[Span] = []
    for position, span in enumerate(fragments):
        begun.append(span)
        is_last = position + 1 == len(fragments)
        if _ends(data, span) and (is_last or _begins(data, fragments[position + 1])):
            frames.append(tuple(begun))
            begun = []
    return tuple(frames) if not begun and len(frames) == count else None


def _ends(data: Buffer, span: Span) -> bool:
    end = span.offset + span.length_bytes
    return bytes(data[max(span.offset, end - TAIL_BYTES) : end]).rstrip(b"\0").endswith(END_OF_IMAGE)


def _begins(data: Buffer, span: Span) -> bool:
    return bytes(data[span.offset : span.offset + min(_START_BYTES, span.length_bytes)]).startswith(STARTS)
