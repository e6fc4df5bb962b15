"""Whole instances in transfer syntaxes that they are not stored in; pydicom, DCMTK and GDCM are the judges."""

import io
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import requests
from files import part10, parts_of_related
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

EXPLICIT, RLE, BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
SV1, JPEG_LS, JPEG_2000, JPEG_XL = (f"1.2.840.10008.1.2.4.{number}" for number in (70, 80, 90, 110))
HTJ2K, HTJ2K_RPCL = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202"
LOSSLESS = (RLE, JPEG_LS, JPEG_2000, HTJ2K, HTJ2K_RPCL)
DECOMPRESS = {
    RLE: ("dcmdrle",),
    SV1: ("dcmdjpeg",),
    BASELINE: ("dcmdjpeg",),
    JPEG_LS: ("dcmdjpls",),
    JPEG_2000: ("gdcmconv", "--raw"),
}
SAMPLES = ("CT_small.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_2frame.dcm", "MR_small_bigendian.dcm", "reportsi.dcm")


def _sample(name: str) -> pydicom.Dataset:
    """A test file of pydicom under UIDs of its own: many of them share theirs."""
    path = get_testdata_file(name)
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID = f"1.2.9.{SAMPLES.index(name) + 100}"
    dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.1"
    return _named(dataset, f"{dataset.StudyInstanceUID}.1.1")


def _named(dataset: pydicom.Dataset, instance_uid: str) -> pydicom.Dataset:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance_uid
    return dataset


def _store(served: Any, dataset: pydicom.Dataset) -> None:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    assert served.store(out.getvalue()).status_code == 200


def _path(dataset: pydicom.Dataset) -> str:
    series = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    return f"{series}/instances/{dataset.SOPInstanceUID}"


def _single(served: Any, dataset: pydicom.Dataset, syntax: str, **more: Any) -> requests.Response:
    answer: requests.Response = served.ask(
        _path(dataset), accept=f"application/dicom; transfer-syntax={syntax}", **more
    )
    return answer


def _read(answer: requests.Response) -> pydicom.Dataset:
    assert answer.status_code == 200, answer.text
    return pydicom.dcmread(io.BytesIO(answer.content))


@pytest.fixture(scope="module", autouse=True)
def _stored(served: Any) -> None:
    for name in SAMPLES[:-1]:
        _store(served, _sample(name))


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("name", SAMPLES[:-1])
def test_a_lossless_file_holds_the_stored_samples(served: Any, name: str, syntax: str) -> None:
    stored = _sample(name)
    answer = _single(served, stored, syntax)
    assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"
    after = _read(answer)
    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID == stored.SOPInstanceUID
    assert after["PixelData"].is_undefined_length
    assert after["PixelData"].VR == "OB"
    count = int(stored.get("NumberOfFrames", 1))
    assert len(list(generate_frames(after.PixelData, number_of_frames=count))) == count
    plain = _read(_single(served, stored, EXPLICIT))
    assert np.array_equal(after.pixel_array, plain.pixel_array)
    if stored.SamplesPerPixel == 3:
        by_planes = syntax == RLE != stored.file_meta.TransferSyntaxUID
        assert after.PlanarConfiguration == int(by_planes)
        reversible = syntax in (JPEG_2000, HTJ2K, HTJ2K_RPCL)
        assert after.PhotometricInterpretation == ("YBR_RCT" if reversible else "RGB")
    assert after.get("LossyImageCompression") == stored.get("LossyImageCompression")


@pytest.mark.parametrize("syntax", DECOMPRESS)
@pytest.mark.parametrize("name", SAMPLES[:-1])
def test_other_toolkits_decode_the_file(served: Any, name: str, syntax: str, tmp_path: Path) -> None:
    stored = _sample(name)
    answer = _single(served, stored, syntax)
    if syntax == BASELINE and stored.BitsStored > 8:
        assert answer.status_code == 406  # 16 bits
        return
    encoded, native = tmp_path / "encoded.dcm", tmp_path / "native.dcm"
    encoded.write_bytes(answer.content)
    subprocess.run([*DECOMPRESS[syntax], str(encoded), str(native)], check=True, capture_output=True, timeout=60)
    after = pydicom.dcmread(native)
    pixels = (
        pydicom.pixels.convert_color_space(after.pixel_array, after.PhotometricInterpretation, "RGB")
        if (after.PhotometricInterpretation.startswith("YBR"))
        else after.pixel_array
    )
    expected = _read(_single(served, stored, EXPLICIT)).pixel_array
    assert np.abs(pixels.astype(int) - expected).max() <= (30 if syntax == BASELINE else 0)


def test_jpeg_xl_holds_the_stored_samples(served: Any) -> None:
    stored = _sample("SC_rgb_rle_2frame.dcm")
    after = _read(_single(served, stored, JPEG_XL))
    frames = generate_frames(after.PixelData, number_of_frames=2)
    assert np.array_equal([imagecodecs.jpegxl_decode(frame) for frame in frames], stored.pixel_array)


