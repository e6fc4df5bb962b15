"""Search: which keys match, and how (PS3.18 §8.3.4.1, §10.6.1, PS3.4 C.2.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from conformance.dataset_json import Attributes, matches, tag_name, uids
from conformance.model import Case, Level, Service
from conformance.probe import Probe, expect

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
RESOURCES = {
    "studies": "/studies",
    "study-series": "{study}/series",
    "study-instances": "{study}/instances",
    "series-instances": "{series}/instances",
    "series": "/series",
    "instances": "/instances",
}


def studies(probe: Probe, keys: dict[str, str], raw: str = "") -> set[str]:
    """Search for studies; give one sample name for each study of this run that was found."""
    return labels(probe, matches(probe.search("/studies", keys, raw)))


def labels(probe: Probe, found: list[Attributes]) -> set[str]:
    by_study = {
        probe.corpus[name].study_uid: label
        for label, name in (
            ("alpha", "ct1"),
            ("beta", "beta"),
            ("gamma", "gamma1"),
            ("delta", "delta"),
            *((f"page{n}", f"page{n}-1") for n in range(5)),
        )
    }
    return {by_study[uid] for uid in uids(found, "StudyInstanceUID") if uid in by_study}


def all_stored(probe: Probe) -> None:
    for name in ("ct1", "beta", "gamma1", "delta"):
        probe.sample(name)


def _resource(name: str, probe: Probe) -> None:
    sample = probe.sample("ct1")
    path = RESOURCES[name].format(study=sample.study_path, series=sample.series_path)
    relational = {"StudyInstanceUID": sample.study_uid} if path in ("/studies", "/series", "/instances") else {}
    found = matches(probe.search(path, relational))
    expected = {"studies": 1, "study-series": 2, "series": 2, "series-instances": 5}.get(name, 8)
    expect(len(found) == expected, f"{len(found)} matches, {expected} are there")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """`value` may hold `{t}` for the run's token; `finds` are study labels (or a count below a study)."""

    id: str
    keyword: str
    value: str
    finds: tuple[str, ...]
    says: str = "A key of Table 10.6.1-5 matches by its exact value."
    level: Level = REQ
    section: str = "10.6.1.2"


