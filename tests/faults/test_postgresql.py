"""PostgreSQL that dies or is away: what people see of it, and what is there when it is back."""

import signal
import time
from collections.abc import Iterator

import pytest
import requests
from databases import PostgreSQL
from files import part10, related
from servers import Server, run_lightbox, running_server

pytestmark = pytest.mark.sqlite  # it has a database of its own, whatever the other tests run on
WITHIN_S = 60.0


@pytest.fixture
def database() -> Iterator[PostgreSQL]:
    server = PostgreSQL("fsync=on", "full_page_writes=on")
    yield server
    server.remove()


def store(server: Server, headers: dict[str, str], number: int) -> requests.Response:
    body, content_type = related([part10(StudyInstanceUID="1.2.9", SOPInstanceUID=f"1.2.9.{number}")])
    headers = headers | {"Content-Type": content_type}
    return requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=WITHIN_S)


def listed(server: Server, headers: dict[str, str]) -> list[str]:
    answer = requests.get(f"{server.dicomweb}/studies/1.2.9/instances", headers=headers, timeout=WITHIN_S)
    return sorted(row["00080018"]["Value"][0] for row in answer.json())


def ready(server: Server, status: int) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while requests.get(f"{server.base}/health/ready", timeout=WITHIN_S).status_code != status:
        assert time.monotonic() < deadline_s
        time.sleep(0.2)


def test_a_database_that_dies_is_503_and_all_that_was_acknowledged_is_there_when_it_is_back(
    database: PostgreSQL, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_DATABASE_URL", database.empty("archive"))
    with running_server(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.token('admin')}"}
        assert [store(server, headers, number).status_code for number in range(3)] == [200] * 3
        database.stop(signal.SIGQUIT)  # no checkpoint, no farewell
        refused = store(server, headers, 7)
        assert refused.status_code == 503
        assert "database does not answer" in refused.json()["message"]
        assert "127.0.0.1" not in refused.text
        assert requests.get(f"{server.base}/health/live", timeout=WITHIN_S).status_code == 200
        ready(server, 503)
        database.start()
        ready(server, 200)
        assert listed(server, headers) == ["1.2.9.0", "1.2.9.1", "1.2.9.2"]
        assert store(server, headers, 7).status_code == 200


def test_a_start_without_its_database_is_one_line(database: PostgreSQL, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LIGHTBOX_DATABASE_URL", database.url("nowhere"))
    started = run_lightbox("serve", "--data", str(tmp_path / "data"), "--port", "0")
    assert started.returncode == 1
    assert len(started.stderr.splitlines()) == 1, started.stderr
    database.stop()
    started = run_lightbox("serve", "--data", str(tmp_path / "data"), "--port", "0")
    assert (started.returncode, started.stderr) == (1, "lightbox: The database does not answer.\n")
