"""One running server with every real file in it, for the tests that only read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from files import real_files
from journey import House, running_house
from servers import SHARED_DATA, Server, running_server


@dataclass(slots=True)
class Filled:
    """A server, and what it acknowledged: the stored bytes by SOP Instance UID."""

    server: Server
    token: str
    stored: dict[str, bytes] = field(default_factory=dict)
    studies: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)

    def client(self, base: str | None = None, headers: dict[str, str] | None = None) -> DICOMwebClient:
        return DICOMwebClient(
            base or self.server.dicomweb, headers=headers or {"Authorization": f"Bearer {self.token}"}
        )


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A running hospital."""
    with running_house(tmp_path, monkeypatch) as house:
        yield house


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A server that took every real file by dicomweb-client's own STOW-RS."""
    if not SHARED_DATA.is_dir():
        print("../shared/data is not there: these tests run on pydicom's files alone.")
    with running_server(tmp_path_factory.mktemp("filled") / "data") as server:
        filled = Filled(server, server.token("admin"))
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {filled.token}"
        for path in real_files():
            _store(filled, session, path)
        yield filled


def _store(filled: Filled, session: requests.Session, path: Path) -> None:
    """dicomweb-client writes datasets anew before it sends them, so the exact bytes go by its session's transport."""
    data = path.read_bytes()
    answer = session.post(
        f"{filled.server.dicomweb}/studies",
        data=data,
        headers={"Content-Type": "application/dicom", "Accept": "application/dicom+json"},
    )
    if answer.status_code != 200:
        filled.refused[path] = answer.text
        return
    reference = answer.json()["00081199"]["Value"][0]
    uid = reference["00081155"]["Value"][0]
    if uid in filled.stored:
        assert filled.stored[uid] == data
        return
    filled.stored[uid] = data
    names = reference["00081190"]["Value"][0].split("/")
    filled.studies.setdefault(names[names.index("studies") + 1], set()).add((names[names.index("series") + 1], uid))
