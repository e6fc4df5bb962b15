"""A server that answers nonsense ends in failures and never in a crash of the suite."""

import json
import random

import pytest

from conformance.cli import main

TYPES = (
    "application/dicom+json", 'multipart/related; boundary=abc; type="application/dicom"', "image/jpeg", "image/png",
    "application/dicom", "application/zip", "text/html", "",
)  # fmt: skip
BODIES = (
    b"", b"{}", b"[{}]", b"[1]", b"null", b"--abc\r\n\r\nxx\r\n--abc--", b"\x89PNG\r\n\x1a\nabc",
    b"\xff\xd8\xff\xc0\xff\xd9", b"PK\x03\x04", b"\0" * 128 + b"DICM" + bytes(range(256)), bytes(range(256)),
)  # fmt: skip


def _run(stub, tmp_path) -> dict[str, dict[str, str]]:
    results = tmp_path / "results.json"
    assert main(["--base", stub.base_url, "--json", str(results), "--name", "hollow"]) == 1
    return {each["id"]: each for each in json.loads(results.read_text(encoding="utf-8"))["results"]}


def test_a_server_that_always_answers_an_empty_list_passes_little(stub, tmp_path):
    stub.answer = lambda *_: (200, {"Content-Type": "application/dicom+json"}, b"[]")
    found = _run(stub, tmp_path)
    required = [each for each in found.values() if each["level"] == "required"]
    assert sum(each["verdict"] == "pass" for each in required) < len(required) / 12
    assert found["S1-studies"]["verdict"] == "fail"
    assert found["W1-study"]["verdict"] == "fail"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_server_that_answers_nonsense_does_not_stop_the_suite(stub, tmp_path, seed):
    dice = random.Random(seed)

    def answer(method, target, headers, body):
        if method == "POST" or dice.random() < 0.2:
            return 200, {"Content-Type": "application/dicom+json"}, b"[]"
        status = dice.choice((200, 200, 200, 206, 404, 500, 302))
        return status, {"Content-Type": dice.choice(TYPES)}, dice.choice(BODIES)

    stub.answer = answer
    found = _run(stub, tmp_path)
    assert len(found) > 300
    required = [each for each in found.values() if each["level"] == "required" and each["verdict"] == "pass"]
    assert len(required) < 60
