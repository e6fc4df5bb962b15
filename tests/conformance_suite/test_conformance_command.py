"""The command: exit status, reports that stand alone, runs side by side."""

import json
from html.parser import HTMLParser

import pytest

from conformance.cli import main
from conformance.compare import MARK


def _stores_everything_and_answers_nothing_else(method, target, headers, body):
    if method == "POST":
        return 200, {"Content-Type": "application/dicom+json"}, b"{}"
    if target.endswith("/metadata") and headers.get("accept") == "application/dicom+json":
        return (
            200,
            {"Content-Type": "application/dicom+json"},
            b'[{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "<b>"}]}}]',
        )
    return 404, {}, b"<script>alert(1)</script>"


@pytest.fixture
def run(stub, tmp_path):
    stub.answer = _stores_everything_and_answers_nothing_else
    report, results = tmp_path / "report.html", tmp_path / "results.json"
    arguments = ["--base", stub.base_url, "--token", "t0psecret", "--report", str(report), "--json", str(results)]
    status = main([*arguments, "--name", "Stub", "--only", "C20-not-found", "--only", "Q1-"])
    return status, report, results


def test_a_required_failure_makes_the_exit_status_one(run):
    status, _, results = run
    verdicts = {each["id"]: each["verdict"] for each in json.loads(results.read_text(encoding="utf-8"))["results"]}
    assert status == 1
    assert verdicts["Q1-studies"] == "fail"
    assert verdicts["C20-not-found-study-instances"] == "pass"


def test_no_failure_makes_the_exit_status_zero(stub):
    stub.answer = _stores_everything_and_answers_nothing_else
    assert main(["--base", stub.base_url, "--only", "C20-not-found-study-instances"]) == 0


def test_a_server_that_stores_nothing_ends_the_run_with_a_plain_message(stub, capsys):
    stub.answer = lambda *_: (403, {}, b"")
    assert main(["--base", stub.base_url]) == 1
    assert "may this client store" in capsys.readouterr().err


def test_the_token_is_sent_and_never_written(run, stub):
    _, report, results = run
    assert all(headers.get("authorization") == "Bearer t0psecret" for _, _, headers, _ in stub.asked)
    assert "t0psecret" not in report.read_text(encoding="utf-8") + results.read_text(encoding="utf-8")


class _Outside(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "img", "iframe") or any(key in ("src", "href") for key, _ in attrs):
            self.found.append(tag)


def test_the_report_needs_no_script_and_nothing_from_elsewhere(run):
    parser = _Outside()
    parser.feed(run[1].read_text(encoding="utf-8"))
    assert parser.found == []


def test_runs_are_put_side_by_side(run, tmp_path, capsys):
    _, _, results = run
    capsys.readouterr()
    assert main(["--compare", str(results), str(results)]) == 0
    text = capsys.readouterr().out
    assert "| service | level | cases | Stub | Stub |" in text
    assert "Q1-studies" in text


def test_a_comparison_replaces_what_stands_below_the_mark_and_nothing_above_it(run, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"Our words.\n{MARK}\nold tables", encoding="utf-8")
    assert main(["--compare", str(run[2]), "--into", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("Our words.")
    assert "old tables" not in text
    assert "Q1-studies" in text


def test_the_cases_can_be_listed_without_a_server(capsys):
    assert main(["--list", "--only", "Q17"]) == 0
    assert capsys.readouterr().out.startswith("Q17-")


@pytest.mark.parametrize("arguments", [[], ["--base", "http://127.0.0.1:1", "--only", "no-such-case"]])
def test_a_wrong_command_line_is_a_usage_error(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
