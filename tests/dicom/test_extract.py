"""What is taken in, what is refused, and what is known of an instance afterwards."""

import io
import mmap
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import orjson
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from archive.dicom.bulkdata import find_bulk_data, read_bulk_data
from archive.dicom.elements import dataset_elements
from archive.dicom.extract import parse_instance
from archive.dicom.part10 import Limits, read_file_meta
from archive.errors import NotFoundError, RefusedInstanceError
from archive.instances import Span

UIDS = {
    "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": "1.2.3.4.5",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
}  # fmt: skip


def _dataset(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in (UIDS | attributes).items():
        setattr(dataset, keyword, value)
    return dataset


def _file(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = UIDS["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPInstanceUID = UIDS["SOPInstanceUID"]
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def _with_raw(data: bytes, tag: int, vr: str, value: bytes) -> bytes:
    """The file with an element in front of its dataset that pydicom would not write."""
    offset = read_file_meta(data).dataset_offset
    element = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value
    return data[:offset] + element + data[offset:]


def test_an_instance_is_known_by_its_uids_class_and_syntax() -> None:
    parsed = parse_instance(_file(_dataset(PatientID="P1")))
    assert (parsed.study_uid, parsed.series_uid, parsed.instance_uid) == ("1.2.3", "1.2.3.4", "1.2.3.4.5")
    assert parsed.sop_class_uid == UIDS["SOPClassUID"]
    assert parsed.transfer_syntax_uid == ExplicitVRLittleEndian
    assert parsed.attributes["00100020"] == {"vr": "LO", "Value": ["P1"]}
    assert orjson.loads(parsed.metadata) == parsed.attributes
    assert parsed.warnings == ()


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_an_instance_without_one_of_its_uids_is_refused_and_the_attribute_is_named(keyword: str) -> None:
    tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
    for empty in (True, False):
        dataset = _dataset(**{keyword: ""})
        if not empty:
            delattr(dataset, keyword)
        with pytest.raises(RefusedInstanceError, match=f"{tag[:4]},{tag[4:]}") as refused:
            parse_instance(_file(dataset))
        assert refused.value.failure_reason == (0x0122 if keyword == "SOPClassUID" else 0xC000)


@pytest.mark.parametrize(
    "uid", ["../../etc/passwd", "1.2.x", "1..2", "1.2.", "1." * 40 + "1", "1.2\r\nX: y", "1.2\0.3", "１.２", "'; DROP"]
)
def test_an_instance_with_something_else_for_a_uid_is_refused(uid: str) -> None:
    dataset = _dataset()
    del dataset.StudyInstanceUID
    data = _with_raw(_file(dataset), 0x0020000D, "UI", uid.encode() + b"\0" * (len(uid.encode()) % 2))
    with pytest.raises(RefusedInstanceError, match=r"Study Instance UID \(0020,000D\) is no UID") as refused:
        parse_instance(data)
    assert uid not in refused.value.message


def test_bulk_data_uris_name_the_instance() -> None:
    dataset = _dataset()
    dataset.add_new(0x00420011, "OB", bytes(2000))
    document = orjson.loads(parse_instance(_file(dataset)).metadata)
    expected = "/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5/bulkdata/00420011"
    assert document["00420011"] == {"vr": "OB", "BulkDataURI": expected}


def test_a_file_of_another_instance_than_its_head_says_is_taken_with_a_warning() -> None:
    data = _file(_dataset())
    parsed = parse_instance(data.replace(b"1.2.3.4.5\0", b"1.2.3.4.9\0", 1))
    assert parsed.instance_uid == "1.2.3.4.5"
    assert parsed.warnings == ("The file meta information names another instance than the dataset.",)


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 132, b"\0" * 128 + b"DICX", b"<html>" * 100, b"%PDF-1.7" * 50])
def test_what_is_no_dicom_file_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedInstanceError, match="not a DICOM file") as refused:
        parse_instance(data)
    assert refused.value.failure_reason == 0xC000


def test_preamble_and_nothing_else_is_refused() -> None:
    with pytest.raises(RefusedInstanceError, match="no transfer syntax"):
        parse_instance(bytes(128) + b"DICM")


def test_a_file_cut_inside_an_element_is_refused_wherever_that_is() -> None:
    dataset = _dataset(Rows=20, Columns=20, BitsAllocated=8, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2")
    dataset.add_new(0x7FE00010, "OB", bytes(400))
    data = _file(dataset)
    events = dataset_elements(data, read_file_meta(data), Limits()).events
    borders = {offset + length for _, _, offset, length in events}
    for size in range(len(data)):
        if size not in borders:
            with pytest.raises(RefusedInstanceError):
                parse_instance(data[:size])


def test_an_unknown_transfer_syntax_is_stored_as_it_says() -> None:
    data = _file(_dataset()).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0")
    assert parse_instance(data).transfer_syntax_uid == "1.2.840.99999.1.2.1"


def test_a_transfer_syntax_that_is_no_uid_is_refused() -> None:
    data = _file(_dataset()).replace(b"1.2.840.10008.1.2.1\0", b"../..............1\0\0")
    with pytest.raises(RefusedInstanceError, match="no UID") as refused:
        parse_instance(data)
    assert refused.value.failure_reason == 0xC122


def test_a_bare_dataset_is_read_only_where_that_is_allowed() -> None:
    data = _file(_dataset())
    bare = data[read_file_meta(data).dataset_offset :]
    with pytest.raises(RefusedInstanceError):
        read_file_meta(bare)
    meta = read_file_meta(bare, allow_missing_preamble=True)
    assert (meta.transfer_syntax_uid, meta.dataset_offset, meta.complete) == (ExplicitVRLittleEndian, 0, False)
    assert read_file_meta(data[132:], allow_missing_preamble=True).transfer_syntax_uid == ExplicitVRLittleEndian
    with pytest.raises(RefusedInstanceError):
        read_file_meta(b"GIF89a" * 100, allow_missing_preamble=True)


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("ExplVR_LitEndNoMeta.dcm", "1.2.840.10008.1.2.1"),
        ("ExplVR_BigEndNoMeta.dcm", "1.2.840.10008.1.2.2"),
    ],
)
def test_the_encoding_of_a_bare_dataset_is_told_by_its_first_element(name: str, syntax: str) -> None:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path is not None
    assert read_file_meta(Path(path).read_bytes(), allow_missing_preamble=True).transfer_syntax_uid == syntax