def test_an_approximation_says_so_and_is_an_image_of_its_own(served: Any) -> None:
    stored = _sample("SC_rgb_rle_2frame.dcm")
    after = _read(_single(served, stored, BASELINE))
    assert after.LossyImageCompression == "01"
    assert after.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(after.LossyImageCompressionRatio) > 1
    assert after.ImageType[0] == "DERIVED"
    assert after.PhotometricInterpretation == "YBR_FULL_422"
    assert after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID != stored.SOPInstanceUID
    source = after.SourceImageSequence[-1]
    assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == (
        stored.SOPClassUID, stored.SOPInstanceUID,
    )  # fmt: skip
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert after.DerivationCodeSequence[-1].CodeValue == "113040"
    assert _read(_single(served, stored, BASELINE)).SOPInstanceUID == after.SOPInstanceUID
    assert after.pixel_array.shape == stored.pixel_array.shape


def test_an_approximation_keeps_what_was_said_of_earlier_ones(served: Any) -> None:
    dataset = pydicom.dcmread(io.BytesIO(part10(StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1")))
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = bytes(range(256))
    dataset["PixelData"].VR = "OB"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", "4"
    dataset.LossyImageCompressionMethod = "ISO_15444_1"
    earlier = pydicom.Dataset()
    earlier.ReferencedSOPClassUID, earlier.ReferencedSOPInstanceUID = dataset.SOPClassUID, "1.2.9.9"
    dataset.SourceImageSequence = [earlier]
    _store(served, dataset)
    after = _read(_single(served, dataset, BASELINE))
    assert list(after.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert list(after.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_10918_1"]
    assert after.LossyImageCompressionRatio[0] == 4
    references = [item.ReferencedSOPInstanceUID for item in after.SourceImageSequence]
    assert references == ["1.2.9.9", dataset.SOPInstanceUID]


def test_an_overlay_in_the_pixel_data_is_not_lost(served: Any) -> None:
    dataset = _sample("CT_small.dcm")
    _named(dataset, "1.2.9.2.1")
    dataset.BitsStored, dataset.HighBit = 12, 11
    for tag, vr, value in ((0x60000010, "US", 128), (0x60000011, "US", 128), (0x60000102, "US", 15)):
        dataset.add_new(tag, vr, value)
    _store(served, dataset)
    assert _single(served, dataset, JPEG_LS).status_code == 406
    kept = _read(_single(served, dataset, RLE))
    assert np.array_equal(kept.pixel_array, dataset.pixel_array)


def test_a_file_keeps_its_name_and_every_form_has_a_tag_of_its_own(served: Any) -> None:
    stored = _sample("CT_small.dcm")
    answers = [_single(served, stored, syntax) for syntax in (EXPLICIT, *LOSSLESS)]
    assert len({answer.headers["ETag"] for answer in answers}) == len(answers)
    assert all(answer.headers["Content-Location"].endswith(_path(stored)) for answer in answers)
    head = _single(served, stored, JPEG_LS, method="HEAD")
    assert head.headers["ETag"] == answers[1 + LOSSLESS.index(JPEG_LS)].headers["ETag"]
    again = requests.get(
        served.server.dicomweb + _path(stored),
        headers={
            "Authorization": f"Bearer {served.token}",
            "Accept": f"application/dicom; transfer-syntax={JPEG_LS}",
            "If-None-Match": head.headers["ETag"],
        },
        timeout=60,
    )
    assert again.status_code == 304


def test_what_is_sent_without_a_named_syntax_does_not_change(served: Any) -> None:
    stored = _sample("CT_small.dcm")
    for accept in ("application/dicom", "*/*", "application/dicom; transfer-syntax=*"):
        after = served.ask(_path(stored), accept=accept)
        if not after.headers["Content-Type"].startswith("multipart"):
            assert _read(after).file_meta.TransferSyntaxUID == EXPLICIT
        else:
            assert b"transfer-syntax=1.2.840.10008.1.2.1\r\n" in after.content


def test_a_series_gives_what_can_be_encoded_and_says_that_some_cannot(served: Any) -> None:
    image = _sample("CT_small.dcm")
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.9.3", "1.2.9.3.1"
    _named(image, "1.2.9.3.1.1")
    _store(served, image)
    report = _sample("reportsi.dcm")
    report.StudyInstanceUID, report.SeriesInstanceUID = "1.2.9.3", "1.2.9.3.1"
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={JPEG_LS}'
    for path in ("/studies/1.2.9.3", "/studies/1.2.9.3/series/1.2.9.3.1"):
        whole = served.ask(path, accept=accept)
        assert whole.status_code == 200
    _store(served, report)
    for path in ("/studies/1.2.9.3", "/studies/1.2.9.3/series/1.2.9.3.1"):
        some = served.ask(path, accept=accept)
        assert some.status_code == 206
        assert some.headers["Warning"].startswith("299 ")
        (part,) = parts_of_related(some.content, some.headers["Content-Type"])
        after = pydicom.dcmread(io.BytesIO(part))
        assert after.file_meta.TransferSyntaxUID == JPEG_LS
        assert np.array_equal(after.pixel_array, image.pixel_array)


def test_a_syntax_that_cannot_be_made_is_406(served: Any) -> None:
    stored = _sample("CT_small.dcm")
    for syntax in (BASELINE, "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.102", "1.2.3.4"):
        assert _single(served, stored, syntax).status_code == 406
