"""Search: paging, empty results, the matching switches and their Warnings, answers in XML."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from conformance.corpus_search import PAGED_INSTANCES, PAGED_STUDIES
from conformance.dataset_json import matches, uids
from conformance.model import Case, Level, NotApplicable, NotOffered, Service
from conformance.native_xml import parse_native
from conformance.probe import JSON, XML, Probe, expect, expect_status, expect_type, query_of
from conformance.samples import new_uid
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


def _pages(path: str, keyword: str, size: int, total: int, probe: Probe) -> None:
    probe.sample("page4-1")
    where = path.format(study=probe.sample("page0-1").study_path)
    keys = {"PatientID": f"{probe.corpus.token}-9"} if where == "/studies" else {}
    seen: list[str] = []
    for offset in range(0, total + size, size):
        page = matches(probe.search(where, keys, f"limit={size}&offset={offset}"))
        expect(len(page) == max(0, min(size, total - offset)), f"{len(page)} results at offset {offset}")
        seen += uids(page, keyword)
    expect(
        len(seen) == len(set(seen)) == total, f"{len(set(seen))} different results over all pages, {total} are there"
    )


def _limit(limit: int, probe: Probe) -> None:
    where = f"{probe.sample('page0-1').study_path}/instances"
    found = matches(probe.search(where, {}, f"limit={limit}"))
    expect(len(found) == min(limit, PAGED_INSTANCES), f"{len(found)} results for limit={limit}")


def _limit_zero(probe: Probe) -> None:
    response = probe.search(f"{probe.sample('page0-1').study_path}/instances", {}, "limit=0")
    expect_status(response, 200, 204)
    expect(matches(response) == [], "limit=0 gives results; the formula of §8.3.4.4.1 gives none")


def _offset_beyond(probe: Probe) -> None:
    response = probe.search(f"{probe.sample('page0-1').study_path}/instances", {}, "offset=1000")
    expect(matches(response) == [], "results beyond the last one")


def _same_order(probe: Probe) -> None:
    where = f"{probe.sample('page0-1').study_path}/instances"
    orders = {tuple(uids(matches(probe.search(where)), "SOPInstanceUID")) for _ in range(3)}
    expect(len(orders) == 1, "three equal searches give different orders")
    expect(len(orders.pop()) == PAGED_INSTANCES, "the searches are not complete")


def _remaining(probe: Probe) -> None:
    response = probe.search(f"{probe.sample('page0-1').study_path}/instances", {}, "limit=4")
    expect(len(matches(response)) == 4, "limit=4 does not give four results")
    warnings = response.all_headers("Warning")
    expect(bool(warnings), "no Warning though results remain")
    text = " ".join(warnings)
    expect(
        bool(re.search(r"\b299\b", text)) and str(PAGED_INSTANCES - 4) in text,
        f"Warning does not tell 5 remaining: {text}",
    )


def _none_remaining(probe: Probe) -> None:
    response = probe.search(f"{probe.sample('page0-1').study_path}/instances", {}, f"limit={PAGED_INSTANCES}")
    text = " ".join(response.all_headers("Warning"))
    expect("additional results" not in text, f"a Warning of more results although none remain: {text}")


def _bad_value(raw: str, refusal: tuple[int, ...], probe: Probe) -> None:
    expect_status(probe.search("/studies", {"PatientID": f"{probe.corpus.token}-9"}, raw), *refusal)


def _no_match(path: str, probe: Probe) -> None:
    response = probe.search(
        path.format(study=probe.sample("ct1").study_path),
        {
            "SOPInstanceUID"
            if "instances" in path
            else "SeriesInstanceUID"
            if "series" in path
            else "StudyInstanceUID": new_uid()
        },
    )
    expect_status(response, 200, 204)
    if response.status == 204:
        probe.note("204, as editions up to 2025 have it; CP-2473 makes it 200 with an empty array")
        expect(not response.body, "204 with a body")
    else:
        expect_type(response, JSON)
        expect(matches(response) == [], "results for a UID that is not there")


def _switch(raw: str, word: str, probe: Probe) -> None:
    """A matching switch that the server has not got must be told by a Warning that names it."""
    _need_search_studies(probe)
    plain = probe.search("/studies", {"PatientID": f"{probe.corpus.token}-1"}, raw)
    if plain.status == 400 and word != "fuzzymatching":
        raise NotOffered("refused with 400")
    expect_status(plain, 200)
    expect(len(matches(plain)) == 2, f"{len(matches(plain))} matches, 2 are there")


def _need_search_studies(probe: Probe) -> None:
    for name in ("ct1", "beta"):
        probe.sample(name)


def _fuzzy(probe: Probe) -> None:
    _need_search_studies(probe)
    response = probe.search(
        "/studies", {"PatientName": f"anna muster{probe.corpus.token}".lower()}, "fuzzymatching=true"
    )
    expect_status(response, 200, 204)
    told = any("299" in text for text in response.all_headers("Warning"))
    expect(
        told or len(matches(response)) == 2,
        "the words of the name in another order and case find nothing, and no Warning says that matching is literal",
    )
    if told:
        probe.note("fuzzy matching is not offered, and a Warning says so")


def _fuzzy_phonetic(probe: Probe) -> None:
    _need_search_studies(probe)
    response = probe.search("/studies", {"PatientName": "Mueller" + probe.corpus.token}, "fuzzymatching=true")
    if any("299" in text for text in response.all_headers("Warning")):
        raise NotOffered("fuzzy matching is not offered")
    if probe.corpus["delta"].study_uid not in uids(matches(response), "StudyInstanceUID"):
        raise NotOffered("Mueller does not find Müller")


def _fuzzy_folded(probe: Probe) -> None:
    probe.sample("delta")
    response = probe.search("/studies", {"PatientName": f"muller{probe.corpus.token}^jurgen"}, "fuzzymatching=true")
    if any("299" in text for text in response.all_headers("Warning")):
        raise NotOffered("fuzzy matching is not offered")
    if probe.corpus["delta"].study_uid not in uids(matches(response), "StudyInstanceUID"):
        raise NotOffered("a name without its diacritics is not found")


def _empty_value(probe: Probe) -> None:
    probe.sample("delta")
    probe.sample("ct1")
    keys = {"PatientID": f"{probe.corpus.token}-?", "ReferringPhysicianName": '""', "emptyvaluematching": "true"}
    response = probe.search("/studies", keys)
    expect_status(response, 200, 204)
    found = set(uids(matches(response), "StudyInstanceUID"))
    warned = any("299" in text for text in response.all_headers("Warning"))
    right = probe.corpus["delta"].study_uid in found and probe.corpus["ct1"].study_uid not in found
    expect(
        right or warned, "neither the studies with an empty value are found, nor does a Warning say that it is not done"
    )


def _multiple_value(probe: Probe) -> None:
    _need_search_studies(probe)
    keys = [
        ("PatientID", f"{probe.corpus.token}-1"),
        ("StudyID", f"{probe.corpus.token}S1"),
        ("multiplevaluematching", "true"),
    ]
    response = probe.search("/studies", keys)
    expect_status(response, 200, 204)
    found = set(uids(matches(response), "StudyInstanceUID"))
    expect(found == {probe.corpus["ct1"].study_uid}, "with the switch on, a single value does not match as before")


def _xml_search(level: str, probe: Probe) -> None:
    sample = probe.sample("ct1")
    path = {
        "study": "/studies",
        "series": f"{sample.study_path}/series",
        "instance": f"{sample.series_path}/instances",
    }[level]
    query = query_of({"StudyInstanceUID": sample.study_uid} if level == "study" else {})
    response: Response = probe.get(path, XML, query)
    expect_status(response, 200)
    parts = response.parts()
    expected = {"study": 1, "series": 2, "instance": 5}[level]
    expect(len(parts) == expected, f"{len(parts)} parts, {expected} matches: one part for each")
    for part in parts:
        expect(part.media_type.essence == "application/dicom+xml", f"a part is {part.header('Content-Type')}")
        native = parse_native(part.body)
        if native.get("0020000D") is None and level == "study":
            raise NotApplicable("no Study Instance UID in the XML")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.QIDO, section, level, requires, check)


CASES = (
    _case(
        "Q16-pages-studies",
        "8.3.4.4",
        REQ,
        "Pages of studies hold each match once.",
        partial(_pages, "/studies", "StudyInstanceUID", 2, PAGED_STUDIES),
    ),
    _case(
        "Q16-pages-series",
        "8.3.4.4",
        REQ,
        "Pages of series hold each match once.",
        partial(_pages, "{study}/series", "SeriesInstanceUID", 1, 3),
    ),
    _case(
        "Q16-pages-instances",
        "8.3.4.4",
        REQ,
        "Pages of instances hold each match once.",
        partial(_pages, "{study}/instances", "SOPInstanceUID", 4, PAGED_INSTANCES),
    ),
    *(
        _case(f"Q16-limit-{n}", "8.3.4.4", REQ, "limit bounds the number of results.", partial(_limit, n))
        for n in (1, 9, 100)
    ),
    _case("Q16-limit-zero", "8.3.4.4.1", INF, "limit=0 gives no results.", _limit_zero),
    _case("Q16-offset-beyond", "8.3.4.4", REQ, "An offset behind the last match gives no results.", _offset_beyond),
    _case("Q16-same-order", "8.3.4.4.1", REQ, "The same search gives the same order.", _same_order),
    *(
        _case(
            f"Q16-bad-{name}",
            "8.3",
            REQ,
            "A limit or offset that is no unsigned number is refused with 400.",
            partial(_bad_value, raw, (400,)),
        )
        for name, raw in (
            ("limit", "limit=abc"),
            ("limit-negative", "limit=-1"),
            ("offset", "offset=abc"),
            ("offset-negative", "offset=-1"),
            ("limit-fraction", "limit=1.5"),
        )
    ),
    _case(
        "Q13-bad-fuzzy",
        "8.3",
        REC,
        "fuzzymatching that is neither true nor false is refused with 400.",
        partial(_bad_value, "fuzzymatching=maybe", (400,)),
    ),
    _case("Q17-remaining", "8.3.4.4.1", REQ, "When results remain, a Warning 299 tells how many.", _remaining),
    _case("Q17-none-remaining", "8.3.4.4.1", REQ, "When none remain, no Warning says so.", _none_remaining),
    *(
        _case(
            f"Q18-no-match-{name}",
            "10.6.3.1",
            REQ,
            "No match is 200 with [] (CP-2473) or 204 (before).",
            partial(_no_match, path),
        )
        for name, path in (
            ("studies", "/studies"),
            ("series", "{study}/series"),
            ("instances", "{study}/instances"),
            ("all-series", "/series"),
            ("all-instances", "/instances"),
        )
    ),
    *(
        _case(
            f"Q13-switch-{name}",
            "8.3.4",
            REQ,
            "The switch changes nothing for a key without a use of it.",
            partial(_switch, raw, word),
        )
        for name, raw, word in (
            ("fuzzy-false", "fuzzymatching=false", "fuzzymatching"),
            ("fuzzy-true", "fuzzymatching=true", "fuzzymatching"),
            ("empty", "emptyvaluematching=true", "emptyvaluematching"),
            ("multiple", "multiplevaluematching=true", "multiplevaluematching"),
        )
    ),
    _case("Q13-fuzzy", "8.3.4.2", REQ, "Fuzzy matching is done, or a Warning 299 says that it is not.", _fuzzy),
    _case("Q13-fuzzy-phonetic", "PS3.4 C.2.2.2.1.1", INF, "Fuzzy matching finds a name by its sound.", _fuzzy_phonetic),
    _case(
        "Q13-fuzzy-folded",
        "PS3.4 C.2.2.2.1.1",
        INF,
        "Fuzzy matching finds a name without its diacritics.",
        _fuzzy_folded,
    ),
    _case(
        "Q11-empty-value",
        "8.3.4.5",
        REC,
        "Empty value matching is done, or a Warning 299 says that it is not.",
        _empty_value,
    ),
    _case(
        "Q12-multiple-value", "8.3.4.6", REC, "multiplevaluematching does no harm to a single value.", _multiple_value
    ),
    *(
        _case(
            f"Q2-xml-{level}",
            "10.6.4",
            REQ,
            "A search in XML has one part for each match.",
            partial(_xml_search, level),
        )
        for level in ("study", "series", "instance")
    ),
)
