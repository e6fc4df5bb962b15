"""Store from metadata and bulkdata (PS3.18 §10.5.2): JSON or XML in one part, values in others, joined by address."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

import pydicom

from conformance.cases_stow import fresh_instance, fresh_study, is_stored, post_instances, report
from conformance.dataset_json import datasets, first, values
from conformance.model import Case, Level, NotOffered, Service
from conformance.multipart import BOUNDARY, Part, build, part
from conformance.probe import JSON, OCTETS, Probe, expect, expect_status
from conformance.samples import SECONDARY_CAPTURE, Study, new_uid
from conformance.wire import Response

OPT, INF = Level.OPTIONAL, Level.INFORMATIVE
JSON_FORM = f'multipart/related; type="application/dicom+json"; boundary="{BOUNDARY}"'
XML_FORM = f'multipart/related; type="application/dicom+xml"; boundary="{BOUNDARY}"'
PIXELS = bytes(range(16))
ADDRESS = "bulk/1"


def _attributes(study: Study, sop_uid: str, *, has_image_module: bool = True) -> dict[str, dict[str, Any]]:
    """Give the metadata of a 4 x 4 image whose pixel data is in another part."""
    plain: list[tuple[str, str, Any]] = [
        ("00080005", "CS", "ISO_IR 192"),
        ("00080016", "UI", SECONDARY_CAPTURE),
        ("00080018", "UI", sop_uid),
        ("00080060", "CS", "OT"),
        ("00080064", "CS", "SYN"),
        ("00100020", "LO", study.patient_id),
        ("0020000D", "UI", study.uid),
        ("0020000E", "UI", new_uid()),
        ("00200011", "IS", 1),
        ("00200013", "IS", 1),
    ]
    image: list[tuple[str, str, Any]] = [
        ("00280002", "US", 1),
        ("00280004", "CS", "MONOCHROME2"),
        ("00280010", "US", 4),
        ("00280011", "US", 4),
        ("00280100", "US", 8),
        ("00280101", "US", 8),
        ("00280102", "US", 7),
        ("00280103", "US", 0),
    ]
    found = {tag: {"vr": vr, "Value": [value]} for tag, vr, value in plain + (image if has_image_module else [])}
    found["00081030"] = {"vr": "LO", "Value": ["Schädel"]}
    found["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": study.patient_name}]}
    found["7FE00010"] = {"vr": "OB", "BulkDataURI": ADDRESS}
    return dict(sorted(found.items()))


def _native_xml(attributes: dict[str, dict[str, Any]]) -> str:
    lines = []
    for tag, attribute in attributes.items():
        if "BulkDataURI" in attribute:
            inner = f'<BulkData uri="{attribute["BulkDataURI"]}"/>'
        elif attribute["vr"] == "PN":
            family, _, given = attribute["Value"][0]["Alphabetic"].partition("^")
            inner = (
                f'<PersonName number="1"><Alphabetic><FamilyName>{family}</FamilyName>'
                f"<GivenName>{given}</GivenName></Alphabetic></PersonName>"
            )
        else:
            inner = f'<Value number="1">{escape(str(attribute["Value"][0]))}</Value>'
        lines.append(f'<DicomAttribute tag="{tag}" vr="{attribute["vr"]}">{inner}</DicomAttribute>')
    space = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="{space}">{"".join(lines)}</NativeDicomModel>'
    )


def _metadata_part(form: str, attributes: dict[str, dict[str, Any]]) -> Part:
    if form == JSON_FORM:
        return part(json.dumps([attributes], ensure_ascii=False).encode(), "application/dicom+json")
    return part(_native_xml(attributes).encode(), "application/dicom+xml")


def _post(probe: Probe, form: str, parts: list[Part]) -> Response:
    response = probe.post("/studies", build(parts), {"Content-Type": form, "Accept": JSON})
    if response.status in (415, 501):
        raise NotOffered(f"status {response.status}")
    return response


def _path(attributes: dict[str, dict[str, Any]]) -> str:
    study, series, instance = (attributes[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    return f"/studies/{study}/series/{series}/instances/{instance}"


def _store(form: str, probe: Probe) -> None:
    attributes = _attributes(fresh_study(probe, "metadata"), new_uid())
    octets = part(PIXELS, "application/octet-stream", ("Content-Location", ADDRESS))
    response = _post(probe, form, [_metadata_part(form, attributes), octets])
    expect_status(response, 200, 202)
    items = values(report(response), "ReferencedSOPSequence")
    expect(len(items) == 1, "the instance is not named as stored")
    path = _path(attributes)
    frame = probe.get(f"{path}/frames/1", OCTETS)
    expect_status(frame, 200)
    expect(frame.parts()[0].body == PIXELS, "the pixel data differs from the bulkdata part")
    stored = datasets(probe.get(f"{path}/metadata", JSON))[0]
    expect(first(stored, "StudyDescription") == "Schädel", f"Study Description is {first(stored, 'StudyDescription')}")


def _no_bulkdata(form: str, probe: Probe) -> None:
    attributes = _attributes(fresh_study(probe, "no bulkdata"), new_uid())
    response = _post(probe, form, [_metadata_part(form, attributes)])
    expect_status(response, 400, 409)
    expect(probe.get(f"{_path(attributes)}/metadata", JSON).status != 200, "stored without its pixel data")


def _two(probe: Probe) -> None:
    """Two objects in one JSON array, each with bulkdata of its own."""
    study = fresh_study(probe, "two")
    both = [_attributes(study, new_uid()) for _ in range(2)]
    both[1]["7FE00010"]["BulkDataURI"] = "bulk/2"
    parts = [
        part(json.dumps(both).encode(), "application/dicom+json"),
        part(PIXELS[::-1], "application/octet-stream", ("Content-Location", "bulk/2")),
        part(PIXELS, "application/octet-stream", ("Content-Location", ADDRESS)),
    ]
    expect_status(_post(probe, JSON_FORM, parts), 200, 202)
    for attributes, pixels in zip(both, (PIXELS, PIXELS[::-1]), strict=True):
        frame = probe.get(f"{_path(attributes)}/frames/1", OCTETS)
        expect_status(frame, 200)
        expect(frame.parts()[0].body == pixels, "the bulkdata of two instances is mixed up")


def _compressed(probe: Probe) -> None:
    """A JPEG as bulkdata, the Image Pixel attributes left out: the server fills them in (Table 10.5.2-1)."""
    sample = probe.sample("jpeg-baseline")
    attributes = _attributes(fresh_study(probe, "jpeg"), new_uid(), has_image_module=False)
    jpeg = part(sample.stored_frames[0], "image/jpeg", ("Content-Location", ADDRESS))
    response = _post(probe, JSON_FORM, [_metadata_part(JSON_FORM, attributes), jpeg])
    if response.status in (400, 409):
        raise NotOffered(f"compressed bulkdata is refused: status {response.status}")
    expect_status(response, 200, 202)
    stored = datasets(probe.get(f"{_path(attributes)}/metadata", JSON))[0]
    expect(first(stored, "Rows") == 100 and first(stored, "Columns") == 100, "Rows and Columns are not filled in")


def _location(probe: Probe) -> None:
    response = post_instances(probe, [fresh_instance(probe, "location").data])
    expect_status(response, 200)
    place = response.header("Location") or response.header("Content-Location")
    if place is None:
        raise NotOffered("neither Location nor Content-Location")
    expect_status(
        probe.get_url(place, 'multipart/related; type="application/dicom", application/dicom+json;q=0.5'), 200
    )


def _coercion(probe: Probe) -> None:
    sample = fresh_instance(probe, "coercion")
    expect_status(post_instances(probe, [sample.data]), 200, 202)
    expect(is_stored(probe, sample), "not stored")
    back = probe.get(sample.path, 'multipart/related; type="application/dicom"; transfer-syntax=*')
    sent = pydicom.dcmread(io.BytesIO(sample.data))
    kept = pydicom.dcmread(io.BytesIO(back.parts()[0].body))
    changed = [element.keyword for element in sent if kept.get(element.tag) != element]
    expect(not changed or "OriginalAttributesSequence" in kept, f"changed without a record of it: {changed[:5]}")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.STOW, section, level, requires, check)


CASES = (
    _case(
        "S4-json", "10.5.2", OPT, "JSON metadata and bulkdata joined by Content-Location.", partial(_store, JSON_FORM)
    ),
    _case("S4-json-two", "10.5.2", OPT, "Two instances in one array, each with its bulkdata.", _two),
    _case(
        "S4-json-no-bulkdata",
        "10.5.2",
        OPT,
        "JSON without its bulkdata is not stored.",
        partial(_no_bulkdata, JSON_FORM),
    ),
    _case("S5-xml", "10.5.2", OPT, "XML metadata and bulkdata joined by Content-Location.", partial(_store, XML_FORM)),
    _case(
        "S5-xml-no-bulkdata", "10.5.2", OPT, "XML without its bulkdata is not stored.", partial(_no_bulkdata, XML_FORM)
    ),
    _case(
        "S6-compressed",
        "Table 10.5.2-1",
        OPT,
        "JPEG bulkdata without Image Pixel attributes is described by the server.",
        _compressed,
    ),
    _case(
        "S11-coercion",
        "10.5.3",
        INF,
        "What is changed on storing is recorded in Original Attributes Sequence.",
        _coercion,
    ),
    _case("S12-location", "10.5.3.2", INF, "A Location that is given can be retrieved.", _location),
)
