"""Retrieve instances and bulkdata (PS3.18 §10.4): whole objects, octets at every level, ranges, zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import partial

import pydicom
from pydicom.dataset import Dataset, FileDataset

from conformance.cases_frames import same_frame
from conformance.model import Case, Level, NotOffered, Service
from conformance.probe import DICOM, Probe, expect, expect_status, offered
from conformance.samples import Sample
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
FORBIDDEN = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.2"})
STORED = f"{DICOM}; transfer-syntax=*"
ROUND_TRIP = (
    "ct1",
    "values",
    "members",
    "empties",
    "items",
    "private",
    "big",
    "native-u16",
    "native-planar",
    "frames-u16",
    "frames-odd",
    "deflated",
    "rle-3",
    "rle-3-no-bot",
    "rle-3-extended-table",
    "jls",
    "j2k",
    "j2k-fragments",
    "jpeg-lossless",
    "jpeg-baseline",
    "jpeg-extended",
    "j2k-lossy",
    "bits-unaligned",
    "segmentation-1",
    "float-pixels",
    "pdf",
    "waveform",
    "report",
    "text-kanji",
    "text-korean",
    "text-cyrillic",
)
DECODED = (
    "rle-3",
    "rle-rgb-2",
    "rle-16-2",
    "jls",
    "j2k",
    "jpeg-lossless",
    "implicit-le",
    "big-endian",
    "big-endian-16",
    "deflated",
    "j2k-fragments",
    "rle-3-extended-table",
)


def read_file(data: bytes) -> FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def _level(level: str, count: int, probe: Probe) -> None:
    sample = probe.sample("ct1")
    probe.sample("mr3")
    path = {"study": sample.study_path, "series": sample.series_path, "instance": sample.path}[level]
    response = probe.get(path, DICOM)
    expect_status(response, 200)
    parts = response.parts()
    expect(all(part.media_type.essence == "application/dicom" for part in parts), "a part is not application/dicom")
    found = {str(read_file(part.body).SOPInstanceUID) for part in parts}
    expect(len(parts) == len(found) == count, f"{len(parts)} parts, {len(found)} instances, {count} are there")


def _outer_type(probe: Probe) -> None:
    response = probe.get(probe.sample("ct1").path, DICOM)
    expect_status(response, 200)
    media_type = response.media_type
    expect(media_type.parameter("type") == "application/dicom", f"Content-Type is {response.header('Content-Type')}")
    raw = response.header("Content-Type") or ""
    expect(
        'type="application/dicom"' in raw.replace("'", '"'),
        "the type parameter holds a “/” and is not quoted (RFC 2387, 2045)",
    )


def _same(first_set: Dataset, second_set: Dataset, but: frozenset[int]) -> str | None:
    """Name the first top-level attribute that differs; values are compared as they are encoded."""
    one = {int(e.tag): e for e in first_set if int(e.tag) not in but and e.tag.element != 0}
    two = {int(e.tag): e for e in second_set if int(e.tag) not in but and e.tag.element != 0}
    if one.keys() != two.keys():
        return f"attributes differ: {', '.join(f'{tag:08X}' for tag in sorted(one.keys() ^ two.keys())[:5])}"
    for tag, element in one.items():
        other = two[tag].value
        if element.value != other and str(element.value) != str(other):
            return f"{tag:08X} differs"
    return None


def _round_trip(name: str, probe: Probe) -> None:
    """What comes back with transfer-syntax=* has the same data set as what was stored."""
    sample = probe.sample(name)
    response = probe.get(sample.path, STORED)
    expect_status(response, 200)
    parts = response.parts()
    expect(len(parts) == 1, f"{len(parts)} parts for one instance")
    sent, back = read_file(sample.data), read_file(parts[0].body)
    same_syntax = back.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    pixel_tags = frozenset() if same_syntax else frozenset({0x7FE00010, 0x7FE00001, 0x7FE00002, 0x00280004, 0x00280006})
    difference = _same(sent, back, pixel_tags)
    expect(difference is None, difference or "")
    if not same_syntax:
        probe.note(f"sent in {back.file_meta.TransferSyntaxUID}, stored in {sample.syntax}")


def _byte_identical(name: str, probe: Probe) -> None:
    sample = probe.sample(name)
    response = probe.get(sample.path, f"{DICOM}; transfer-syntax={sample.syntax}")
    if response.status == 406:
        raise NotOffered("406")
    expect_status(response, 200)
    expect(response.parts()[0].body == sample.data, "the file differs from the stored one")


def _decoded(name: str, probe: Probe) -> None:
    """In Explicit VR Little Endian the object's pixels are those that are known, and the header fits them."""
    sample = probe.sample(name)
    response = probe.get(sample.path, f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.1")
    expect_status(response, 200)
    back = read_file(response.parts()[0].body)
    syntax = str(back.file_meta.TransferSyntaxUID)
    expect(syntax == "1.2.840.10008.1.2.1", f"the object is in {syntax}")
    data, length = bytes(back.PixelData), len(sample.frames[0])
    for number, frame in enumerate(sample.frames):
        found = data[number * length : (number + 1) * length]
        expect(same_frame(sample, found, frame), f"the pixels of frame {number + 1} differ")
    expect("ExtendedOffsetTable" not in back, "an Extended Offset Table stands in a native object")
    expect(
        len(data) in (length * len(sample.frames), length * len(sample.frames) + 1), f"{len(data)} bytes of pixel data"
    )


def _never_forbidden(name: str, is_named: bool, probe: Probe) -> None:
    sample = probe.sample(name)
    for accept in (f"{DICOM}; transfer-syntax={sample.syntax}",) if is_named else (DICOM, STORED):
        response = probe.get(sample.path, accept)
        if response.status == 406:
            continue
        expect_status(response, 200)
        part = response.parts()[0]
        syntax = str(read_file(part.body).file_meta.TransferSyntaxUID)
        expect(syntax not in FORBIDDEN, f"sent in {syntax} for Accept: {accept}")


def _zip(level: str, probe: Probe) -> None:
    sample = probe.sample("ct1")
    path, count = {"study": (sample.study_path, 8), "series": (sample.series_path, 5), "instance": (sample.path, 1)}[
        level
    ]
    response = probe.get(path, "application/zip")
    offered(response, 200)
    with zipfile.ZipFile(io.BytesIO(response.body)) as archive:
        files = [archive.read(name) for name in archive.namelist() if not name.upper().endswith("DICOMDIR")]
    found = {str(read_file(data).SOPInstanceUID) for data in files}
    expect(len(found) == count, f"{len(found)} instances in the zip file, {count} are there")


def _part_label(name: str, accept: str, probe: Probe) -> None:
    sample: Sample = probe.sample(name)
    response: Response = probe.get(sample.path, accept)
    expect_status(response, 200)
    part = response.parts()[0]
    said, real = part.media_type.parameter("transfer-syntax"), str(read_file(part.body).file_meta.TransferSyntaxUID)
    expect(said in (None, real), f"the part says {said}, the file is {real}")
    expect(
        str(read_file(part.body).file_meta.MediaStorageSOPInstanceUID) == sample.sop_uid,
        "the file's meta names another UID",
    )


def _content_location(probe: Probe) -> None:
    sample = probe.sample("ct1")
    response = probe.get(sample.path, DICOM)
    expect_status(response, 200)
    place = response.parts()[0].header("Content-Location") or response.header("Content-Location")
    expect(place is not None, "neither the part nor the answer has a Content-Location")
    expect(sample.sop_uid in (place or ""), f"Content-Location {place} does not name the instance")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.WADO, section, level, requires, check)


