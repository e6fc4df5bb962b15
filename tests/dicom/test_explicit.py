"""A file rewritten in Explicit VR Little Endian says what the stored one says; pydicom is the judge."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from archive.dicom.explicit import (
    BLOCK_BYTES,
    DecodedFrames,
    StoredValue,
    complete_file,
    plan_explicit,
    rewrite_explicit,
)
from archive.errors import NotAcceptableError, RefusedInstanceError, UnprocessableError
from archive.instances import PixelFacts

UNITS = {"OW": "u2", "OF": "u4", "OL": "u4", "OD": "u8", "OV": "u8"}
UID = "1.2.826.0.1.3680043.8.498.1"


@pytest.fixture(autouse=True)
def _quiet_pydicom():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the oddities of its own test files
        yield


def _file(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", UID
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def _read(blocks: Any) -> Dataset:
    return pydicom.dcmread(io.BytesIO(b"".join(blocks)))


def _plain(dataset: Dataset) -> dict[int, Any]:
    """Values by tag in little endian order, without group lengths; UN stays bytes."""
    plain: dict[int, Any] = {}
    big_endian = dataset.original_encoding[1] is False
    for element in dataset:
        if element.tag.element == 0:
            continue
        if element.VR == "SQ":
            plain[element.tag] = [_plain(item) for item in element.value]
        elif big_endian and element.VR in UNITS:
            plain[element.tag] = np.frombuffer(element.value, UNITS[element.VR]).byteswap().tobytes()
        elif isinstance(element.value, bytes):
            plain[element.tag] = element.value + bytes(len(element.value) % 2)
        else:
            plain[element.tag] = element.value
    return plain


def test_a_native_file_keeps_every_value(real_file: Path) -> None:
    data = real_file.read_bytes()
    stored = pydicom.dcmread(io.BytesIO(data))
    try:
        blocks = list(rewrite_explicit(data))
    except NotAcceptableError:
        assert stored.file_meta.TransferSyntaxUID.is_encapsulated
        return
    except RefusedInstanceError:
        return  # test_extract.py says which files are refused
    after = _read(blocks)
    assert after.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    if "SOPInstanceUID" in stored:
        assert after.file_meta.MediaStorageSOPInstanceUID == stored.SOPInstanceUID
    assert _plain(after) == _plain(stored)


@pytest.mark.parametrize(
    "name",
    [
        "JPEG2000.dcm",
        "SC_rgb_rle_2frame.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "GDCMJ2K_TextGBR.dcm",
    ],
)
def test_a_compressed_file_with_its_frames_decoded_has_their_samples(name: str) -> None:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path is not None
    stored = pydicom.dcmread(path)
    samples = stored.pixel_array
    frames = samples if stored.get("NumberOfFrames", 1) > 1 else samples[None]
    facts = PixelFacts(
        stored.Rows, stored.Columns, stored.SamplesPerPixel,
        "MONOCHROME2" if stored.SamplesPerPixel == 1 else "RGB",
        stored.BitsAllocated, stored.BitsStored, stored.HighBit, stored.PixelRepresentation,
        number_of_frames=len(frames),
    )  # fmt: skip
    blocks = list(
        rewrite_explicit(Path(path).read_bytes(), pixel_frames=(f.tobytes() for f in frames), facts_after=facts)
    )
    after = _read(blocks)
    assert np.array_equal(after.pixel_array, samples)
    assert after.PhotometricInterpretation == facts.photometric_interpretation
    assert after.get("PlanarConfiguration") == (0 if stored.SamplesPerPixel > 1 else None)
    expected_vr = "OW" if stored.BitsAllocated > 8 else "OB"
    pixel_data = after["PixelData"]
    assert {pixel_data.VR} == {expected_vr}
    assert after.get("LossyImageCompression") == stored.get("LossyImageCompression")
    assert {0x7FE00001, 0x7FE00002}.isdisjoint(after.keys())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_words_are_turned_round_and_bytes_are_not(syntax: str) -> None:
    dataset = Dataset()
    dataset.add_new(0x00281201, "OW", np.arange(700, dtype="<u2" if syntax != ExplicitVRBigEndian else ">u2").tobytes())
    dataset.add_new(0x00420011, "OB", bytes(range(256)) * 8)
    dataset.add_new(0x00281101, "US", [256, 0, 16])
    dataset.add_new(0x0040A160, "UT", "é" * 40_000)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    after = _read(rewrite_explicit(_file(dataset, syntax)))
    assert after[0x00281201].value == np.arange(700, dtype="<u2").tobytes()
    assert after[0x00420011].value == bytes(range(256)) * 8
    assert after[0x00281101].value == [256, 0, 16]
    assert after[0x0040A160].value == "é" * 40_000


def test_a_short_vr_over_64_kib_becomes_un() -> None:
    dataset = Dataset()
    dataset.add_new(0x30060050, "DS", ["1.5"] * 20_000)
    after = _read(rewrite_explicit(_file(dataset, ImplicitVRLittleEndian)))
    assert after.get_item(0x30060050).VR == "UN"
    assert after.get_item(0x30060050).value.count(b"1.5") == 20_000


def test_a_large_value_is_not_held_in_the_plan() -> None:
    dataset = Dataset()
    dataset.add_new(0x00420011, "OB", bytes(3 * BLOCK_BYTES))
    plan = plan_explicit(_file(dataset), None)
    stored = [piece for piece in plan.pieces if isinstance(piece, StoredValue)]
    assert [piece.span.length_bytes for piece in stored] == [3 * BLOCK_BYTES]
    assert [len(block) for block in plan.stored_blocks(stored[0])] == [BLOCK_BYTES] * 3
    assert plan.in_file
    assert sum(len(block) for block in rewrite_explicit(_file(dataset))) == plan.length_bytes


def test_compressed_pixel_data_without_its_frames_is_not_acceptable() -> None:
    path = pydicom.data.get_testdata_file("JPEG2000.dcm", download=False)
    assert path is not None
    with pytest.raises(NotAcceptableError):
        plan_explicit(Path(path).read_bytes(), None)


def test_pixel_data_over_four_gib_is_not_acceptable() -> None:
    path = pydicom.data.get_testdata_file("JPEG2000.dcm", download=False)
    assert path is not None
    facts = PixelFacts(65535, 65535, 1, "MONOCHROME2", 16, 16, 15, 0)
    with pytest.raises(NotAcceptableError):
        plan_explicit(Path(path).read_bytes(), facts)


@pytest.mark.parametrize("frames", [[], [bytes(2 * 64 * 64 - 1)], [bytes(2 * 64 * 64)] * 2])
def test_frames_that_are_not_what_was_said_end_the_rewriting(frames: list[bytes]) -> None:
    path = pydicom.data.get_testdata_file("MR_small_RLE.dcm", download=False)
    assert path is not None
    facts = PixelFacts(64, 64, 1, "MONOCHROME2", 16, 16, 15, 1)
    with pytest.raises(UnprocessableError):
        list(rewrite_explicit(Path(path).read_bytes(), pixel_frames=frames, facts_after=facts))


def test_an_icon_that_is_compressed_is_left_out() -> None:
    icon = Dataset()
    icon.Rows = icon.Columns = 8
    icon.add_new(0x7FE00010, "OB", pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"]))
    icon[0x7FE00010].is_undefined_length = True
    dataset = Dataset()
    dataset.PatientID = "1"
    dataset.IconImageSequence = [icon]
    dataset.add_new(0x7FE00010, "OB", pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"]))
    dataset[0x7FE00010].is_undefined_length = True
    facts = PixelFacts(1, 2, 1, "MONOCHROME2", 8, 8, 7, 0)
    data = _file(dataset, JPEGBaseline8Bit)
    after = _read(rewrite_explicit(data, pixel_frames=[b"\1\2"], facts_after=facts))
    assert "IconImageSequence" not in after
    assert after.PatientID == "1"
    assert after.PixelData == b"\1\2"


def test_decoded_frames_of_one_bit_are_packed_across_their_borders() -> None:
    frames = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=np.uint8)
    packed = [np.packbits(frame, bitorder="little").tobytes() for frame in frames]
    expected = DecodedFrames(4, 3)
    assert b"".join(expected.join(packed)) == np.packbits(frames.ravel(), bitorder="little").tobytes()
    assert expected.length_bytes == 2


@pytest.mark.parametrize("name", ["ExplVR_LitEndNoMeta.dcm", "ExplVR_BigEndNoMeta.dcm"])
def test_a_bare_dataset_becomes_a_file(name: str) -> None:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path is not None
    data = Path(path).read_bytes()
    with pytest.raises(RefusedInstanceError):
        plan_explicit(data, None)
    after = _read(complete_file(data).blocks())
    stored = pydicom.dcmread(path, force=True)
    assert after.file_meta.MediaStorageSOPInstanceUID == stored.SOPInstanceUID
    assert {key: value for key, value in _plain(after).items() if key != 0x7FE00010} == {
        key: value for key, value in _plain(stored).items() if key != 0x7FE00010
    }
