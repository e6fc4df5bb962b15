"""Search: what a match holds, includefield, paging, the matching switches and their Warnings."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from conformance.dataset_json import Attributes, first, matches, same_values, tag_name, values
from conformance.model import Case, Level, NotOffered, Service
from conformance.probe import Probe, expect

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE

# keyword, VR, expected members; {t} is the run's token, {study} and {series} are UIDs
STUDY_ATTRIBUTES: tuple[tuple[str, str, list[Any]], ...] = (
    ("StudyDate", "DA", ["20200115"]),
    ("StudyTime", "TM", ["101530.25"]),
    ("AccessionNumber", "SH", ["{t}A1"]),
    ("ModalitiesInStudy", "CS", ["CT", "MR"]),
    ("ReferringPhysicianName", "PN", [{"Alphabetic": "Hausarzt{t}^Ida"}]),
    ("PatientName", "PN", [{"Alphabetic": "Muster{t}^Anna^Maria^Dr.^PhD"}]),
    ("PatientID", "LO", ["{t}-1"]),
    ("PatientBirthDate", "DA", ["19700131"]),
    ("PatientSex", "CS", ["F"]),
    ("StudyInstanceUID", "UI", ["{study}"]),
    ("StudyID", "SH", ["{t}S1"]),
    ("NumberOfStudyRelatedSeries", "IS", [2]),
    ("NumberOfStudyRelatedInstances", "IS", [8]),
)
SERIES_ATTRIBUTES: tuple[tuple[str, str, list[Any]], ...] = (
    ("Modality", "CS", ["CT"]),
    ("SeriesDescription", "LO", ["CT axial"]),
    ("SeriesInstanceUID", "UI", ["{series}"]),
    ("SeriesNumber", "IS", [1]),
    ("NumberOfSeriesRelatedInstances", "IS", [5]),
    ("PerformedProcedureStepStartDate", "DA", ["20200115"]),
    ("PerformedProcedureStepStartTime", "TM", ["112000"]),
)
INSTANCE_ATTRIBUTES: tuple[tuple[str, str, list[Any]], ...] = (
    ("SOPClassUID", "UI", ["1.2.840.10008.5.1.4.1.1.2"]),
    ("SOPInstanceUID", "UI", ["{instance}"]),
    ("InstanceNumber", "IS", [1]),
    ("Rows", "US", [8]),
    ("Columns", "US", [8]),
    ("BitsAllocated", "US", [16]),
)


def _one(level: str, probe: Probe, query: str = "") -> Attributes:
    """Search for the first CT's study, series or instance and give its only match."""
    sample = probe.sample("ct1")
    probe.sample("mr3")
    path, key, uid = {
        "study": ("/studies", "StudyInstanceUID", sample.study_uid),
        "series": (f"{sample.study_path}/series", "SeriesInstanceUID", sample.series_uid),
        "instance": (f"{sample.series_path}/instances", "SOPInstanceUID", sample.sop_uid),
        "all-series": ("/series", "SeriesInstanceUID", sample.series_uid),
        "all-instances": ("/instances", "SOPInstanceUID", sample.sop_uid),
    }[level]
    found = matches(probe.search(path, {key: uid}, query))
    expect(len(found) == 1, f"{len(found)} matches for one UID")
    return found[0]


def _fill(expected: list[Any], probe: Probe) -> list[Any]:
    sample = probe.corpus["ct1"]
    marks = {
        "{t}": probe.corpus.token,
        "{study}": sample.study_uid,
        "{series}": sample.series_uid,
        "{instance}": sample.sop_uid,
    }

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(text) for key, text in value.items()}
        for mark, text in marks.items():
            value = value.replace(mark, text) if isinstance(value, str) else value
        return value

    return [fill(value) for value in expected]


def _returned(level: str, keyword: str, vr: str, expected: list[Any], probe: Probe) -> None:
    attribute = _one(level, probe).get(tag_name(keyword))
    expect(attribute is not None, f"{keyword} is not returned")
    attribute = attribute or {}
    expect(attribute.get("vr") == vr, f"vr {attribute.get('vr')}, expected {vr}")
    found = attribute.get("Value", [])
    if keyword == "ModalitiesInStudy":
        found = sorted(found)
    wanted = _fill(expected, probe)
    expect(same_values(vr, wanted, found), f"{keyword} is {found}, expected {wanted}")


def _request_attributes(probe: Probe) -> None:
    items = values(_one("series", probe), "RequestAttributesSequence")
    expect(len(items) == 1, f"{len(items)} items in Request Attributes Sequence")
    token = probe.corpus.token
    expect(
        first(items[0], "ScheduledProcedureStepID") == f"{token}P1", "Scheduled Procedure Step ID is missing or wrong"
    )
    expect(first(items[0], "RequestedProcedureID") == f"{token}R1", "Requested Procedure ID is missing or wrong")