CASES = (
    *(
        _case(
            f"W1-{level}",
            "10.4.1.1.1",
            REQ,
            f"A {level} comes as multipart with one part for each instance.",
            partial(_level, level, count),
        )
        for level, count in (("study", 8), ("series", 5), ("instance", 1))
    ),
    _case(
        "C16-outer-type",
        "8.6.1.2",
        REQ,
        "The multipart answer names type and boundary; a type with “/” is quoted.",
        _outer_type,
    ),
    *(
        _case(
            f"W1-round-trip-{name}",
            "10.4, 10.5.2",
            REQ,
            "What is retrieved as stored has the stored attributes and pixels.",
            partial(_round_trip, name),
        )
        for name in ROUND_TRIP
    ),
    *(
        _case(
            f"W1-identical-{name}",
            "Extension",
            INF,
            "Asked for in its stored syntax, the file comes byte for byte.",
            partial(_byte_identical, name),
        )
        for name in ("ct1", "private", "rle-3", "jls", "deflated", "segmentation-1")
    ),
    *(
        _case(
            f"W15-instance-{name}",
            "8.7.3",
            REQ,
            "In Explicit VR Little Endian the pixels are exact and the header fits.",
            partial(_decoded, name),
        )
        for name in DECODED
    ),
    *(
        _case(
            f"C12-never-{name}",
            "8.7.3",
            REQ,
            "Implicit VR and big endian are sent neither by default nor for transfer-syntax=*.",
            partial(_never_forbidden, name, False),
        )
        for name in ("implicit-le", "big-endian", "implicit-file", "big-endian-16")
    ),
    *(
        _case(
            f"C12-named-{name}",
            "8.7.3",
            INF,
            "Implicit VR and big endian are not sent even when named; a server may do so as an extension.",
            partial(_never_forbidden, name, True),
        )
        for name in ("implicit-le", "big-endian", "implicit-file", "big-endian-16")
    ),
    *(
        _case(
            f"C15-label-{name}-{kind}",
            "8.7.9",
            REQ,
            "The part's label and the file's own syntax agree.",
            partial(_part_label, name, accept),
        )
        for name in ("jls", "jpeg-baseline", "native-u16")
        for kind, accept in (("default", DICOM), ("stored", STORED))
    ),
    _case("C17-content-location", "8.4.2", REC, "A retrieved instance tells its Content-Location.", _content_location),
    *(
        _case(f"W4-zip-{level}", "8.6.1.3", OPT, f"A {level} may come as a zip file.", partial(_zip, level))
        for level in ("study", "series", "instance")
    ),
)
