"""Retrieve instances and bulkdata (PS3.18 §10.4): whole objects, octets at every level, ranges, zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import partial

import pydicom
from pydicom.dataset import Dataset, FileDataset

from conformance.cases_frames import same_frame
from conformance.cases_metadata import bulk_bytes, metadata
from conformance.corpus_metadata import BIG_BYTES
from conformance.corpus_pixels import PDF
from conformance.dataset_json import datasets, first, values
from conformance.model import Case, Level, NotApplicable, NotOffered, Service
from conformance.probe import DICOM, JSON, OCTETS, Probe, expect, expect_status, offered
from conformance.samples import Sample, new_uid
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
    "big-endian-32",
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


def _never_forbidden(name: str, probe: Probe) -> None:
    sample = probe.sample(name)
    for accept in (DICOM, STORED, f"{DICOM}; transfer-syntax={sample.syntax}"):
        response = probe.get(sample.path, accept)
        if response.status == 406:
            continue
        expect_status(response, 200)
        part = response.parts()[0]
        syntax = str(read_file(part.body).file_meta.TransferSyntaxUID)
        expect(syntax not in FORBIDDEN, f"sent in {syntax} for Accept: {accept}")


def _octets(level: str, path: str, probe: Probe) -> None:
    """The bulkdata of an instance as octets; each part has the address that the metadata gives it."""
    sample = probe.sample("native-u16")
    where = {
        "study": probe.sample("ct1").study_path,
        "series": probe.sample("ct1").series_path,
        "instance": sample.path,
    }[level]
    response = probe.get(where + path, OCTETS)
    expect_status(response, 200)
    parts = response.parts()
    bodies = [part.body for part in parts]
    if level == "instance":
        expect(
            any(same_frame(sample, body, sample.frames[0]) for body in bodies), "the pixel data is not among the parts"
        )
    else:
        names = [f"ct{n}" for n in range(1, 6)] + ([f"mr{n}" for n in range(1, 4)] if level == "study" else [])
        missing = [name for name in names if probe.corpus[name].frames[0] not in bodies]
        expect(not missing, f"the pixel data of {len(missing)} instances is not among the {len(parts)} parts")


def _octets_location(path: str, probe: Probe) -> None:
    sample = probe.sample("native-u16")
    attribute = metadata(probe, "native-u16").get("7FE00010", {})
    if "BulkDataURI" not in attribute:
        raise NotApplicable("Pixel Data has no BulkDataURI")
    response = probe.get(sample.path + path, OCTETS)
    if response.status != 200:
        raise NotApplicable(f"the resource is not there: status {response.status}")
    base = f"{sample.path}{path}"
    places = [part.header("Content-Location") for part in response.parts()]
    expect(all(places), "a part has no Content-Location")
    wanted = probe.absolute(attribute["BulkDataURI"])
    found = [probe.absolute(place) for place in places if place]
    expect(wanted in found, f"no Content-Location under {base} is the metadata's {wanted}: {found[:2]}")


def _bulk_uri(kind: str, probe: Probe) -> None:
    attribute = metadata(probe, "native-u16").get("7FE00010", {})
    if "BulkDataURI" not in attribute:
        raise NotApplicable("Pixel Data has no BulkDataURI")
    url, sample = attribute["BulkDataURI"], probe.sample("native-u16")
    if kind == "multipart":
        response = probe.get_url(url, OCTETS)
        expect_status(response, 200)
        body = response.parts()[0].body
    elif kind == "single":
        response = probe.get_url(url, "application/octet-stream")
        offered(response, 200)
        body = response.body
    else:
        response = probe.get_url(url, "*/*")
        expect_status(response, 200)
        body = bulk_bytes(probe, url)
    expect(same_frame(sample, body, sample.frames[0]), f"{len(body)} bytes that are not the pixel data")


def _bulk_location(probe: Probe) -> None:
    attribute = metadata(probe, "native-u16").get("7FE00010", {})
    if "BulkDataURI" not in attribute:
        raise NotApplicable("Pixel Data has no BulkDataURI")
    response = probe.get_url(attribute["BulkDataURI"], OCTETS)
    expect_status(response, 200)
    place = response.parts()[0].header("Content-Location")
    expect(place is not None, "the part has no Content-Location")
    wanted = probe.absolute(attribute["BulkDataURI"])
    expect(
        probe.absolute(place or "") == wanted,
        f"Content-Location is {place}, the metadata says {attribute['BulkDataURI']}",
    )


def _big_address(probe: Probe) -> str:
    attribute = metadata(probe, "big").get("00720065", {})
    if "BulkDataURI" not in attribute:
        raise NotApplicable("a value of 70,000 bytes comes inline")
    return str(attribute["BulkDataURI"])


def _range(value: str, probe: Probe) -> None:
    url = _big_address(probe)
    response = probe.get_url(url, "application/octet-stream", {"Range": value})
    if response.status in (200, 400, 406):
        raise NotOffered(f"Range is not served: status {response.status}")
    if value == "bytes=100000-":
        expect_status(response, 416)
        return
    expect_status(response, 206)
    wanted = {"bytes=0-9": BIG_BYTES[:10], "bytes=-7": BIG_BYTES[-7:], "bytes=69990-": BIG_BYTES[69990:]}[value]
    expect(response.body == wanted, "not the bytes asked for")
    expect("/70000" in (response.header("Content-Range") or ""), f"Content-Range is {response.header('Content-Range')}")


def _bulk_gone(probe: Probe) -> None:
    url = _big_address(probe)
    sample = probe.sample("big")
    response = probe.get_url(url.replace(sample.sop_uid, new_uid()), OCTETS)
    expect(
        response.status in (404, 400, 410), f"status {response.status} for bulkdata of an instance that is not there"
    )


def _pdf(probe: Probe) -> None:
    attribute = metadata(probe, "pdf").get("00420011")
    expect(attribute is not None, "Encapsulated Document is left out of the metadata")
    attribute = attribute or {}
    if "BulkDataURI" not in attribute:
        raise NotApplicable("the document comes inline")
    accept = 'multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"'
    response = probe.get_url(attribute["BulkDataURI"], accept)
    expect_status(response, 200)
    parts = response.parts()
    expect(parts[0].body.rstrip(b"\0\n") == PDF.rstrip(b"\n"), "the document differs")
    probe.note(f"handed out as {parts[0].header('Content-Type')}")


def _waveform(probe: Probe) -> None:
    item = values(metadata(probe, "waveform"), "WaveformSequence")[0]
    attribute = item.get("54001010", {})
    expect(attribute.get("vr") == "OW", f"vr of Waveform Data is {attribute.get('vr')}")
    if "BulkDataURI" in attribute:
        data = bulk_bytes(probe, attribute["BulkDataURI"])
        expect(data == bytes(b for n in range(64) for b in (n, 0)), "Waveform Data in an item comes back changed")


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


def _metadata_points(probe: Probe) -> None:
    """Every address in the metadata of a study lies on this server."""
    response = probe.get(f"{probe.sample('ct1').study_path}/metadata", JSON)
    expect_status(response, 200)
    for each in datasets(response):
        url = each.get("7FE00010", {}).get("BulkDataURI")
        if url:
            expect_status(probe.get_url(url, f"{OCTETS}, */*;q=0.1"), 200)
    expect(first(datasets(response)[0], "StudyInstanceUID") is not None, "no Study Instance UID in the metadata")


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
            "Implicit VR and big endian are never sent, whatever is asked for.",
            partial(_never_forbidden, name),
        )
        for name in ("implicit-le", "big-endian", "implicit-file", "big-endian-16", "big-endian-32")
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
        _case(
            f"W2-octets-{level}",
            "10.4.4",
            REQ,
            f"The bulkdata of a {level} comes as octets from the resource itself.",
            partial(_octets, level, ""),
        )
        for level in ("study", "series", "instance")
    ),
    *(
        _case(
            f"W8-bulkdata-{level}",
            "10.4.1.1.5",
            REQ,
            f"The bulkdata resource of a {level} is there.",
            partial(_octets, level, "/bulkdata"),
        )
        for level in ("study", "series", "instance")
    ),
    *(
        _case(
            f"W11-pixeldata-{level}",
            "10.4.1.1.6",
            REQ,
            f"The pixel data resource of a {level} is there.",
            partial(_octets, level, "/pixeldata"),
        )
        for level in ("study", "series", "instance")
    ),
    *(
        _case(
            f"W9-location-{name}",
            "10.4.3.3.5",
            REQ,
            "Each part's Content-Location is the address in the metadata.",
            partial(_octets_location, path),
        )
        for name, path in (("bulkdata", "/bulkdata"), ("pixeldata", "/pixeldata"), ("instance", ""))
    ),
    _case(
        "W9-uri-multipart",
        "10.4.1.1.5",
        REQ,
        "A BulkDataURI is retrieved as multipart octets.",
        partial(_bulk_uri, "multipart"),
    ),
    _case("W9-uri-any", "10.4.1.1.5", REQ, "A BulkDataURI is retrieved with */*.", partial(_bulk_uri, "any")),
    _case("W9-uri-single", "10.4.4", OPT, "A BulkDataURI is retrieved as a single part.", partial(_bulk_uri, "single")),
    _case("W9-uri-location", "10.4.3.3.5", REQ, "The part's Content-Location is the BulkDataURI.", _bulk_location),
    *(
        _case(
            f"W10-range-{name}",
            "RFC 9110 14.2",
            OPT,
            "A range of bulkdata may be asked for: 206, or 416 beyond the end.",
            partial(_range, value),
        )
        for name, value in (
            ("first", "bytes=0-9"),
            ("last", "bytes=-7"),
            ("from", "bytes=69990-"),
            ("beyond", "bytes=100000-"),
        )
    ),
    _case("W9-not-found", "10.4.3.1", REQ, "Bulkdata of an instance that is not there is not found.", _bulk_gone),
    _case("W9-pdf", "10.4.3.3.5", REQ, "OHIF's request for an encapsulated document is served.", _pdf),
    _case("D2-waveform", "F.2.6", REQ, "A binary value in an item can be had.", _waveform),
    *(
        _case(f"W4-zip-{level}", "8.6.1.3", OPT, f"A {level} may come as a zip file.", partial(_zip, level))
        for level in ("study", "series", "instance")
    ),
    _case(
        "C26-metadata-addresses",
        "F.2.6",
        REQ,
        "Every BulkDataURI of a study's metadata can be retrieved.",
        _metadata_points,
    ),
)