def _number_of_frames(probe: Probe) -> None:
    sample = probe.sample("frames-u16")
    found = matches(probe.search(f"{sample.series_path}/instances"))
    expect(first(found[0], "NumberOfFrames") in (3, "3"), "Number of Frames is missing or wrong")


def _timezone(probe: Probe) -> None:
    found = first(_one("study", probe), "TimezoneOffsetFromUTC")
    if found is None:
        raise NotOffered("Timezone Offset From UTC is not returned (a server need not know it)")
    expect(found == "+0100", f"Timezone Offset From UTC is {found}")


def _empty_required(probe: Probe) -> None:
    """A required return key without a value is there, with no Value and never with a null or an empty string."""
    sample = probe.sample("delta")
    found = matches(probe.search("/studies", {"StudyInstanceUID": sample.study_uid}))[0]
    for keyword in ("ReferringPhysicianName", "StudyDate", "StudyID"):
        attribute = found.get(tag_name(keyword))
        expect(attribute is not None, f"{keyword}, which has no value, is left out; type R keys are returned empty")
        expect(not (attribute or {}).get("Value"), f"{keyword} has a Value though it is empty: {attribute}")


def _modalities_never_empty(probe: Probe) -> None:
    attribute = matches(probe.search("/studies", {"StudyInstanceUID": probe.sample("delta").study_uid}))[0].get(
        "00080061"
    )
    expect(attribute is None or bool(attribute.get("Value")), "Modalities in Study without a Value blanks OHIF's list")


def _ascending(probe: Probe) -> None:
    names = list(_one("study", probe))
    expect(names == sorted(names), "attributes are not in ascending order of their tags")
    expect(
        all(re.fullmatch("[0-9A-F]{8}", name) for name in names),
        "an attribute is not named by eight capital hex digits",
    )


def _include(level: str, raw: str, keyword: str, expected: str, probe: Probe) -> None:
    if level == "study" and keyword == "StudyDescription":
        plain = first(_one(level, probe, "includefield=StudyDescription"), keyword)
        if plain is None:
            raise NotOffered("StudyDescription cannot be included")
    found = first(_one(level, probe, raw), keyword)
    expect(found == expected, f"{keyword} is {found}, expected {expected}")


def _include_two(raw: str, probe: Probe) -> None:
    found = _one("series", probe, raw)
    for keyword, value in (("BodyPartExamined", "HEAD"), ("SeriesDescription", "CT axial")):
        expect(first(found, keyword) == value, f"{keyword} is {first(found, keyword)}, expected {value}")


def _include_lower(probe: Probe) -> None:
    found = _one(
        "study", probe, "includefield=SOPInstanceUID&includefield=SeriesInstanceUID&includefield=InstanceNumber"
    )
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber"):
        expect(tag_name(keyword) not in found, f"{keyword} of a lower level is returned")


def _include_private(probe: Probe) -> None:
    found = _one("instance", probe, "includefield=00111001")
    if "00111001" not in found:
        raise NotOffered("a private attribute cannot be included")
    expect(
        found.get("00110010", {}).get("Value") == ["CONFORMANCE SUITE"], "its Private Creator is not returned with it"
    )
    expect(
        found["00111001"].get("Value") == [f"private {probe.corpus.token}"] or "InlineBinary" in found["00111001"],
        f"the private attribute is {found['00111001']}",
    )


def _include_dotted(probe: Probe) -> None:
    found = _one("series", probe, "includefield=RequestAttributesSequence.ScheduledProcedureStepID")
    items = values(found, "RequestAttributesSequence")
    expect(
        bool(items) and first(items[0], "ScheduledProcedureStepID") is not None, "the element of the item is missing"
    )


def _include_unknown(raw: str, probe: Probe) -> None:
    response = probe.search("/studies", {"StudyInstanceUID": probe.sample("ct1").study_uid}, raw)
    expect(response.status in (200, 400), f"status {response.status}")


def _utf8(probe: Probe) -> None:
    response = probe.search("/studies", {"StudyInstanceUID": probe.sample("delta").study_uid})
    response.body.decode("utf-8")
    name = first(matches(response)[0], "PatientName")
    expect(name == {"Alphabetic": f"Müller{probe.corpus.token}^Jürgen"}, f"Patient's Name is {name}")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.QIDO, section, level, requires, check)


def _attribute_cases(prefix: str, level: str, rows: tuple[tuple[str, str, list[Any]], ...], says: str) -> list[Case]:
    return [
        _case(f"{prefix}-{keyword}", "10.6.3.3", REQ, says, partial(_returned, level, keyword, vr, expected))
        for keyword, vr, expected in rows
    ]


