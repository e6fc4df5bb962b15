"""The catalogue covers the standard, and a verdict says what happened."""

import ast
import re
from pathlib import Path

import pytest

import conformance
from conformance.catalogue import all_cases, chosen
from conformance.corpus import Corpus, build_corpus
from conformance.dataset_json import same_values
from conformance.model import (
    Case,
    Failure,
    Level,
    NotApplicable,
    NotOffered,
    Result,
    Service,
    Skipped,
    Verdict,
    failed,
)
from conformance.probe import Probe, Session
from conformance.runner import run_case
from conformance.wire import Wire

ROWS = [
    *(f"C{n}" for n in range(1, 28) if n not in (10, 25)),
    *(f"S{n}" for n in range(1, 18) if n != 15),
    *(f"Q{n}" for n in range(1, 28) if n not in (19, 20, 25, 26)),
    *(f"W{n}" for n in range(1, 28) if n not in (5,)),
    *(f"U{n}" for n in range(1, 6)),
]


def test_there_are_more_than_300_cases_with_ids_of_their_own():
    cases = all_cases()
    assert len(cases) > 300
    assert len({case.id for case in cases}) == len(cases)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_feature_matrix_has_a_case(row):
    assert any(re.match(rf"{row}-", case.id) for case in all_cases())


def test_every_case_cites_a_section_and_states_its_requirement():
    for case in all_cases():
        assert re.search(r"\d|Annex|Extension", case.section), case.id
        assert case.requires.endswith("."), case.id


def test_the_suite_imports_nothing_but_the_standard_library_pydicom_and_numpy():
    ours = {"archive", "qido", "wado", "stow", "auth"}
    for path in Path(conformance.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names}
            assert not roots & ours, path.name
            assert not roots & {"aiohttp", "requests", "PIL", "imagecodecs", "dicomweb_client"}, path.name


def test_cases_can_be_chosen_by_service_section_and_id():
    cases = all_cases()
    assert {case.service for case in chosen(cases, ["qido"])} == {Service.QIDO}
    assert all(case.section.startswith("8.3.4.4") for case in chosen(cases, ["8.3.4.4"]))
    assert [case.id for case in chosen(cases, ["Q17-remaining"])] == ["Q17-remaining"]


def _verdict(check, base_url: str = "http://127.0.0.1:1/x", level: Level = Level.OPTIONAL) -> Result:
    session = Session(Wire(base_url, timeout_s=5), Corpus("T", []))
    return run_case(session, Case("id", Service.COMMON, "1", level, "Something.", check))


def _not_offered(_: Probe) -> None:
    raise NotOffered("status 406")


def test_what_is_required_cannot_be_left_out():
    assert _verdict(_not_offered, level=Level.REQUIRED).verdict == Verdict.FAIL
    assert _verdict(_not_offered, level=Level.RECOMMENDED).verdict == Verdict.NOT_OFFERED


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Failure("why"), Verdict.FAIL),
        (NotOffered("why"), Verdict.NOT_OFFERED),
        (NotApplicable("why"), Verdict.NOT_APPLICABLE),
        (Skipped("why"), Verdict.SKIP),
        (ValueError("why"), Verdict.FAIL),
        (KeyError("why"), Verdict.FAIL),
    ],
)
def test_each_ending_of_a_case_has_its_verdict(outcome, verdict):
    def check(_: Probe) -> None:
        raise outcome

    result = _verdict(check)
    assert result.verdict == verdict
    assert "why" in result.detail


def test_a_server_that_is_not_there_fails_a_case_and_stops_nothing():
    assert _verdict(lambda probe: probe.get("/studies") and None).verdict == Verdict.FAIL


def test_an_exchange_is_kept_with_what_was_sent_and_what_came_back(stub):
    stub.answer = lambda *_: (418, {"X-Mark": "yes"}, b"short and stout")
    result = _verdict(lambda probe: probe.get("/studies", "a/b") and None, stub.base_url)
    assert result.exchanges[0].request.startswith("GET /dicom-web/studies\nAccept: a/b")
    assert "418" in result.exchanges[0].response
    assert "short and stout" in result.exchanges[0].response


def test_only_required_and_offered_optional_failures_count():
    def result(level: Level, verdict: Verdict) -> Result:
        return Result("i", "s", "1", level, "r", verdict, "", (), (), 0)

    assert failed(result(Level.REQUIRED, Verdict.FAIL))
    assert failed(result(Level.OPTIONAL, Verdict.FAIL))
    assert not failed(result(Level.RECOMMENDED, Verdict.FAIL))
    assert not failed(result(Level.INFORMATIVE, Verdict.FAIL))
    assert not failed(result(Level.OPTIONAL, Verdict.NOT_OFFERED))


def test_a_sample_that_was_refused_skips_its_cases_with_the_reason():
    corpus = build_corpus("Testtok")
    session = Session(Wire("http://127.0.0.1:1/x"), corpus, {"ct1": "status 403 Forbidden"})
    with pytest.raises(Skipped, match="403"):
        Probe(session).sample("ct1")


@pytest.mark.parametrize(
    ("vr", "expected", "found", "same"),
    [
        ("DS", [0.5], ["0.50"], True),
        ("DS", [0.5], [0.5], True),
        ("DS", [0.5], ["abc"], False),
        ("DS", [1.5, None], [1.5, None], True),
        ("DS", [1.5, None], [1.5, ""], False),
        ("IS", [42], ["+0042"], True),
        ("IS", [42], [42.0], False),
        ("UV", [2**64 - 1], [str(2**64 - 1)], True),
        ("UV", [2**64 - 1], [1.8446744073709552e19], False),
        ("FD", [0.1], [0.1], True),
        ("FD", [0.1], [0.10000001], False),
        ("FL", [0.1], [0.10000000149011612], True),
        ("PN", [{"Alphabetic": "A^B"}], [{"Alphabetic": "A^B^^^"}], True),
        ("PN", [{"Ideographic": "山"}], [{"Alphabetic": "", "Ideographic": "山"}], False),
        ("PN", [None], [{}], False),
        ("LO", ["a", None], ["a"], False),
        ("US", [1], ["1"], False),
    ],
)
def test_values_are_compared_as_annex_f_has_them(vr, expected, found, same):
    assert same_values(vr, expected, found) is same
