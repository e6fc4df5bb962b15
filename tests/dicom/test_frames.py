"""Frames lie where the index says, cut as pydicom cuts them; what cannot be cut is said, never guessed."""

import io
import logging
import struct
import time
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from archive.dicom.extract import parse_instance
from archive.errors import RefusedInstanceError
from archive.instances import FrameIndex, FrameLayout, ParsedInstance, Span

JPEG_BASELINE, JPEG_2000, RLE, EXPLICIT = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.1",
)
MPEG_4 = "1.2.840.10008.1.2.4.102"


@pytest.fixture(autouse=True)
def _quiet_pydicom(caplog):
    caplog.set_level(logging.CRITICAL, "pydicom")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the oddities of its own test files
        yield


def _image(syntax: str, pixel_data: bytes, **image: object) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7.4", "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.BitsAllocated = 4, 6, 1, 8
    dataset.PhotometricInterpretation, dataset.BitsStored, dataset.HighBit = "MONOCHROME2", 8, 7
    dataset.PixelRepresentation = 0
    for keyword, value in image.items():
        setattr(dataset, keyword, value)
    dataset.add_new(0x7FE00010, "OB" if dataset.BitsAllocated <= 8 else "OW", pixel_data)
    dataset[0x7FE00010].is_undefined_length = pydicom.uid.UID(syntax).is_encapsulated
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def _cut(data: bytes, frames: FrameIndex) -> list[bytes]:
    return [
        b"".join(data[span.offset : span.offset + span.length_bytes] for span in frames.spans_of(index))
        for index in range(frames.count)
    ]


def _parsed(data: bytes) -> ParsedInstance:
    parsed = parse_instance(data)
    assert FrameIndex.from_bytes(parsed.frames.to_bytes()) == parsed.frames
    return parsed


def test_the_frames_of_every_real_file_are_pydicoms(real_file: Path) -> None:
    data = real_file.read_bytes()
    try:
        parsed = _parsed(data)
    except RefusedInstanceError:
        return  # test_extract.py says which files are refused
    dataset = pydicom.dcmread(io.BytesIO(data))
    if parsed.frames.layout is FrameLayout.NONE:
        assert not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & set(dataset.dir())
        return
    assert parsed.frames.layout is not FrameLayout.WHOLE
    count = 1 if real_file.name == "badVR.dcm" else int(dataset.get("NumberOfFrames") or 1)  # it says "1A"
    assert parsed.frames.count == count
    if parsed.frames.layout is FrameLayout.FRAGMENTS:
        assert _cut(data, parsed.frames) == list(generate_frames(dataset.PixelData, number_of_frames=count))
        return
    if dataset.file_meta.TransferSyntaxUID.is_deflated:
        return  # its frames lie in the inflated dataset
    name = parsed.pixels.pixel_keyword if parsed.pixels else ""
    whole, joined = dataset[name].value, b"".join(_cut(data, parsed.frames))
    if parsed.frames.layout is FrameLayout.NATIVE:
        assert whole.startswith(joined)
        assert len(whole) - len(joined) <= 1 or real_file.name in ("MR_small_padded.dcm", "badVR.dcm")


FRAMES = [b"\xff\xd8" + bytes([number]) * size + b"\xff\xd9" for number, size in ((1, 10), (2, 9), (3, 30))]
EVEN = [frame + bytes(len(frame) % 2) for frame in FRAMES]


def test_a_basic_offset_table_cuts_frames_of_several_fragments() -> None:
    data = _image(JPEG_BASELINE, encapsulate(FRAMES, fragments_per_frame=2, has_bot=True), NumberOfFrames=3)
    assert [frame.rstrip(b"\0") for frame in _cut(data, _parsed(data).frames)] == FRAMES


def test_an_extended_offset_table_cuts_frames_without_their_padding() -> None:
    pixels, offsets, lengths = encapsulate_extended(EVEN)
    shortened = struct.pack("<3Q", *(len(frame) for frame in FRAMES))
    for table in (lengths, shortened):
        data = _image(
            JPEG_BASELINE, pixels, NumberOfFrames=3, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=table
        )
        expected = EVEN if table is lengths else FRAMES
        assert _cut(data, _parsed(data).frames) == expected


