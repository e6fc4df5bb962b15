"""One running server whose metrics are open to nobody without a token."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from files import part10
from servers import Server, running_server


@dataclass(frozen=True, slots=True)
class Operated:
    """A server with its admin's token."""

    server: Server
    token: str

    def get(self, path: str, token: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return requests.get(self.server.base + path, headers=headers, timeout=60)

    def store(self, data: bytes) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/dicom"}
        return requests.post(f"{self.server.dicomweb}/studies", data=data, headers=headers, timeout=60)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)


@pytest.fixture(scope="module", params=(1, 2), ids=("one process", "two processes"))
def operated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    data: Path = tmp_path_factory.mktemp("operated") / "data"
    with running_server(data, "--workers", str(request.param)) as server:
        operated = Operated(server, server.token("admin"))
        assert operated.store(part10(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")).status_code == 200
        yield operated