PATIENT = ("alpha", "beta")
STUDY_KEYS = (
    KeyRow("StudyDate", "StudyDate", "20200115", ("alpha",)),
    KeyRow("StudyTime", "StudyTime", "101530.25", ("alpha",)),
    KeyRow("AccessionNumber", "AccessionNumber", "{t}A1", ("alpha",)),
    KeyRow("ModalitiesInStudy", "ModalitiesInStudy", "CT", ("alpha",)),
    KeyRow("ModalitiesInStudy-second", "ModalitiesInStudy", "MR", ("alpha",)),
    KeyRow("ReferringPhysicianName", "ReferringPhysicianName", "Hausarzt{t}^Ida", ("alpha", "gamma")),
    KeyRow("PatientName", "PatientName", "Muster{t}^Anna^Maria^Dr.^PhD", PATIENT),
    KeyRow("PatientID", "PatientID", "{t}-1", PATIENT),
    KeyRow("StudyID", "StudyID", "{t}S2", ("beta",)),
)
MATCHING = (
    KeyRow(
        "Q7-star-end",
        "AccessionNumber",
        "{t}A*",
        PATIENT,
        "* stands for any characters at the end.",
        REQ,
        "PS3.4 C.2.2.2.4",
    ),
    KeyRow(
        "Q7-star-start", "AccessionNumber", "*{t}A2", ("beta",), "* matches no character too.", REQ, "PS3.4 C.2.2.2.4"
    ),
    KeyRow(
        "Q7-star-both",
        "PatientID",
        "*{t}-*",
        ("alpha", "beta", "gamma", "delta"),
        "* at both ends.",
        REQ,
        "PS3.4 C.2.2.2.4",
    ),
    KeyRow("Q7-question", "AccessionNumber", "{t}A?", PATIENT, "? stands for one character.", REQ, "PS3.4 C.2.2.2.4"),
    KeyRow(
        "Q7-question-needs-one", "AccessionNumber", "{t}A1?", (), "? does not match nothing.", REQ, "PS3.4 C.2.2.2.4"
    ),
    KeyRow("Q7-percent-literal", "AccessionNumber", "{t}%", (), "% is no wildcard.", REQ, "PS3.4 C.2.2.2.1"),
    KeyRow("Q7-underscore-literal", "AccessionNumber", "{t}A_", (), "_ is no wildcard.", REQ, "PS3.4 C.2.2.2.1"),
    KeyRow(
        "Q7-no-prefix",
        "AccessionNumber",
        "{t}A",
        (),
        "Without a wildcard the whole value must match.",
        REQ,
        "PS3.4 C.2.2.2.1",
    ),
    KeyRow("Q7-name-star", "PatientName", "Muster{t}*", PATIENT, "* in a person name.", REC, "PS3.4 C.2.2.2.4"),
    KeyRow(
        "Q7-name-both",
        "PatientName",
        "*{t}^Anna*",
        PATIENT,
        "OHIF's search for a part of a name.",
        REC,
        "PS3.4 C.2.2.2.4",
    ),
    KeyRow("Q7-case", "PatientID", "{T}-1", (), "An exact match of an identifier minds case.", REC, "PS3.4 C.2.2.2.1"),
    KeyRow(
        "Q7-case-wildcard",
        "PatientID",
        "{T}-*",
        (),
        "A wildcard match of an identifier minds case.",
        REC,
        "PS3.4 C.2.2.2.4",
    ),
    KeyRow(
        "Q8-date-range",
        "StudyDate",
        "20200101-20200131",
        ("alpha",),
        "A date range holds what lies within.",
        REQ,
        "PS3.4 C.2.2.2.5",
    ),
    KeyRow(
        "Q8-date-inclusive",
        "StudyDate",
        "20200115-20200220",
        PATIENT,
        "Both ends of a range belong to it.",
        REQ,
        "PS3.4 C.2.2.2.5",
    ),
    KeyRow("Q8-date-until", "StudyDate", "-20200131", ("alpha",), "A range without a start.", REQ, "PS3.4 C.2.2.2.5"),
    KeyRow(
        "Q8-date-from", "StudyDate", "20200201-", ("beta", "gamma"), "A range without an end.", REQ, "PS3.4 C.2.2.2.5"
    ),
    KeyRow(
        "Q8-date-outside",
        "StudyDate",
        "19000101-19001231",
        (),
        "Nothing lies within: no match.",
        REQ,
        "PS3.4 C.2.2.2.5",
    ),
    KeyRow("Q8-time-range", "StudyTime", "100000-110000", ("alpha",), "A time range.", REQ, "PS3.4 C.2.2.2.5"),
    KeyRow("Q8-time-from", "StudyTime", "230000-", ("beta",), "A time range without an end.", REQ, "PS3.4 C.2.2.2.5"),
    KeyRow(
        "Q8-time-until",
        "StudyTime",
        "-000100",
        ("gamma",),
        "A time range without a start holds midnight.",
        REQ,
        "PS3.4 C.2.2.2.5",
    ),
    KeyRow(
        "Q8-time-fraction",
        "StudyTime",
        "101530-101530.25",
        ("alpha",),
        "A fraction at the end of a range counts.",
        REC,
        "PS3.4 C.2.2.2.5",
    ),
    KeyRow(
        "Q10-universal",
        "AccessionNumber",
        "",
        ("alpha", "beta", "gamma", "delta"),
        "An empty key matches all.",
        REQ,
        "PS3.4 C.2.2.2.3",
    ),
    KeyRow(
        "Q10-universal-star",
        "AccessionNumber",
        "*",
        ("alpha", "beta", "gamma", "delta"),
        "A lone * matches all.",
        REQ,
        "PS3.4 C.2.2.2.4",
    ),
    KeyRow(
        "Q4-no-match",
        "AccessionNumber",
        "{t}-none",
        (),
        "A value that nobody has finds nothing.",
        REQ,
        "PS3.4 C.2.2.2.1",
    ),
)
EMPTY_IN_DELTA = frozenset({"StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"})
OWN = "*{t}-?"  # all four search studies, by their patient IDs


def fill(value: str, probe: Probe) -> str:
    token = probe.corpus.token
    return value.replace("{t}", token).replace("{T}", token.swapcase())


