"""Frames that lie, are cut short or are bombs: refused before a codec sees them, or in bounded time and memory."""

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archive.errors import StoreError, UnprocessableError
from archive.identifiers import Digest
from archive.instances import FrameIndex, FrameLayout, PixelFacts, Span
from wado.pixels.codestream import MAXIMUM_FRAME_BYTES, check_facts, read_header
from wado.pixels.decode import decode_frame
from wado.pixels.encode import ENCODABLE, encode_frame
from wado.pixels.source import FrameReader, FrameSource
from wado.pixels.syntaxes import (
    DEFLATED_FRAMES,
    EXPLICIT_BE,
    EXPLICIT_LE,
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_XL_LOSSLESS,
    RLE,
)

SOF_SYNTAXES = {JPEG_LS: 0xF7, JPEG_LOSSLESS_SV1: 0xC3, JPEG_BASELINE: 0xC0}


def inflated_header(frame: bytes, transfer_syntax_uid: str, rows: int, columns: int) -> bytes:
    """The frame, its code stream now saying other dimensions."""
    changed = bytearray(frame)
    if transfer_syntax_uid in SOF_SYNTAXES:
        position = frame.index(bytes([0xFF, SOF_SYNTAXES[transfer_syntax_uid]]))
        struct.pack_into(">HH", changed, position + 5, rows, columns)
    else:
        struct.pack_into(">II", changed, frame.index(b"\xff\x51") + 6, columns, rows)
    return bytes(changed)


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_LOSSLESS_SV1, JPEG_BASELINE, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
def test_a_code_stream_of_65535_pixels_each_way_is_refused_unread(make_kind: Any, syntax: str) -> None:
    kind = make_kind(8, 8, rows=64, columns=64)
    bomb = inflated_header(encode_frame(kind.draw(), kind.facts, syntax), syntax, 65535, 65535)
    with pytest.raises(UnprocessableError, match="65535 × 65535"):
        decode_frame(bomb, kind.facts, syntax)


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000_LOSSLESS, RLE, EXPLICIT_LE])
def test_a_dataset_that_admits_to_be_a_bomb_is_over_the_cap(make_kind: Any, syntax: str) -> None:
    kind = make_kind(8, 8, rows=64, columns=64)
    frame = encode_frame(kind.draw(), kind.facts, JPEG_LS)
    facts = replace(kind.facts, rows=65535, columns=65535)
    with pytest.raises(UnprocessableError, match=str(MAXIMUM_FRAME_BYTES)):
        decode_frame(frame, facts, syntax)


@pytest.mark.parametrize("syntax", sorted(ENCODABLE - {DEFLATED_FRAMES, RLE}))
def test_other_dimensions_components_or_bits_than_the_dataset_says_are_told(make_kind: Any, syntax: str) -> None:
    kind = make_kind(8, 8, rows=40, columns=24)
    frame = encode_frame(kind.draw(), kind.facts, syntax)
    with pytest.raises(UnprocessableError, match="24 × 40 pixels"):
        decode_frame(frame, replace(kind.facts, rows=41), syntax)
    with pytest.raises(UnprocessableError, match=r"component|samples"):
        decode_frame(frame, replace(kind.facts, samples_per_pixel=3), syntax)
    if syntax not in (JPEG_BASELINE, JPEG_XL_LOSSLESS):
        deep = make_kind(12, 16, rows=40, columns=24)
        frame = encode_frame(deep.draw(), deep.facts, syntax)
        with pytest.raises(UnprocessableError, match="bits"):
            decode_frame(frame, kind.facts, syntax)


