"""A whole archive whose files are in a bucket: store, look, download, verify, and a bucket that is away."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from files import part10, related
from object_server import ObjectServer, object_server
from pydicom.data import get_testdata_file
from servers import Server, lightbox, run_lightbox, running_server

STUDY = "1.2.640"


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectServer]:
    server = object_server(tmp_path / "weed")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def served(objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name, value in objects.environment().items():
        monkeypatch.setenv(name, value)
    with running_server(tmp_path / "data") as server:
        yield server


def ask(server: Server, token: str, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{server.dicomweb}{path}", headers={"Authorization": f"Bearer {token}", **headers}, timeout=60)


def store(server: Server, token: str, *files: bytes) -> requests.Response:
    body, content_type = related(list(files))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    return requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=120)


def test_the_archive_works_on_a_bucket_as_on_a_folder(served: Server, objects: ObjectServer, tmp_path: Path) -> None:
    token = served.token("admin")
    files = [part10(StudyInstanceUID=STUDY, SOPInstanceUID=f"{STUDY}.{n}", InstanceNumber=n) for n in range(1, 21)]
    compressed = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()
    assert store(served, token, *files, compressed).status_code == 200
    assert not list((tmp_path / "data" / "store").glob("blobs/*/*")), "the files are in the bucket"
    answer = ask(served, token, f"/studies/{STUDY}", Accept='multipart/related; type="application/dicom"')
    assert all(data in answer.content for data in files)
    series = f"/studies/{STUDY}/series/1.2.3.4/instances/{STUDY}.7"
    assert ask(served, token, f"{series}/frames/1", Accept="application/octet-stream").content == b"\1\2\3\4"
    found: Any = ask(served, token, "/instances?SOPClassUID=&limit=100&includefield=00080016").json()
    assert len(found) == 21
    picture = next(one for one in found if one["0020000D"]["Value"][0] != STUDY)
    uids = [picture[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
    rendered = ask(served, token, "/studies/{}/series/{}/instances/{}/rendered".format(*uids), Accept="image/jpeg")
    assert rendered.content.startswith(b"\xff\xd8")
    checked = lightbox("verify", "--data", str(served.data))
    assert "21" in checked


def test_a_bucket_that_is_away_acknowledges_nothing_and_what_this_machine_has_is_still_given(
    served: Server, objects: ObjectServer
) -> None:
    token = served.token("admin")
    first = part10(StudyInstanceUID=STUDY, SOPInstanceUID=f"{STUDY}.1")
    assert store(served, token, first).status_code == 200
    objects.kill()
    refused = store(served, token, part10(StudyInstanceUID=STUDY, SOPInstanceUID=f"{STUDY}.2"))
    assert refused.status_code in (409, 503), refused.text
    found: Any = ask(served, token, f"/studies/{STUDY}/instances").json()
    assert [one["00080018"]["Value"][0] for one in found] == [f"{STUDY}.1"]
    path = f"/studies/{STUDY}/series/1.2.3.4/instances/{STUDY}.1"
    whole = ask(served, token, path, Accept="application/dicom; transfer-syntax=*")
    assert hashlib.sha256(whole.content).hexdigest() == hashlib.sha256(first).hexdigest()
    verified = run_lightbox("verify", "--data", str(served.data))
    assert verified.returncode == 1
    assert "does not answer" in verified.stderr
    assert "damaged" not in verified.stdout, "nothing is known of files that cannot be asked for"