@pytest.mark.parametrize(
    "offsets",
    [[0, 18, 18], [0, 20, 38], [0, 38, 18], [4, 22, 42], [0, 2**60, 42], [0, 0, 0]],
    ids=["twice", "between items", "falling", "not from zero", "far outside", "all zero"],
)
def test_an_extended_offset_table_that_lies_is_not_believed(offsets: list[int]) -> None:
    pixels, _, lengths = encapsulate_extended(EVEN)
    table = struct.pack("<3Q", *offsets)
    data = _image(
        JPEG_BASELINE, pixels, NumberOfFrames=3, ExtendedOffsetTable=table, ExtendedOffsetTableLengths=lengths
    )
    assert _cut(data, _parsed(data).frames) == EVEN


@pytest.mark.parametrize("offsets", [[0, 22, 9999], [0, 3, 44], [0, 44, 22], [8, 30, 52]])
def test_a_basic_offset_table_that_lies_is_not_believed(offsets: list[int]) -> None:
    good = encapsulate(FRAMES, has_bot=True)
    bad = good[:8] + struct.pack("<3I", *offsets) + good[20:]
    data = _image(JPEG_BASELINE, bad, NumberOfFrames=3)
    assert _cut(data, _parsed(data).frames) == EVEN


def test_without_a_table_the_code_streams_tell_the_frames() -> None:
    data = _image(JPEG_BASELINE, encapsulate(FRAMES, fragments_per_frame=2, has_bot=False), NumberOfFrames=3)
    assert [frame.rstrip(b"\0") for frame in _cut(data, _parsed(data).frames)] == FRAMES


def test_without_a_table_or_markers_the_instance_is_whole_and_says_why() -> None:
    frames = [bytes([7]) * 20] * 2
    data = _image(JPEG_2000, encapsulate(frames, fragments_per_frame=2, has_bot=False), NumberOfFrames=2)
    index = _parsed(data).frames
    assert index.layout is FrameLayout.WHOLE
    assert index.count == 2
    assert "fragments" in index.reason
    with pytest.raises(ValueError, match="fragments"):
        index.spans_of(0)


def test_one_frame_of_many_fragments_is_all_of_them() -> None:
    data = _image(JPEG_2000, encapsulate([bytes(range(100))], fragments_per_frame=5, has_bot=False))
    assert _cut(data, _parsed(data).frames) == [bytes(range(100))]


def test_an_rle_frame_is_one_fragment() -> None:
    data = _image(RLE, encapsulate([bytes(100)], fragments_per_frame=2, has_bot=False))
    assert _parsed(data).frames.layout is FrameLayout.WHOLE


def test_video_has_no_frames_of_its_own() -> None:
    data = _image(MPEG_4, encapsulate([bytes(64)], has_bot=False), NumberOfFrames=30)
    index = _parsed(data).frames
    assert index.layout is FrameLayout.WHOLE
    assert "Video" in index.reason


