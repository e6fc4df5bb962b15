"""Every real file that pydicom decodes, decoded here: sample for sample the same."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import convert_color_space

from archive.dicom.extract import parse_instance
from archive.errors import LightboxError, UnprocessableError
from archive.identifiers import Digest
from archive.instances import PixelFacts
from wado.pixels.decode import container_type, decode_frame, ybr_to_rgb
from wado.pixels.source import FrameReader, FrameSource
from wado.pixels.transcode import TRANSCODINGS, facts_after, native_frame, targets_of, transcode_frame

LOSSLESS_TARGETS = {row.transfer_syntax_uid for row in TRANSCODINGS if row.target is not None and not row.target.lossy}
FRAMES_OF_EACH = 3
pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of its own test files


def pydicom_array(source: FrameSource) -> NDArray[Any] | None:
    """All frames as pydicom gives them to its users; None where its installed plugins cannot."""
    try:
        array = pydicom.dcmread(source.path).pixel_array
    except (RuntimeError, ValueError, AttributeError, NotImplementedError, TypeError):
        return None
    return array if source.facts.number_of_frames > 1 else array[np.newaxis]


def shaped(data: bytes, facts: PixelFacts) -> NDArray[Any]:
    samples = np.frombuffer(data, container_type(facts))
    if facts.samples_per_pixel == 1:
        return samples.reshape(facts.rows, facts.columns)
    if facts.planar_configuration == 1:
        return samples.reshape(3, facts.rows, facts.columns).transpose(1, 2, 0)
    return samples.reshape(facts.rows, facts.columns, facts.samples_per_pixel)


def source_of(name: str) -> FrameSource:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    parsed = parse_instance(Path(path).read_bytes())
    assert parsed.pixels is not None
    return FrameSource(Path(path), Digest("0" * 64), parsed.pixels, parsed.frames, parsed.transfer_syntax_uid)


def test_every_frame_that_pydicom_decodes_is_the_same_as_explicit_little_endian(
    real_sources: tuple[FrameSource, ...],
) -> None:
    compared = 0
    for source in real_sources:
        expected = pydicom_array(source)
        if expected is None:
            continue
        after = facts_after(source.facts, source.transfer_syntax_uid)
        for frame_index in range(min(source.frames.count, FRAMES_OF_EACH)):
            location = source.frame(frame_index)
            frame = FrameReader().read(location)
            data = native_frame(frame, source.facts, source.transfer_syntax_uid, location.bit_offset)
            if after.bits_allocated == 1 or after.photometric_interpretation == "YBR_FULL_422":
                continue  # stored so, and given as stored; their samples have tests of their own below
            np.testing.assert_array_equal(shaped(data, after), expected[frame_index], err_msg=source.path.name)
            compared += 1
    assert compared >= 60


def test_one_bit_samples_are_cut_out_of_the_octets_that_cover_the_frame(
    real_sources: tuple[FrameSource, ...],
) -> None:
    compared = 0
    for source in real_sources:
        expected = pydicom_array(source)
        if source.facts.bits_allocated != 1 or expected is None:
            continue
        for frame_index in range(source.frames.count):
            location = source.frame(frame_index)
            samples = decode_frame(
                FrameReader().read(location), source.facts, source.transfer_syntax_uid, location.bit_offset
            )
            np.testing.assert_array_equal(samples, expected[frame_index])
            compared += 1
    assert compared > 0


def test_subsampled_native_colour_is_given_one_chrominance_for_each_pixel() -> None:
    source = source_of("SC_ybr_full_422_uncompressed.dcm")
    samples = decode_frame(FrameReader().read(source.frame(0)), source.facts, source.transfer_syntax_uid)
    expected = pydicom.dcmread(source.path)
    expected.pixel_array_options(raw=True)
    np.testing.assert_array_equal(samples, expected.pixel_array)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_twelve_bit_jpeg_keeps_its_twelve_bits(name: str) -> None:
    """pydicom's default plugins cannot decode these; their values lie in the range that 12 bits have."""
    source = source_of(name)
    samples = decode_frame(FrameReader().read(source.frame(0)), source.facts, source.transfer_syntax_uid)
    assert samples.dtype == np.uint16
    assert (samples.min(), samples.max()) == (0, 264)


def test_nine_encodings_of_one_slice_give_one_array(real_sources: tuple[FrameSource, ...]) -> None:
    sources = [source for source in real_sources if "transfer-syntaxes-mr" in source.path.parts]
    arrays = [
        decode_frame(FrameReader().read(source.frame(0)), source.facts, source.transfer_syntax_uid)
        for source in sources
    ]
    for array in arrays[1:]:
        np.testing.assert_array_equal(array, arrays[0])
    assert len(sources) in (0, 9)  # the shared data may not be there


def test_every_lossless_transcode_of_a_real_frame_comes_back_bit_for_bit(
    real_sources: tuple[FrameSource, ...],
) -> None:
    tried: set[tuple[str, str]] = set()
    for source in real_sources:
        facts, syntax = source.facts, source.transfer_syntax_uid
        location = source.frame(0)
        frame = FrameReader().read(location)
        for target in LOSSLESS_TARGETS.intersection(targets_of(syntax, facts)):
            signature = (syntax, target + str((facts.photometric_interpretation, facts.bits_stored, facts.rows % 16)))
            if signature in tried:
                continue
            tried.add(signature)
            try:
                coded = transcode_frame(frame, facts, syntax, target)
            except UnprocessableError:
                with pytest.raises(LightboxError):  # a frame that cannot be decoded at all
                    native_frame(frame, facts, syntax)
                continue
            after = facts_after(facts, syntax, target)
            expected = decode_frame(frame, facts, syntax)
            if after.photometric_interpretation in ("RGB", "YBR_RCT") and facts.photometric_interpretation in (
                "YBR_FULL",
                "YBR_FULL_422",
            ):
                expected = ybr_to_rgb(expected)
            np.testing.assert_array_equal(decode_frame(coded, after, target), expected, err_msg=source.path.name)
    assert len(tried) >= 60


def test_the_colour_conversion_is_pydicoms_for_every_chrominance() -> None:
    chrominance = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), -1)
    for luminance in (0, 1, 77, 128, 255):
        samples = np.concatenate([np.full((256, 256, 1), luminance), chrominance], -1).astype(np.uint8)
        np.testing.assert_array_equal(ybr_to_rgb(samples), convert_color_space(samples, "YBR_FULL", "RGB"))


def test_lossy_wavelets_are_within_one_of_a_second_decoder() -> None:
    import openjpeg

    source = source_of("JPEG2000.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = next(generate_frames(pydicom.dcmread(source.path).PixelData, number_of_frames=1))
    ours = decode_frame(data, source.facts, source.transfer_syntax_uid)
    theirs = openjpeg.decode(data)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1