def _match(row: KeyRow, as_tag: bool, probe: Probe) -> None:
    """Search within this run's patients, so that other content of the server does not matter."""
    all_stored(probe)
    name = tag_name(row.keyword) if as_tag else row.keyword
    keys = {name: fill(row.value, probe)}
    if row.keyword != "PatientID" and "{t}" not in row.value:
        keys["PatientID"] = fill(OWN, probe)
    # PS3.4 C.2.2.1.2: an unknown (empty) value of a required key counts as a match, so delta is left out of account
    ignored = {"delta"} if row.keyword in EMPTY_IN_DELTA and "delta" not in row.finds else set()
    found = (studies(probe, keys) & {"alpha", "beta", "gamma", "delta"}) - ignored
    expect(found == set(row.finds), f"found {sorted(found) or 'nothing'}, expected {sorted(row.finds) or 'nothing'}")


def _uid_key(keyword: str, as_tag: bool, probe: Probe) -> None:
    sample = probe.sample("ct1")
    path, value = {
        "StudyInstanceUID": ("/studies", sample.study_uid),
        "SeriesInstanceUID": (f"{sample.study_path}/series", sample.series_uid),
        "SOPInstanceUID": (f"{sample.series_path}/instances", sample.sop_uid),
    }[keyword]
    found = matches(probe.search(path, {tag_name(keyword) if as_tag else keyword: value}))
    expect(uids(found, keyword) == [value], f"{len(found)} matches for one UID")


def _below(path: str, keyword: str, value: str, count: int, probe: Probe) -> None:
    """Search below the alpha study: two series, CT and MR."""
    sample = probe.sample("ct1")
    probe.sample("mr3")
    where = RESOURCES[path].format(study=sample.study_path, series=sample.series_path)
    keys = {keyword: fill(value, probe)}
    if path in ("series", "instances"):
        keys["StudyInstanceUID"] = sample.study_uid
    found = matches(probe.search(where, keys))
    expect(len(found) == count, f"{len(found)} matches, expected {count}")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.QIDO, section, level, requires, check)


SERIES_KEYS = (
    ("Modality", "Modality", "CT", 1),
    ("SeriesNumber", "SeriesNumber", "2", 1),
    ("PPS-date", "PerformedProcedureStepStartDate", "20200115", 1),
    ("PPS-date-range", "PerformedProcedureStepStartDate", "20200101-20200131", 2),
    ("PPS-time", "PerformedProcedureStepStartTime", "110000-115959", 1),
    ("no-match", "Modality", "XA", 0),
)
INSTANCE_KEYS = (
    ("SOPClassUID", "SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", 3),
    ("InstanceNumber", "InstanceNumber", "1", 2),
    ("SOPClassUID-none", "SOPClassUID", "1.2.840.10008.5.1.4.1.1.128", 0),
)
CASES = (
    *(
        _case(
            f"Q1-{name}",
            "10.6.1.1",
            REQ,
            f"The search resource {path} is there and complete.",
            partial(_resource, name),
        )
        for name, path in RESOURCES.items()
    ),
    *(
        _case(
            f"Q4-{row.id}-{'tag' if as_tag else 'keyword'}",
            row.section,
            row.level,
            row.says,
            partial(_match, row, as_tag),
        )
        for row in STUDY_KEYS
        for as_tag in (False, True)
    ),
    *(
        _case(
            f"Q4-{keyword}-{'tag' if as_tag else 'keyword'}",
            "10.6.1.2",
            REQ,
            "A UID finds what it names.",
            partial(_uid_key, keyword, as_tag),
        )
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        for as_tag in (False, True)
    ),
    *(
        _case(
            f"Q4-series-{name}",
            "10.6.1.2",
            REQ,
            "A key of the series level matches.",
            partial(_below, "study-series", key, value, count),
        )
        for name, key, value, count in SERIES_KEYS
    ),
    *(
        _case(
            f"Q4-instance-{name}",
            "10.6.1.2",
            REQ,
            "A key of the instance level matches.",
            partial(_below, "study-instances", key, value, count),
        )
        for name, key, value, count in INSTANCE_KEYS
    ),
    _case(
        "Q4-all-series-modality",
        "10.6.1.2",
        REQ,
        "A series key matches on /series, with a study key.",
        partial(_below, "series", "Modality", "MR", 1),
    ),
    _case(
        "Q4-all-instances-number",
        "10.6.1.2",
        REQ,
        "An instance key matches on /instances, with a study key.",
        partial(_below, "instances", "InstanceNumber", "4", 1),
    ),
    _case(
        "Q4-instances-series-key",
        "10.6.1.2",
        REC,
        "A series key matches on the instances of a study.",
        partial(_below, "study-instances", "Modality", "MR", 3),
    ),
    *(_case(row.id, row.section, row.level, row.says, partial(_match, row, False)) for row in MATCHING),
)
