"""Bad input gets a clear short answer, and the archive goes on with nothing half-stored."""

from pathlib import Path
from typing import Any

import pytest
import requests
from files import part10, related
from servers import running_server

UNKNOWN_SYNTAX = "1.2.826.0.1.3680043.8.498.99"


def post(filled: Any, body: bytes, content_type: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {filled.token}", "Content-Type": content_type}
    return requests.post(f"{filled.server.dicomweb}/studies", data=body, headers=headers, timeout=60)


def get(filled: Any, path: str, accept: str = "*/*") -> requests.Response:
    headers = {"Authorization": f"Bearer {filled.token}", "Accept": accept}
    return requests.get(f"{filled.server.dicomweb}{path}", headers=headers, timeout=60)


def in_unknown_syntax(uid: str) -> bytes:
    """A whole instance that says that it is in a transfer syntax nobody knows."""
    data = part10(SOPInstanceUID=uid, StudyInstanceUID="1.2.77", SeriesInstanceUID="1.2.77.1")
    known = b"1.2.840.10008.1.2.1\0"
    assert len(known) < len(UNKNOWN_SYNTAX)
    padded = UNKNOWN_SYNTAX.encode()
    head = data.index(known) - 2
    return data[:head] + len(padded).to_bytes(2, "little") + padded + data[head + 2 + len(known) :]


def test_an_unknown_transfer_syntax_is_stored_and_decoding_it_is_406_with_what_there_is(filled: Any) -> None:
    uid = "1.2.77.1.1"
    assert post(filled, in_unknown_syntax(uid), "application/dicom").status_code == 200
    path = f"/studies/1.2.77/series/1.2.77.1/instances/{uid}"
    decoded = get(filled, path, "application/dicom")
    assert decoded.status_code == 406
    assert any(UNKNOWN_SYNTAX in offer for offer in decoded.json()["available"])
    frame = get(filled, f"{path}/frames/1", 'multipart/related; type="application/octet-stream"')
    assert frame.status_code == 406
    stored = get(filled, path, "application/dicom; transfer-syntax=*")
    assert stored.content == in_unknown_syntax(uid)


@pytest.mark.parametrize("uid", ["..%2F..%2Fetc", "1.2.%00", "1" * 65, "1..2", "a.b", "1.2;3", "%F0%9F%92%80"])
def test_what_is_no_uid_is_400_and_is_not_repeated(filled: Any, uid: str) -> None:
    answer = get(filled, f"/studies/{uid}/metadata")
    assert answer.status_code in (400, 404)
    assert uid not in answer.text


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, on what is written here on purpose
def test_a_uid_of_65_characters_in_a_file_is_refused_by_name(filled: Any) -> None:
    answer = post(filled, part10(SOPInstanceUID="1." + "2" * 63), "application/dicom")
    assert answer.status_code in (400, 409)
    assert "SOP Instance UID" in answer.text


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda body: body[:-20], 400),
        (lambda body: body.replace(b"--", b"==", 1), 400),
        (lambda body: b"", 400),
    ],
)
def test_a_broken_multipart_body_is_400_and_stores_nothing(filled: Any, spoil: Any, status: int) -> None:
    body, content_type = related([part10(StudyInstanceUID="1.2.88", SeriesInstanceUID="1.2.88.1")])
    assert post(filled, spoil(body), content_type).status_code == status
    assert get(filled, "/studies?StudyInstanceUID=1.2.88").json() == []


def test_another_type_of_body_is_415(filled: Any) -> None:
    assert post(filled, b"<html>", "text/html").status_code == 415


def test_a_body_over_the_limit_is_413_and_says_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTBOX_REQUEST_LIMIT_BYTES", str(1 << 20))
    with running_server(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.token('store')}", "Content-Type": "application/dicom"}
        answer = requests.post(f"{server.dicomweb}/studies", data=b"x" * (1 << 21), headers=headers, timeout=60)
    assert answer.status_code == 413
    assert str(1 << 20) in answer.text