# Deflated datasets


def test_a_deflated_dataset_is_read_as_what_it_inflates_to() -> None:
    dataset = _dataset(PatientID="P1")
    dataset.add_new(0x00420011, "OB", bytes(range(256)) * 20)
    data = _file(dataset, DeflatedExplicitVRLittleEndian)
    assert parse_instance(data).attributes["00100020"]["Value"] == ["P1"]
    found = find_bulk_data(data, "00420011")
    assert not found.in_file
    assert b"".join(found.blocks()) == bytes(range(256)) * 20


def _deflated(content: bytes) -> bytes:
    data = _file(_dataset(), DeflatedExplicitVRLittleEndian)
    return data[: read_file_meta(data).dataset_offset] + content


def _bomb(size: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, size)
    blocks = [deflate.compress(head), *(deflate.compress(bytes(1 << 20)) for _ in range(size >> 20)), deflate.flush()]
    return b"".join(blocks)


def test_a_deflate_bomb_is_refused_before_it_fills_the_memory() -> None:
    data = _deflated(_bomb(400 << 20))
    assert len(data) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(RefusedInstanceError, match="500 times"):
            parse_instance(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 << 20


def test_a_deflated_dataset_over_the_limit_is_refused() -> None:
    with pytest.raises(RefusedInstanceError, match="more than 1048576 bytes"):
        parse_instance(_deflated(_bomb(2 << 20)), Limits(inflated_bytes=1 << 20))


def test_a_deflated_dataset_that_is_damaged_or_cut_is_refused() -> None:
    whole = _bomb(1 << 20)
    for content in (whole[: len(whole) // 2], b"", b"\xff" * 100):
        with pytest.raises(RefusedInstanceError, match="deflated dataset"):
            parse_instance(_deflated(content))


# Memory


def test_a_large_file_is_read_without_its_large_values(tmp_path: Path) -> None:
    dataset = _dataset(Rows=4096, Columns=8192, BitsAllocated=16, SamplesPerPixel=1, PhotometricInterpretation="X")
    data = _file(dataset) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 64 << 20)
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.write(data)
        file.truncate(len(data) + (64 << 20))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        tracemalloc.start()
        try:
            parsed = parse_instance(view)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            view.release()
    assert parsed.frames.spans_of(0) == (Span(len(data), 64 << 20),)
    assert peak < 1 << 20


# Pixel facts


def test_pixel_facts_are_those_of_the_image_pixel_module() -> None:
    path = pydicom.data.get_testdata_file("CT_small.dcm", download=False)
    assert path is not None
    facts = parse_instance(Path(path).read_bytes()).pixels
    assert facts is not None
    assert (facts.rows, facts.columns, facts.bits_stored, facts.pixel_representation) == (128, 128, 16, 1)


@pytest.mark.parametrize("rows", [b"\1", b"12345678"])
def test_broken_pixel_attributes_leave_the_instance_whole(rows: bytes) -> None:
    dataset = _dataset(Columns=2, BitsAllocated=8)
    dataset.add_new(0x7FE00010, "OB", bytes(4))
    data = _with_raw(_file(dataset), 0x00280010, "UL", rows)
    parsed = parse_instance(data)
    assert parsed.pixels is None
    assert parsed.frames.reason == "The instance does not say how its pixels are encoded."


# Bulk values


def test_a_bulk_value_is_found_by_its_path_and_cut_into_ranges() -> None:
    inner = Dataset()
    inner.add_new(0x00420011, "OB", bytes(range(250)) * 8)
    dataset = _dataset(ReferencedSeriesSequence=[Dataset(), inner])
    data = _file(dataset)
    found = find_bulk_data(data, "00081115/2/00420011")
    assert found.in_file
    assert b"".join(found.blocks()) == bytes(range(250)) * 8
    (span,) = found.spans_within(Span(10, 5))
    assert data[span.offset : span.offset + span.length_bytes] == bytes(range(10, 15))
    for path in ("00081115/1/00420011", "00420011", "00081115", "x", ""):
        with pytest.raises(NotFoundError):
            find_bulk_data(data, path)


def test_every_bulk_data_uri_of_the_metadata_is_found(real_file: Path) -> None:
    data = real_file.read_bytes()
    try:
        parsed = parse_instance(data)
    except RefusedInstanceError:
        return  # test_metadata_oracle.py says which files are refused, and this file why instances are
    uris = [
        part.split(b'"')[0].decode().rpartition("/bulkdata/")[2] for part in parsed.metadata.split(b'"BulkDataURI":"')
    ]
    assert sorted(uris[1:]) == sorted(found.value.path for found in read_bulk_data(data))
