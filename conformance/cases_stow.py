"""Store (PS3.18 §10.5): media types, outcomes per instance, the response module, bodies of every legal form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from conformance.dataset_json import datasets, first, matches, uids, values
from conformance.model import Case, Failure, Level, NotOffered, Service
from conformance.multipart import BOUNDARY, build, part
from conformance.native_xml import parse_native
from conformance.probe import JSON, XML, Probe, expect, expect_status, expect_type
from conformance.samples import Sample, Study, instance_of, new_uid, ramp, sample_of, set_pixels
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
DICOM_FORM = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


def fresh_study(probe: Probe, what: str) -> Study:
    token = probe.corpus.token
    return Study(f"{token}-ST", f"Store{token}^Sam", new_uid(), {"StudyDescription": what[:60]})


def fresh_instance(probe: Probe, what: str, study: Study | None = None) -> Sample:
    """Make an instance that nobody has stored yet, in a study of its own unless one is given."""
    dataset = instance_of(study or fresh_study(probe, what))
    set_pixels(dataset, ramp(4, 4, "u1"))
    return sample_of(what, dataset)


def post_instances(
    probe: Probe,
    files: Sequence[bytes],
    path: str = "/studies",
    form: str = DICOM_FORM,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = build([part(data, "application/dicom") for data in files])
    return probe.post(path, body, {"Content-Type": form, "Accept": JSON, **(headers or {})})


def is_stored(probe: Probe, sample: Sample) -> bool:
    response = probe.get(f"{sample.path}/metadata", JSON)
    return response.status == 200 and uids(datasets(response), "SOPInstanceUID") == [sample.sop_uid]


def report(response: Response) -> dict[str, Any]:
    """Give the Store Instances Response Module of a JSON answer; an array of one object is taken too."""
    body = response.json()
    if isinstance(body, list):
        body = body[0]
    if not isinstance(body, dict):
        raise Failure("the answer is no JSON object (Annex I)")
    return body


def stored(probe: Probe, response: Response, *samples: Sample) -> None:
    expect_status(response, 200)
    for sample in samples:
        expect(is_stored(probe, sample), "answered 200, but the instance cannot be retrieved")


def _store_one(path_has_study: bool, probe: Probe) -> None:
    sample = fresh_instance(probe, "one")
    response = post_instances(probe, [sample.data], sample.study_path if path_has_study else "/studies")
    stored(probe, response, sample)


def _store_many(probe: Probe) -> None:
    study = fresh_study(probe, "several")
    samples = [fresh_instance(probe, f"{n}", study) for n in range(5)]
    response = post_instances(probe, [sample.data for sample in samples])
    stored(probe, response, *samples)
    found = {first(item, "ReferencedSOPInstanceUID") for item in values(report(response), "ReferencedSOPSequence")}
    expect(found == {sample.sop_uid for sample in samples}, "the response does not name each stored instance")


def _two_studies(probe: Probe) -> None:
    samples = [fresh_instance(probe, "a"), fresh_instance(probe, "b")]
    stored(probe, post_instances(probe, [sample.data for sample in samples]), *samples)


def _module(what: str, probe: Probe) -> None:
    sample = fresh_instance(probe, "module")
    response = post_instances(probe, [sample.data])
    expect_status(response, 200)
    expect_type(response, JSON, "application/json")
    module = report(response)
    items = values(module, "ReferencedSOPSequence")
    expect(len(items) == 1, f"{len(items)} items in Referenced SOP Sequence (0008,1199)")
    if what == "uids":
        expect(first(items[0], "ReferencedSOPInstanceUID") == sample.sop_uid, "wrong Referenced SOP Instance UID")
        expect(first(items[0], "ReferencedSOPClassUID") == sample.sop_class, "wrong Referenced SOP Class UID")
    elif what == "instance-url":
        url = first(items[0], "RetrieveURL")
        expect(isinstance(url, str), "no Retrieve URL (0008,1190) in the item")
        expect_status(probe.get_url(url, 'multipart/related; type="application/dicom"'), 200)
    elif what == "study-url":
        expect("00081190" in module, "no Retrieve URL (0008,1190) at the top level, not even an empty one")
    else:
        expect(not values(module, "FailedSOPSequence"), "a Failed SOP Sequence although all is stored")


def _xml_answer(probe: Probe) -> None:
    sample = fresh_instance(probe, "xml answer")
    response = post_instances(probe, [sample.data], headers={"Accept": "application/dicom+xml"})
    if response.status == 406:
        response = post_instances(probe, [sample.data], headers={"Accept": XML})
    expect_status(response, 200)
    essence = response.media_type.essence
    body = response.parts()[0].body if essence == "multipart/related" else response.body
    expect("xml" in (response.header("Content-Type") or ""), f"Content-Type is {response.header('Content-Type')}")
    native = parse_native(body)
    items = native["00081199"].items
    expect(items[0]["00081155"].values == [sample.sop_uid], "the XML does not name the instance")


def _mismatch(probe: Probe) -> None:
    sample = fresh_instance(probe, "mismatch")
    response = post_instances(probe, [sample.data], f"/studies/{new_uid()}")
    expect_status(response, 409, 400)
    expect(not is_stored(probe, sample), "the instance of another study was stored")
    if response.status == 400:
        probe.note("400; the standard names 409 for a Study Instance UID mismatch")


def _mismatch_409(probe: Probe) -> None:
    sample = fresh_instance(probe, "mismatch")
    expect_status(post_instances(probe, [sample.data], f"/studies/{new_uid()}"), 409)


def _mismatch_mixed(probe: Probe) -> None:
    good, bad = fresh_instance(probe, "good"), fresh_instance(probe, "bad")
    response = post_instances(probe, [good.data, bad.data], good.study_path)
    expect_status(response, 202)
    expect(is_stored(probe, good) and not is_stored(probe, bad), "not just the instance of the study was stored")


def _failure_reason(probe: Probe) -> None:
    sample = fresh_instance(probe, "reason")
    response = post_instances(probe, [sample.data], f"/studies/{new_uid()}")
    expect_status(response, 409)
    items = values(report(response), "FailedSOPSequence")
    expect(len(items) == 1, f"{len(items)} items in Failed SOP Sequence (0008,1198)")
    expect(first(items[0], "ReferencedSOPInstanceUID") == sample.sop_uid, "the failed instance is not named")
    reason = first(items[0], "FailureReason")
    expect(isinstance(reason, int) and reason > 0, f"Failure Reason (0008,1197) is {reason}")


def _one_bad(kind: str, probe: Probe) -> None:
    good = fresh_instance(probe, "good one")
    response = post_instances(probe, [good.data, _broken(probe, kind)])
    kept = is_stored(probe, good)
    if response.status in (400, 409) and not kept:
        probe.note("nothing was stored; the standard foresees 202 with the good instance stored")
    expect_status(response, 202)
    expect(kept, "202, but the good instance is not there")


def _one_bad_truthful(kind: str, probe: Probe) -> None:
    good = fresh_instance(probe, "good one")
    response = post_instances(probe, [_broken(probe, kind), good.data])
    kept = is_stored(probe, good)
    expect(not (response.status >= 400 and kept), f"status {response.status} says nothing was stored; the good one was")
    expect(not (response.status in (200, 202) and not kept), f"status {response.status}, but the good one is not there")


def _all_bad(kind: str, probe: Probe) -> None:
    response = post_instances(probe, [_broken(probe, kind)])
    expect_status(response, 400, 409)


def _broken(probe: Probe, kind: str) -> bytes:
    data = fresh_instance(probe, kind).data
    if kind == "not-dicom":
        return b"this is no DICOM file, it only says so " * 20
    if kind == "empty":
        return b""
    if kind == "cut-header":
        return data[:200]
    if kind == "cut-pixels":
        return data[:-6]
    dataset = instance_of(fresh_study(probe, kind))
    set_pixels(dataset, ramp(4, 4, "u1"))
    sample = sample_of(kind, dataset)
    tag, uid = {
        "no-study-uid": (b"\x20\x00\x0d\x00UI", dataset.StudyInstanceUID),
        "no-sop-uid": (b"\x08\x00\x18\x00UI", dataset.SOPInstanceUID),
    }[kind]
    at = sample.data.rindex(tag)
    length = int.from_bytes(sample.data[at + 6 : at + 8], "little")
    expect(len(uid) <= length, "the suite cut the wrong element")
    return sample.data[:at] + sample.data[at + 8 + length :]


def _again(same: bool, probe: Probe) -> None:
    dataset = instance_of(fresh_study(probe, "again"))
    set_pixels(dataset, ramp(4, 4, "u1"))
    sample = sample_of("again", dataset)
    expect_status(post_instances(probe, [sample.data]), 200)
    if same:
        expect_status(post_instances(probe, [sample.data]), 200, 202, 409)
    else:
        dataset.PatientComments = "other content"
        dataset.PixelData = bytes(range(16, 32))
        other = sample_of("other", dataset)
        response = post_instances(probe, [other.data])
        probe.note(f"other content under the same UID is answered with {response.status}")
        frame = (
            probe.get(f"{sample.path}/frames/1", 'multipart/related; type="application/octet-stream"').parts()[0].body
        )
        is_new = frame == bytes(range(16, 32))
        expect(
            not (response.status == 200 and not is_new), "200 without a warning, but the old content is still served"
        )
        expect(not (response.status == 409 and is_new), "409, but the content was replaced")
    expect(len(matches(probe.search(f"{sample.series_path}/instances"))) == 1, "the instance is there twice")


def _searchable(probe: Probe) -> None:
    sample = fresh_instance(probe, "searchable")
    expect_status(post_instances(probe, [sample.data]), 200)
    found = matches(probe.search("/studies", {"StudyInstanceUID": sample.study_uid}))
    expect(uids(found, "StudyInstanceUID") == [sample.study_uid], "not found by a search after 200")


def _kept_whole(probe: Probe) -> None:
    sample = fresh_instance(probe, "kept")
    expect_status(post_instances(probe, [sample.data]), 200)
    stored = datasets(probe.get(f"{sample.path}/metadata", JSON))[0]
    expect(first(stored, "StudyDescription") == "kept", "the attributes differ from what was sent")


def _big_part(probe: Probe) -> None:
    dataset = instance_of(fresh_study(probe, "large"))
    set_pixels(dataset, ramp(2048, 2048, "<u2"))
    sample = sample_of("large", dataset)
    response = post_instances(probe, [sample.data])
    if response.status == 413:
        raise NotOffered("8 MiB in one request are too much: 413")
    stored(probe, response, sample)


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.STOW, section, level, requires, check)


BROKEN = ("not-dicom", "empty", "cut-header", "cut-pixels", "no-study-uid", "no-sop-uid")
CASES = (
    _case("S1-studies", "10.5.1.1", REQ, "POST /studies stores an instance.", partial(_store_one, False)),
    _case("S1-study", "10.5.1.1", REQ, "POST /studies/{study} stores an instance of it.", partial(_store_one, True)),
    _case("S1-several", "10.5.2", REQ, "Several instances in one request are all stored and named.", _store_many),
    _case("S1-two-studies", "10.5.2", REQ, "POST /studies takes instances of several studies.", _two_studies),
    _case(
        "S1-mismatch", "10.5.3", REQ, "An instance of another study is not stored by POST /studies/{study}.", _mismatch
    ),
    _case(
        "S1-mismatch-409", "10.5.3.1", REQ, "A study UID mismatch of all instances is a conflict: 409.", _mismatch_409
    ),
    _case("S1-mismatch-mixed", "10.5.3.1", REQ, "An instance of another study fails alone: 202.", _mismatch_mixed),
    *(
        _case(
            f"S7-one-bad-{kind}",
            "10.5.3.1",
            REQ,
            "One bad part among good ones: 202, the good ones are stored.",
            partial(_one_bad, kind),
        )
        for kind in BROKEN
        if kind != "cut-pixels"
    ),
    _case(
        "S7-one-bad-cut-pixels",
        "10.5.3.1",
        REC,
        "A file cut in its pixel data fails alone.",
        partial(_one_bad, "cut-pixels"),
    ),
    *(
        _case(
            f"S7-truthful-{kind}",
            "10.5.3.1",
            REQ,
            "The status does not contradict what was stored.",
            partial(_one_bad_truthful, kind),
        )
        for kind in ("not-dicom", "cut-header")
    ),
    *(
        _case(
            f"S7-all-bad-{kind}",
            "10.5.3.1",
            REQ if kind != "cut-pixels" else REC,
            "Nothing could be stored: 400 or 409, not a success.",
            partial(_all_bad, kind),
        )
        for kind in BROKEN
    ),
    _case(
        "S8-json",
        "10.5.3, Annex I",
        REQ,
        "The response is the Store Instances Response Module in JSON.",
        partial(_module, "none-failed"),
    ),
    _case("S8-xml", "10.5.3, Annex I", REQ, "The response comes in XML when XML is asked for.", _xml_answer),
    _case(
        "S9-uids",
        "Table I.1-1",
        REQ,
        "Each stored instance is named by class and instance UID.",
        partial(_module, "uids"),
    ),
    _case(
        "S9-instance-url",
        "Table I.1-1",
        REQ,
        "Each stored instance has a Retrieve URL that works.",
        partial(_module, "instance-url"),
    ),
    _case(
        "S9-study-url",
        "Table I.1-1",
        REC,
        "The top level holds a Retrieve URL (type 2).",
        partial(_module, "study-url"),
    ),
    _case(
        "S10-failure-reason",
        "I.2.2",
        REQ,
        "A failed instance is named with a Failure Reason that is not zero.",
        _failure_reason,
    ),
    _case("S13-same-bytes", "10.5", INF, "The same instance again leaves one instance.", partial(_again, True)),
    _case(
        "S13-other-bytes",
        "10.5",
        INF,
        "Other content under a stored UID: the status tells what is kept.",
        partial(_again, False),
    ),
    _case("S14-large", "10.5", REC, "An instance of 8 MiB is stored.", _big_part),
    _case("S18-searchable", "10.5.2", REC, "What was stored is found at once.", _searchable),
    _case("S18-kept", "10.5.2", REQ, "What was stored comes back with its attributes.", _kept_whole),
)
