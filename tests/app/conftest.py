"""One running server with a few instances in it, for tests of what every root offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from files import part10, related
from pydicom.data import get_testdata_file
from servers import Server, running_server


@dataclass(frozen=True, slots=True)
class Served:
    """A server with its admin's token."""

    server: Server
    token: str

    def ask(
        self, path: str, method: str = "GET", accept: str | None = None, *, token: str | None = "", **more: object
    ) -> requests.Response:
        """Ask below `/dicom-web`; `token` None sends none, "" the admin's."""
        headers = {"Accept": accept} if accept else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.token}"
        url = path if path.startswith("http") else self.server.dicomweb + path
        return requests.request(method, url, headers=headers, timeout=60, **more)  # type: ignore[arg-type]  # any argument of requests

    def store(self, *files: bytes) -> requests.Response:
        body, content_type = related(list(files))
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        return requests.post(f"{self.server.dicomweb}/studies", data=body, headers=headers, timeout=60)

    def samples(self, *names: str) -> None:
        """Store test files of pydicom."""
        for name in names:
            path = get_testdata_file(name)
            assert isinstance(path, str)
            assert self.store(Path(path).read_bytes()).status_code == 200


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running_server(tmp_path_factory.mktemp("served") / "data") as server:
        served = Served(server, server.token("admin"))
        assert served.store(part10(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")).status_code == 200
        yield served