CASES = (
    *_attribute_cases("Q21-study", "study", STUDY_ATTRIBUTES, "A study holds the attributes of Table 10.6.3-3."),
    *_attribute_cases("Q22-series", "series", SERIES_ATTRIBUTES, "A series holds the attributes of Table 10.6.3-4."),
    *_attribute_cases(
        "Q22-instance", "instance", INSTANCE_ATTRIBUTES, "An instance holds the attributes of Table 10.6.3-5."
    ),
    *_attribute_cases(
        "Q23-all-series",
        "all-series",
        tuple(row for row in STUDY_ATTRIBUTES if row[0] in ("StudyInstanceUID", "PatientID", "StudyDate")),
        "/series adds the attributes of the study.",
    ),
    *_attribute_cases(
        "Q23-all-instances",
        "all-instances",
        tuple(
            row
            for row in (*STUDY_ATTRIBUTES, *SERIES_ATTRIBUTES)
            if row[0] in ("StudyInstanceUID", "PatientName", "SeriesInstanceUID", "Modality")
        ),
        "/instances adds the attributes of study and series.",
    ),
    _case(
        "Q22-series-request-attributes",
        "10.6.3.3.2",
        REQ,
        "A series holds Request Attributes Sequence.",
        _request_attributes,
    ),
    _case(
        "Q22-instance-number-of-frames",
        "10.6.3.3.3",
        REQ,
        "A multi-frame instance holds Number of Frames.",
        _number_of_frames,
    ),
    _case("Q27-timezone", "10.6.3.3.1", OPT, "Timezone Offset From UTC is returned when it is known.", _timezone),
    _case(
        "Q21-empty",
        "PS3.4 C.2.2.1.2",
        REQ,
        "A required return attribute without a value is returned empty.",
        _empty_required,
    ),
    _case(
        "Q21-modalities-not-empty",
        "10.6.3.3.1",
        INF,
        "Modalities in Study comes with a value or not at all.",
        _modalities_never_empty,
    ),
    _case("W27-ascending", "F.2.2", REQ, "Attributes come in ascending order under capital hex names.", _ascending),
    _case("Q24-utf8", "8.8, F.2", REQ, "JSON is UTF-8 whatever the stored character set.", _utf8),
    *(
        _case(f"Q14-{name}", "8.3.4.3", level, says, partial(_include, where, raw, keyword, value))
        for name, level, says, where, raw, keyword, value in (
            (
                "keyword",
                REC,
                "includefield by keyword.",
                "study",
                "includefield=StudyDescription",
                "StudyDescription",
                "Head routine",
            ),
            ("tag", REQ, "includefield by tag.", "study", "includefield=00081030", "StudyDescription", "Head routine"),
            (
                "list",
                REQ,
                "A comma list in includefield.",
                "study",
                "includefield=PatientSex,StudyDescription",
                "StudyDescription",
                "Head routine",
            ),
            (
                "list-encoded",
                REQ,
                "An encoded comma, as OHIF sends it.",
                "study",
                "includefield=00100040%2C00081030",
                "StudyDescription",
                "Head routine",
            ),
            (
                "repeated",
                REQ,
                "A repeated includefield.",
                "study",
                "includefield=PatientSex&includefield=StudyDescription",
                "StudyDescription",
                "Head routine",
            ),
            (
                "all",
                REQ,
                "includefield=all brings what the server has.",
                "study",
                "includefield=all",
                "StudyDescription",
                "Head routine",
            ),
            (
                "study-of-series",
                REC,
                "A study attribute included in a search for series.",
                "series",
                "includefield=StudyDescription",
                "StudyDescription",
                "Head routine",
            ),
            (
                "instance",
                REC,
                "An instance attribute included in a search for instances.",
                "instance",
                "includefield=ImageComments",
                "ImageComments",
                "slice 1",
            ),
        )
    ),
    _case(
        "Q14-two",
        "8.3.4.3",
        REC,
        "Two attributes of a series in one includefield.",
        partial(_include_two, "includefield=BodyPartExamined,SeriesDescription"),
    ),
    _case("Q14-lower-level", "10.6.3.3.1", REQ, "Attributes of a lower level are not returned.", _include_lower),
    _case("Q14-dotted", "8.3.4.3", REC, "includefield takes a dotted path.", _include_dotted),
    _case("Q15-private", "10.6.3.3", OPT, "A private attribute is returned with its creator.", _include_private),
    *(
        _case(f"Q14-{name}", "8.3", REC, "An unknown includefield is no server error.", partial(_include_unknown, raw))
        for name, raw in (
            ("unknown", "includefield=NoSuchKeyword"),
            ("empty", "includefield="),
            ("unknown-tag", "includefield=FFFFFFFE"),
        )
    ),
)
