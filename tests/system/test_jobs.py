"""Jobs in real processes: nothing is lost when workers are killed, and a server does what is queued beside it."""

import re
from pathlib import Path

import requests
from files import part10
from job_rounds import job_round
from servers import lightbox, run_lightbox, running_server

UNITS = 300


def test_all_is_done_and_counted_once_though_workers_are_killed(tmp_path: Path) -> None:
    figures = job_round(tmp_path, UNITS, lease_s=2.0)
    assert figures.faults == [], figures.text()
    assert len(figures.killed_at) == 2
    assert all(done < UNITS for done in figures.killed_at), figures.text()
    assert sum(figures.held_by_killed) > 0


def test_a_server_does_what_is_put_into_the_queue(tmp_path: Path) -> None:
    (tmp_path / "disc").mkdir()
    for number in range(5):
        (tmp_path / "disc" / f"IM{number}").write_bytes(part10(SOPInstanceUID=f"1.2.3.4.{number}"))
    data = tmp_path / "data"
    with running_server(data, "--workers", "2") as server:
        done = run_lightbox("jobs", "add", "import", "--data", str(data), "--wait", str(tmp_path / "disc"))
        assert (done.returncode, done.stdout.split()[:1]) == (0, ["1"]), done.stderr
        assert "new: 5" in done.stdout
        assert "5/5" in done.stderr, "The bar goes to standard error."
        headers = {"Authorization": f"Bearer {server.token('read')}"}
        found = requests.get(f"{server.dicomweb}/studies/1.2.3/instances", headers=headers, timeout=30).json()
        assert len(found) == 5


def test_a_server_without_workers_leaves_the_queue_to_others(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LIGHTBOX_JOB_WORKERS", "0")
    (tmp_path / "one.dcm").write_bytes(part10())
    data = tmp_path / "data"
    lightbox("import", "--data", str(data), str(tmp_path / "one.dcm"))
    with running_server(data) as server:
        lightbox("jobs", "add", "verify", "--data", str(data))
        assert "verify\twaiting" in lightbox("jobs", "list", "--data", str(data))
        lightbox("jobs", "work", "--data", str(data))
        assert re.search(r"verify\tdone\t1 of 1", lightbox("jobs", "list", "--data", str(data)))
        assert server.process.poll() is None