def test_one_bit_frames_are_packed_across_their_borders() -> None:
    samples = np.random.default_rng(1).integers(0, 2, (5, 3, 7), dtype=np.uint8)
    packed = np.packbits(samples.ravel(), bitorder="little").tobytes()
    image = {"Rows": 3, "Columns": 7, "BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "NumberOfFrames": 5}
    data = _image(EXPLICIT, packed + bytes(len(packed) % 2), **image)
    index = _parsed(data).frames
    assert index.layout is FrameLayout.PACKED
    for number, octets in enumerate(_cut(data, index)):
        bits = np.unpackbits(np.frombuffer(octets, np.uint8), bitorder="little")[index.bit_offset(number) :][:21]
        assert np.array_equal(bits.reshape(3, 7), samples[number])


def test_one_bit_frames_filled_up_to_bytes_are_not_cut_wrongly() -> None:
    image = {"Rows": 3, "Columns": 7, "BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "NumberOfFrames": 8}
    index = _parsed(_image(EXPLICIT, bytes(24), **image)).frames
    assert index.layout is FrameLayout.WHOLE
    assert "whole bytes" in index.reason


def test_an_odd_frame_is_followed_by_a_pad_byte_that_is_not_its_own() -> None:
    data = _image(EXPLICIT, bytes(range(9)) + b"\0", Rows=3, Columns=3)
    assert _cut(data, _parsed(data).frames) == [bytes(range(9))]


def test_pixel_data_shorter_than_it_says_is_whole() -> None:
    index = _parsed(_image(EXPLICIT, bytes(22))).frames
    assert index.layout is FrameLayout.WHOLE
    assert "shorter" in index.reason


def test_pixel_data_longer_than_it_says_is_cut_with_a_warning() -> None:
    data = _image(EXPLICIT, bytes(range(40)))
    parsed = _parsed(data)
    assert _cut(data, parsed.frames) == [bytes(range(24))]
    assert parsed.warnings == ("The pixel data is longer than its rows, columns and frames say.",)


def test_shared_chroma_makes_a_native_frame_smaller() -> None:
    pixels = bytes(range(48)) + bytes(48)
    data = _image(
        EXPLICIT, pixels, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", NumberOfFrames=2,
        PlanarConfiguration=0,
    )  # fmt: skip
    assert _cut(data, _parsed(data).frames) == [bytes(range(48)), bytes(48)]


@pytest.mark.parametrize(
    "image",
    [{"Rows": 0}, {"NumberOfFrames": 2_000_000}, {"NumberOfFrames": 2**31 - 1}, {"Rows": 65535, "Columns": 65535}],
)
def test_dimensions_that_cannot_be_are_whole(image: dict[str, object]) -> None:
    assert _parsed(_image(EXPLICIT, bytes(24), **image)).frames.layout is FrameLayout.WHOLE


@pytest.mark.parametrize(("keyword", "vr", "size"), [("FloatPixelData", "OF", 4), ("DoubleFloatPixelData", "OD", 8)])
def test_float_pixels_are_frames_too(keyword: str, vr: str, size: int) -> None:
    data = _image(EXPLICIT, b"")
    dataset = pydicom.dcmread(io.BytesIO(data))
    del dataset.PixelData, dataset.BitsAllocated
    dataset.NumberOfFrames = 2
    dataset.add_new(pydicom.datadict.tag_for_keyword(keyword), vr, bytes(range(24)) * 2 * size)
    out = io.BytesIO()
    dataset.save_as(out)
    parsed = _parsed(out.getvalue())
    assert parsed.frames.layout is FrameLayout.NATIVE
    assert _cut(out.getvalue(), parsed.frames) == [bytes(range(24)) * size] * 2
    assert parsed.pixels is not None
    assert parsed.pixels.pixel_keyword == keyword


@settings(max_examples=200, deadline=None)
@given(
    pixels=st.binary(max_size=200),
    count=st.integers(0, 5),
    table=st.lists(st.integers(0, 2**32 - 1), max_size=5),
    syntax=st.sampled_from([JPEG_BASELINE, JPEG_2000, RLE]),
)
def test_no_span_ever_lies_outside_the_pixel_data(pixels: bytes, count: int, table: list[int], syntax: str) -> None:
    parts = [part * 2 for part in (pixels[:50], pixels[50:90], pixels[90:])]
    fragments = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    bot = struct.pack(f"<HHI{len(table)}I", 0xFFFE, 0xE000, 4 * len(table), *table)
    data = _image(syntax, bot + fragments, NumberOfFrames=count)
    index = _parsed(data).frames
    if index.layout is FrameLayout.FRAGMENTS:
        assert b"".join(_cut(data, index)) in b"".join(parts)


@pytest.mark.parametrize("fragments", [(1, 1, 1), (1, 2, 1), (1, 0, 1), (257, 1), (1,), ()])
def test_an_index_that_was_kept_says_the_same_again(fragments: tuple[int, ...]) -> None:
    spans = tuple(
        tuple(Span(1000 * frame + fragment, 500 + fragment) for fragment in range(count))
        for frame, count in enumerate(fragments)
    )
    index = FrameIndex(FrameLayout.FRAGMENTS, len(spans), spans=spans)
    again = FrameIndex.from_bytes(index.to_bytes())
    assert again == index
    assert index == again
    assert hash(again) == hash(index)
    assert again.to_bytes() == index.to_bytes()
    assert [again.spans_of(frame) for frame in range(len(spans))] == list(spans)
    assert list(again.spans[-2:]) == list(spans[-2:])
    with pytest.raises(IndexError):
        again.spans_of(len(spans))


def test_one_frame_of_a_slide_is_found_without_reading_where_all_the_others_lie() -> None:
    count = 300_000
    whole = FrameIndex(FrameLayout.FRAGMENTS, 1, spans=((Span(7, 5),),)).to_bytes()
    head, entry = whole[:-16], whole[-16:]
    began_s = time.process_time()
    index = FrameIndex.from_bytes(struct.pack("<BI", FrameLayout.FRAGMENTS, count) + head[5:] + entry * count)
    assert index.spans_of(count - 1) == (Span(7, 5),)
    assert time.process_time() - began_s < 0.1  # reading all takes a second
