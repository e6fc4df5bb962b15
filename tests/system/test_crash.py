"""Kill -9 while 200 instances are being stored: what was acknowledged is there and identical, nothing is half there."""

import hashlib
import threading
from pathlib import Path

import pytest
import requests
from files import part10, related
from pydicom.uid import generate_uid
from servers import Server, lightbox, start_server

INSTANCES = 200
INSTANCES_A_REQUEST = 5
PIXELS = bytes(range(256)) * 256
ROUNDS = 5


class Sender(threading.Thread):
    """Stores instances, a few in each request, until there are no more or the server is gone."""

    def __init__(self, server: Server, token: str, files: dict[str, bytes]) -> None:
        super().__init__()
        self._url, self._token, self._files = f"{server.dicomweb}/studies", token, files
        self.acknowledged: set[str] = set()
        self.under_way: set[str] = set()
        self.progress = threading.Condition()

    def run(self) -> None:
        uids = list(self._files)
        for start in range(0, len(uids), INSTANCES_A_REQUEST):
            self.under_way = set(uids[start : start + INSTANCES_A_REQUEST])
            body, content_type = related([self._files[uid] for uid in sorted(self.under_way)])
            headers = {"Content-Type": content_type, "Authorization": f"Bearer {self._token}"}
            try:
                answer = requests.post(self._url, data=body, headers=headers, timeout=60)
            except requests.ConnectionError:
                break
            references = answer.json()["00081199"]["Value"]
            with self.progress:
                self.acknowledged |= {reference["00081155"]["Value"][0] for reference in references}
                self.under_way = set()
                self.progress.notify_all()
        with self.progress:
            self.progress.notify_all()

    def wait_for(self, count: int) -> None:
        with self.progress:
            assert self.progress.wait_for(lambda: len(self.acknowledged) >= count or not self.is_alive(), 60)


def made_files(study_uid: str) -> dict[str, bytes]:
    uids = [generate_uid() for _ in range(INSTANCES)]
    return {
        uid: part10(
            SOPInstanceUID=uid,
            StudyInstanceUID=study_uid,
            Rows=256,
            Columns=256,
            PixelData=PIXELS,
            InstanceNumber=number,
        )
        for number, uid in enumerate(uids)
    }


def visible(server: Server, token: str, study_uid: str) -> dict[str, str]:
    """SHA-256 of every instance that a search lists, retrieved one by one."""
    headers = {"Authorization": f"Bearer {token}"}
    listed = requests.get(f"{server.dicomweb}/studies/{study_uid}/instances?limit=1000", headers=headers, timeout=60)
    digests = {}
    for row in listed.json():
        uid, series_uid = row["00080018"]["Value"][0], row["0020000E"]["Value"][0]
        url = f"{server.dicomweb}/studies/{study_uid}/series/{series_uid}/instances/{uid}"
        answer = requests.get(url, headers=headers | {"Accept": "application/dicom; transfer-syntax=*"}, timeout=60)
        assert answer.status_code == 200
        digests[uid] = hashlib.sha256(answer.content).hexdigest()
    return digests


@pytest.mark.parametrize("kill_after", range(0, INSTANCES, INSTANCES // ROUNDS))
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path, kill_after: int) -> None:
    study_uid = str(generate_uid())
    files = made_files(study_uid)
    server = start_server(tmp_path / "data")
    token = server.token("admin")
    sender = Sender(server, token, files)
    sender.start()
    sender.wait_for(kill_after)
    server.kill()
    sender.join(60)
    assert len(sender.acknowledged) >= kill_after

    server = start_server(tmp_path / "data")
    try:
        found = visible(server, token, study_uid)
    finally:
        server.stop()
    assert sender.acknowledged <= set(found)
    extra = set(found) - sender.acknowledged
    assert extra in (set(), sender.under_way), "A request is there whole or not at all."
    for uid, digest in found.items():
        assert digest == hashlib.sha256(files[uid]).hexdigest()
    assert list((tmp_path / "data" / "store" / "drafts").iterdir()) == []
    assert "0 damaged or missing" in lightbox("verify", "--data", str(tmp_path / "data"))