@pytest.mark.parametrize("syntax", sorted(ENCODABLE - {JPEG_BASELINE}))
def test_damage_anywhere_gives_an_error_or_samples_but_nothing_else(make_kind: Any, syntax: str) -> None:
    kind = make_kind(12, 16, rows=33, columns=31)
    frame = encode_frame(kind.draw(), kind.facts, syntax)
    generator = np.random.default_rng(7)
    for cut in (0, 1, 2, 10, len(frame) // 3):
        assert refused_or_whole(frame[:cut], kind.facts, syntax)
    refused = 0
    for _ in range(60):
        damaged = bytearray(frame)
        for position in generator.integers(0, len(frame), 3):
            damaged[position] = generator.integers(0, 256)
        refused += refused_or_whole(bytes(damaged), kind.facts, syntax) == "refused"
    assert refused > 0


def refused_or_whole(frame: bytes, facts: PixelFacts, syntax: str) -> str:
    """Some decoders fill up what is missing; then every sample must be there."""
    try:
        samples = decode_frame(frame, facts, syntax)
    except UnprocessableError as error:
        return "refused" if error.message else ""
    return "whole" if samples.shape == (facts.rows, facts.columns) else ""


def literal_runs(octets: bytes) -> bytes:
    chunks = [octets[start : start + 128] for start in range(0, len(octets), 128)]
    return b"".join(bytes([len(chunk) - 1]) + chunk for chunk in chunks)


def test_run_length_segments_with_more_in_them_than_the_frame_has_are_cut(make_kind: Any) -> None:
    kind = make_kind(12, 16, photometric="RGB")
    octets = kind.draw().transpose(2, 0, 1).reshape(3, -1, 1).view(np.uint8)
    segments = [literal_runs(octets[plane, :, byte].tobytes() + b"excess") for plane in range(3) for byte in (1, 0)]
    offsets = np.cumsum([64, *map(len, segments)])[:-1]
    head = struct.pack("<I6I", 6, *offsets).ljust(64, b"\0")
    np.testing.assert_array_equal(decode_frame(head + b"".join(segments), kind.facts, RLE), kind.draw())


def test_run_lengths_with_a_wrong_number_of_segments_are_refused(make_kind: Any) -> None:
    kind = make_kind(12, 16)
    frame = encode_frame(kind.draw(), kind.facts, RLE)
    with pytest.raises(UnprocessableError, match="segments"):
        decode_frame(frame, make_kind(8, 8).facts, RLE)


def test_an_image_pixel_module_that_describes_no_image_is_refused(make_kind: Any) -> None:
    facts = make_kind(8, 8).facts
    for broken in (
        replace(facts, rows=0),
        replace(facts, bits_allocated=12),
        replace(facts, bits_stored=9),
        replace(facts, samples_per_pixel=5),
        replace(facts, columns=65536),
    ):
        with pytest.raises(UnprocessableError):
            check_facts(broken)


def test_a_header_behind_fill_bytes_and_application_markers_is_found(make_kind: Any) -> None:
    kind = make_kind(8, 8)
    frame = encode_frame(kind.draw(), kind.facts, JPEG_LS)
    padded = frame[:2] + b"\xff\xff\xe7\x00\x04ab" + frame[2:]
    assert read_header(padded, JPEG_LS).rows == kind.rows


def test_a_jp2_file_is_read_though_only_its_code_stream_belongs_there(make_kind: Any) -> None:
    import imagecodecs

    kind = make_kind(8, 8)
    frame = imagecodecs.jpeg2k_encode(kind.draw(), codecformat="JP2", reversible=True)
    np.testing.assert_array_equal(decode_frame(frame, kind.facts, JPEG_2000_LOSSLESS), kind.draw())


def test_boxes_without_end_are_given_up() -> None:
    with pytest.raises(UnprocessableError):
        read_header(b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00\x00\x00\x08free" * 1000, JPEG_2000_LOSSLESS)
    with pytest.raises(UnprocessableError):
        read_header(b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x00free", JPEG_2000_LOSSLESS)


@pytest.mark.parametrize("shape", [(8, 8), (8, 16), (40, 24), (77, 300), (1080, 1920), (1, 1), (300, 300)])
def test_jpeg_xl_tells_its_size_in_all_its_forms(make_kind: Any, shape: tuple[int, int]) -> None:
    kind = make_kind(8, 8, rows=shape[0], columns=shape[1])
    header = read_header(encode_frame(kind.draw(), kind.facts, JPEG_XL_LOSSLESS), JPEG_XL_LOSSLESS)
    assert (header.rows, header.columns) == shape


def test_a_file_that_is_gone_or_shorter_than_its_index_is_a_store_error(tmp_path: Any, make_kind: Any) -> None:
    facts = make_kind(8, 8).facts
    source = FrameSource(
        tmp_path / "blob",
        Digest("0" * 64),
        facts,
        FrameIndex(FrameLayout.NATIVE, 1, 10, facts.frame_bytes * 8),
        EXPLICIT_LE,
    )
    with pytest.raises(StoreError) as gone:
        FrameReader().read(source.frame(0))
    assert str(tmp_path) not in gone.value.message
    source.path.write_bytes(bytes(facts.frame_bytes))
    with pytest.raises(StoreError):
        FrameReader().read(source.frame(0))


def test_frames_that_begin_within_a_swapped_word_are_put_right(tmp_path: Any) -> None:
    """Big endian OW with 8-bit samples and an odd number of them (PS3.5 §7.3)."""
    facts = PixelFacts(3, 3, 1, "MONOCHROME2", 8, 8, 7, 0, number_of_frames=3, pixel_vr="OW")
    samples = np.arange(27, dtype=np.uint8)
    stored = np.append(samples, 0).astype(np.uint8).view(np.uint16).byteswap().tobytes()
    path = tmp_path / "blob"
    path.write_bytes(b"head" + stored)
    index = FrameIndex(FrameLayout.NATIVE, 3, 4, 72)
    source = FrameSource(path, Digest("0" * 64), facts, index, EXPLICIT_BE)
    for frame_index in range(3):
        frame = FrameReader().read(source.frame(frame_index))
        assert list(frame) == list(range(9 * frame_index, 9 * frame_index + 9))
    as_bytes = replace(source, facts=replace(facts, pixel_vr="OB"))
    assert FrameReader().read(as_bytes.frame(1)) == stored[9:18]


def test_fragments_are_joined(tmp_path: Any, make_kind: Any) -> None:
    kind = make_kind(12, 16)
    frame = encode_frame(kind.draw(), kind.facts, JPEG_LS)
    path = tmp_path / "blob"
    path.write_bytes(frame[:100] + b"item head" + frame[100:])
    spans = ((Span(0, 100), Span(109, len(frame) - 100)),)
    source = FrameSource(path, Digest("0" * 64), kind.facts, FrameIndex(FrameLayout.FRAGMENTS, 1, spans=spans), JPEG_LS)
    assert FrameReader().read(source.frame(0)) == frame
