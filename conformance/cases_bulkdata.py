"""Bulkdata and pixel data resources (PS3.18 §10.4.1.1.5-6): octets at every level, addresses, ranges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from conformance.cases_frames import same_frame
from conformance.cases_metadata import bulk_bytes, metadata
from conformance.corpus_metadata import BIG_BYTES
from conformance.corpus_pixels import PDF
from conformance.dataset_json import datasets, first, values
from conformance.model import Case, Level, NotApplicable, NotOffered, Service
from conformance.probe import JSON, OCTETS, Probe, expect, expect_status, offered
from conformance.samples import new_uid

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


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
    _case(
        "C26-metadata-addresses",
        "F.2.6",
        REQ,
        "Every BulkDataURI of a study's metadata can be retrieved.",
        _metadata_points,
    ),
)
