"""Search: UID lists, paths into sequences, percent-encoding, values that are none, keys that are not matched."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from conformance.cases_qido_keys import OWN, all_stored, fill, labels, studies
from conformance.dataset_json import matches
from conformance.model import Case, Level, NotOffered, Service
from conformance.probe import Probe, expect, expect_status
from conformance.samples import new_uid
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


def _uid_list(separator: str, probe: Probe) -> None:
    alpha, gamma = probe.sample("ct1").study_uid, probe.sample("gamma1").study_uid
    probe.sample("beta")
    raw = f"StudyInstanceUID={separator.join((alpha, gamma, new_uid()))}"
    found = studies(probe, {}, raw)
    expect(found == {"alpha", "gamma"}, f"found {sorted(found) or 'nothing'}, expected alpha and gamma")


def _two_keys(probe: Probe) -> None:
    all_stored(probe)
    found = studies(probe, {"PatientID": f"{probe.corpus.token}-1", "StudyDate": "20200220"})
    expect(found == {"beta"}, f"found {sorted(found)}; all keys must hold at once")


def _special_characters(probe: Probe) -> None:
    probe.sample("gamma1")
    found = studies(probe, {}, f"AccessionNumber={quote(f'{probe.corpus.token}+&/ %#=', safe='')}")
    expect(found == {"gamma"}, "a percent-encoded value with + & / space % # = does not find its study")


def _encoded(raw: str, probe: Probe) -> None:
    all_stored(probe)
    found = studies(probe, {}, fill(raw, probe))
    expect(found == {"alpha", "beta"}, f"found {sorted(found) or 'nothing'}, expected alpha and beta")


def _dotted(raw: str, count: int, probe: Probe) -> None:
    sample = probe.sample("ct1")
    found = matches(probe.search(f"{sample.study_path}/series", {}, fill(raw, probe)))
    expect(len(found) == count, f"{len(found)} series, expected {count}")


def _invalid(raw: str, probe: Probe) -> None:
    expect_status(probe.search("/studies", {}, raw), 400)


def _optional_key(keyword: str, value: str, finds: tuple[str, ...], probe: Probe) -> None:
    all_stored(probe)
    response = probe.search("/studies", {"PatientID": fill(OWN, probe), keyword: value})
    if response.status == 400 or response.header("Warning"):
        raise NotOffered(f"the key is not supported: status {response.status}, Warning {response.header('Warning')}")
    found = labels(probe, matches(response)) & {"alpha", "beta", "gamma", "delta"}
    if found == {"alpha", "beta", "gamma", "delta"}:
        raise NotOffered("the key is ignored")
    expect(found == set(finds), f"found {sorted(found)}, expected {sorted(finds)}")


def _birth_date(probe: Probe) -> None:
    """All four patients are born on one day, so the day after tells whether the key is looked at."""
    _optional_key("PatientBirthDate", "19700201", (), probe)
    response = probe.search("/studies", {"PatientID": fill(OWN, probe), "PatientBirthDate": "19700131"})
    found = labels(probe, matches(response)) & {"alpha", "beta", "gamma", "delta"}
    expect(len(found) == 4, f"found {sorted(found)}, expected all four")


def _ignored_key_warned(raw: str, probe: Probe) -> None:
    all_stored(probe)
    response = probe.search("/studies", {"PatientID": f"{probe.corpus.token}-1"}, raw)
    if response.status == 400:
        probe.note("refused with 400; §8.3 wants an unsupported parameter ignored")
        return
    expect_status(response, 200)
    ignored = len(matches(response)) == 2
    expect(not ignored or response.header("Warning") is not None, "the key is ignored without a word")


def _not_5xx(raw: str, probe: Probe) -> None:
    response: Response = probe.search("/studies", {"PatientID": f"{probe.corpus.token}-1"}, raw)
    expect(response.status < 500, f"status {response.status}")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.QIDO, section, level, requires, check)


CASES = (
    _case("Q4-two-keys", "8.3.4.1", REQ, "Several keys must all hold.", _two_keys),
    _case("Q6-uid-list", "8.3.4.1", REQ, "A comma separates the UIDs of a list.", partial(_uid_list, ",")),
    _case(
        "Q6-uid-list-encoded", "RFC 3986 2.2", REQ, "An encoded comma separates UIDs too.", partial(_uid_list, "%2C")
    ),
    _case(
        "Q6-uid-list-backslash",
        "8.3.4.1",
        INF,
        "A backslash, as DIMSE has it, separates UIDs.",
        partial(_uid_list, "%5C"),
    ),
    *(
        _case(
            f"Q9-{name}",
            "8.3.4.1",
            REQ,
            "An attribute in a sequence is named by a dotted path.",
            partial(_dotted, raw, count),
        )
        for name, raw, count in (
            ("scheduled-step-keyword", "RequestAttributesSequence.ScheduledProcedureStepID={t}P1", 1),
            ("scheduled-step-tag", "00400275.00400009={t}P2", 1),
            ("requested-procedure-keyword", "RequestAttributesSequence.RequestedProcedureID={t}R2", 1),
            ("requested-procedure-tag", "00400275.00401001={t}R1", 1),
            ("no-match", "00400275.00400009={t}P9", 0),
            ("wildcard", "RequestAttributesSequence.ScheduledProcedureStepID={t}P*", 2),
        )
    ),
    _case(
        "C1-percent-decoding",
        "RFC 3986 2.1",
        REQ,
        "Reserved characters in a value arrive percent-encoded.",
        _special_characters,
    ),
    *(
        _case(f"C1-{name}", "RFC 3986 2.1", REQ, says, partial(_encoded, raw))
        for name, raw, says in (
            ("encoded-star", "AccessionNumber={t}A%2A", "%2A is a *."),
            ("encoded-letters", "Patient%49D={t}-1", "An encoded letter in a name is that letter."),
            ("encoded-caret", "PatientName=Muster{t}%5EAnna%5EMaria%5EDr.%5EPhD", "%5E is a ^."),
        )
    ),
    _case(
        "C1-empty-pair",
        "8.3",
        REC,
        "Weasis' query, which begins with an empty pair, is served.",
        partial(_encoded, "&includefield=StudyDescription&PatientID={t}-1"),
    ),
    *(
        _case(
            f"C1-invalid-{name}",
            "8.3",
            level,
            "A value that is not of the key's form is refused with 400.",
            partial(_invalid, raw),
        )
        for name, raw, level in (
            ("date", "StudyDate=yesterday", REC),
            ("date-month", "StudyDate=20201301", REC),
            ("time", "StudyTime=noon", REC),
            ("uid", "StudyInstanceUID=abc", INF),
        )
    ),
    *(
        _case(
            f"Q4-optional-{keyword}",
            "10.6.1.2",
            OPT,
            "A further attribute matches when the server has it as a key.",
            partial(_optional_key, keyword, value, finds),
        )
        for keyword, value, finds in (
            ("StudyDescription", "Abdomen", ("beta",)),
            ("PatientSex", "M", ("gamma",)),
        )
    ),
    _case(
        "Q4-optional-PatientBirthDate",
        "10.6.1.2",
        OPT,
        "A further attribute matches when the server has it as a key.",
        _birth_date,
    ),
    *(
        _case(
            f"Q5-unsupported-{name}",
            "8.3",
            REC,
            "A key that the server does not match is told by a Warning.",
            partial(_ignored_key_warned, raw),
        )
        for name, raw in (("keyword", "AcquisitionContextDescription=x"), ("private", "00111001=x"))
    ),
    *(
        _case(
            f"Q3-{name}", "8.3", REQ, "An odd parameter name is no reason for a server error.", partial(_not_5xx, raw)
        )
        for name, raw in (
            ("unknown-keyword", "NoSuchKeyword=1"),
            ("odd-tag", "0010ZZZZ=1"),
            ("dotted-nonsense", "00400275..=1"),
            ("no-value", "PatientName"),
            ("long", "PatientName=" + "a" * 3000),
        )
    ),
)
