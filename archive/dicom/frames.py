"""Where each frame lies in the pixel data, found once at ingest (PS3.5 §8, A.4; PS3.3 C.7.6.3.1.8)."""

import struct
from base64 import b64decode
from collections.abc import Sequence
from itertools import pairwise

from archive.dicom.walk import BulkValue, Walked
from archive.instances import Buffer, FrameIndex, FrameLayout, PixelFacts, Span

MAXIMUM_FRAMES = 1_000_000
EXTENDED_OFFSET_TABLE, EXTENDED_LENGTHS = "7FE00001", "7FE00002"
RLE = "1.2.840.10008.1.2.5"
VIDEO = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (*range(100, 109),))
TAIL_BYTES = 64
"""How far from a fragment's end its end marker is looked for: padding follows it."""
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
CODESTREAM_START, JP2_START = b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "


def index_frames(walked: Walked, facts: PixelFacts | None, transfer_syntax_uid: str) -> FrameIndex:
    """The frame index of an instance; never a span outside the walked bytes.

    Where frames cannot be told apart the layout is WHOLE and says why: the instance is stored all the same.
    """
    value = next((bulk for bulk in walked.bulk if bulk.path in ("7FE00010", "7FE00008", "7FE00009")), None)
    if value is None or facts is None:
        return FrameIndex(FrameLayout.NONE)
    if facts.number_of_frames > MAXIMUM_FRAMES:
        return _whole(0, f"The instance says that it has more than {MAXIMUM_FRAMES} frames.")
    if transfer_syntax_uid in VIDEO:
        return _whole(facts.number_of_frames, "Video has no frames of its own; retrieve the bulk data or rendered.")
    if value.encapsulated:
        return _encapsulated(walked, value, facts.number_of_frames, transfer_syntax_uid)
    return _native(value, facts)


def _whole(count: int, reason: str) -> FrameIndex:
    return FrameIndex(FrameLayout.WHOLE, count, reason=reason)


def _native(value: BulkValue, facts: PixelFacts) -> FrameIndex:
    bits = facts.rows * facts.columns * facts.samples_per_pixel * facts.bits_allocated
    if facts.photometric_interpretation == "YBR_FULL_422":
        bits = bits // facts.samples_per_pixel * 2
    span = value.spans[0]
    if bits == 0 or (bits * facts.number_of_frames + 7) // 8 > span.length_bytes:
        return _whole(facts.number_of_frames, "The pixel data is shorter than its rows, columns and frames say.")
    layout = FrameLayout.PACKED if facts.bits_allocated == 1 else FrameLayout.NATIVE
    return FrameIndex(layout, facts.number_of_frames, span.offset, bits)


def _encapsulated(walked: Walked, value: BulkValue, count: int, transfer_syntax_uid: str) -> FrameIndex:
    """In the order of trust: extended table, basic table, one fragment a frame, the code streams themselves."""
    fragments = value.spans
    frames = (
        _by_extended_table(walked, fragments, count)
        or _by_offsets(value.offset_table, fragments, count)
        or _one_each(fragments, count, transfer_syntax_uid)
        or _by_code_streams(walked.data, fragments, count)
    )
    if frames is None:
        return _whole(
            count, "The fragments of the pixel data cannot be told apart into the frames that it should have."
        )
    return FrameIndex(FrameLayout.FRAGMENTS, count, spans=frames)


Frames = tuple[tuple[Span, ...], ...]


def _by_extended_table(walked: Walked, fragments: Sequence[Span], count: int) -> Frames | None:
    """Extended Offset Table: each frame is one fragment, of the length that the table gives."""
    offsets, lengths = _table(walked, EXTENDED_OFFSET_TABLE), _table(walked, EXTENDED_LENGTHS)
    if not fragments or len(offsets) != count or len(lengths) != count:
        return None
    starts = {span.offset - fragments[0].offset: span for span in fragments}
    found = [starts.get(offset) for offset in offsets]
    if any(
        span is None or not 0 <= span.length_bytes - length <= 1 for span, length in zip(found, lengths, strict=True)
    ):
        return None
    return tuple((Span(span.offset, length),) for span, length in zip(found, lengths, strict=True) if span is not None)


def _table(walked: Walked, tag: str) -> Sequence[int]:
    for bulk in walked.bulk:
        if bulk.path == tag:
            span = bulk.spans[0]
            return struct.unpack_from(f"<{span.length_bytes // 8}Q", walked.data, span.offset)
    entry = walked.attributes.get(tag, {})
    values = entry.get("Value", ())
    return [int(value) for value in values if isinstance(value, int)] or _inline(entry)


def _inline(entry: dict[str, object]) -> Sequence[int]:
    text = entry.get("InlineBinary")
    if not isinstance(text, str):
        return ()
    data = b64decode(text)
    return struct.unpack_from(f"<{len(data) // 8}Q", data)


def _by_offsets(offsets: Sequence[int], fragments: Sequence[Span], count: int) -> Frames | None:
    """Basic Offset Table, believed only where every offset is the beginning of an item, in rising order."""
    if not fragments or len(offsets) != count or offsets[0] != 0:
        return None
    first = fragments[0].offset
    index_of = {span.offset - first: index for index, span in enumerate(fragments)}
    starts = [index_of.get(offset) for offset in offsets]
    known = [start for start in starts if start is not None]
    if len(known) != count or any(later <= earlier for earlier, later in pairwise(known)):
        return None
    ends = [*known[1:], len(fragments)]
    return tuple(tuple(fragments[start:end]) for start, end in zip(known, ends, strict=True))


def _one_each(fragments: Sequence[Span], count: int, transfer_syntax_uid: str) -> Frames | None:
    if count == 1 and fragments and transfer_syntax_uid != RLE:
        return (tuple(fragments),)
    return tuple((span,) for span in fragments) if len(fragments) == count else None


def _by_code_streams(data: Buffer, fragments: Sequence[Span], count: int) -> Frames | None:
    """A frame ends with the fragment that ends its code stream, and the next begins with a start marker."""
    frames: list[tuple[Span, ...]] = []
    begun: list[Span] = []
    for position, span in enumerate(fragments):
        begun.append(span)
        tail = bytes(
            data[max(span.offset, span.offset + span.length_bytes - TAIL_BYTES) : span.offset + span.length_bytes]
        )
        following = fragments[position + 1] if position + 1 < len(fragments) else None
        if tail.rstrip(b"\0").endswith(JPEG_END) and (following is None or _begins(data, following)):
            frames.append(tuple(begun))
            begun = []
    return tuple(frames) if not begun and len(frames) == count else None


def _begins(data: Buffer, span: Span) -> bool:
    head = bytes(data[span.offset : span.offset + len(JP2_START)])
    return head.startswith((JPEG_START, CODESTREAM_START, JP2_START))
