"""A database that is locked or damaged, a decoder that stands still, a sync that fails: what people see of it."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from files import part10, related
from pydicom.data import get_testdata_file
from servers import Server, run_lightbox, running_server

from conformance.bench.processes import family

STUDY = "1.2.44"
PROCESSING_FAILURE = 0x0110
WITHIN_S = 60.0


def instance(number: int) -> bytes:
    return part10(StudyInstanceUID=STUDY, SOPInstanceUID=f"{STUDY}.{number}", InstanceNumber=number)


def store(server: Server, headers: dict[str, str], *files: bytes) -> requests.Response:
    body, content_type = related(list(files))
    headers = headers | {"Content-Type": content_type}
    return requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=WITHIN_S)


def listed(server: Server, headers: dict[str, str]) -> list[str]:
    answer = requests.get(f"{server.dicomweb}/studies/{STUDY}/instances", headers=headers, timeout=WITHIN_S)
    assert answer.status_code == 200
    return sorted(row["00080018"]["Value"][0] for row in answer.json())


def signed_in(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token('admin')}"}


@contextmanager
def traced(server: Server, *options: str) -> Iterator[Path]:
    """The server under strace; the trace is whole when the block is left."""
    trace, told = server.data.parent / "trace", server.data.parent / "strace.txt"
    command = ["strace", "-f", "-yy", "-s", "16", "-o", str(trace), *options, "-p", str(server.process.pid)]
    with told.open("wb") as file, subprocess.Popen(command, stderr=file) as tracer:
        try:
            deadline_s = time.monotonic() + WITHIN_S
            while "attached" not in told.read_text():
                assert time.monotonic() < deadline_s
                assert tracer.poll() is None, told.read_text()
                time.sleep(0.02)
            yield trace
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)


def test_a_database_that_another_process_has_locked_is_503_and_all_goes_on_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_DATABASE_WAIT_S", "1")
    with running_server(tmp_path / "data") as server:
        headers = signed_in(server)
        assert store(server, headers, instance(1)).status_code == 200
        with closing(sqlite3.connect(server.data / "lightbox.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor(1) as threads:
                refused = threads.submit(store, server, headers, instance(2))
                assert requests.get(f"{server.base}/health/live", timeout=1).status_code == 200
                assert refused.result().status_code == 503
            assert int(refused.result().headers["Retry-After"]) >= 1
            assert refused.result().json()["code"] == "busy"
            other.execute("ROLLBACK")
        assert store(server, headers, instance(2)).status_code == 200
        assert listed(server, headers) == [f"{STUDY}.1", f"{STUDY}.2"]


@pytest.mark.parametrize("damaged_bytes", [slice(0, 100), slice(4096, None)], ids=["head", "pages"])
def test_a_damaged_database_says_what_to_do(tmp_path: Path, damaged_bytes: slice) -> None:
    with running_server(tmp_path / "data") as server:
        headers = signed_in(server)
        assert store(server, headers, instance(1)).status_code == 200
    for name in ("lightbox.sqlite-wal", "lightbox.sqlite-shm"):
        (server.data / name).unlink(missing_ok=True)
    content = bytearray((server.data / "lightbox.sqlite").read_bytes())
    content[damaged_bytes] = b"\xa5" * len(content[damaged_bytes])
    (server.data / "lightbox.sqlite").write_bytes(content)
    started = run_lightbox("serve", "--data", str(server.data), "--port", "0", limit_s=WITHIN_S)
    assert started.returncode == 1
    assert "database is damaged" in started.stderr
    assert "lightbox reindex" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_database_that_is_damaged_at_work_fails_what_needs_it_and_says_what_to_do(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        headers = signed_in(server)
        assert store(server, headers, *map(instance, range(1, 40))).status_code == 200
        path = server.data / "lightbox.sqlite"
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            page = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'instances'").fetchone()[0]
            size = database.execute("PRAGMA page_size").fetchone()[0]
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)
        answer = requests.get(f"{server.dicomweb}/studies/{STUDY}/instances", headers=headers, timeout=WITHIN_S)
        assert (answer.status_code, answer.json()["code"]) == (500, "store-error")
        assert "lightbox reindex" in answer.json()["message"]
        assert requests.get(f"{server.base}/health/live", timeout=10).status_code == 200
        deadline_s = time.monotonic() + WITHIN_S  # readiness may tell what was so some seconds ago
        while requests.get(f"{server.base}/health/ready", timeout=30).status_code != 503:
            assert time.monotonic() < deadline_s
            time.sleep(0.2)


def test_decoders_that_stand_still_cost_only_their_own_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_FRAME_TIMEOUT_S", "2")
    monkeypatch.setenv("LIGHTBOX_CODEC_WORKERS", "1")
    data = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()
    with running_server(tmp_path / "data") as server:
        headers = signed_in(server)
        answer = store(server, headers, data)
        address = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]

        def drawn(side: int) -> int:
            url = f"{address}/rendered?viewport={side},{side}"
            return requests.get(url, headers=headers, timeout=WITHIN_S).status_code

        assert drawn(50) == 200
        for decoder in family([server.process.pid]) - {server.process.pid}:
            os.kill(decoder, signal.SIGSTOP)
        began_s = time.monotonic()
        assert drawn(51) in (422, 503)
        assert drawn(52) == 200
        assert time.monotonic() - began_s < 15


@pytest.mark.parametrize("where", ["drafts", "lightbox.sqlite-wal"])
def test_a_sync_that_fails_is_a_store_that_failed(tmp_path: Path, where: str) -> None:
    with running_server(tmp_path / "data") as server:
        headers = signed_in(server)
        assert store(server, headers, instance(1)).status_code == 200
        # Only the database's file is named: drafts have other names each time, and are synced first.
        named = ["-P", str(server.data / where)] if where != "drafts" else []
        with traced(server, "-e", "inject=fsync,fdatasync:error=EIO", *named):
            refused = store(server, headers, instance(2))
        assert refused.status_code in (409, 500, 503)
        assert "00081199" not in refused.json(), "nothing is acknowledged"
        assert listed(server, headers) == [f"{STUDY}.1"]
        assert store(server, headers, instance(2)).status_code == 200
        assert listed(server, headers) == [f"{STUDY}.1", f"{STUDY}.2"]


def test_a_store_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    """Write to a draft, sync it, give it its name, sync the folder, sync the index's log, answer: R5."""
    with running_server(tmp_path / "data") as server:
        headers = signed_in(server)
        assert store(server, headers, instance(1)).status_code == 200
        calls = "trace=fsync,fdatasync,rename,write,writev,sendto,sendmsg,pwrite64"
        with traced(server, "-e", calls) as trace:
            assert store(server, headers, instance(2)).status_code == 200
        lines = trace.read_text().splitlines()
    steps = (
        r"write\(\d+</\S*/store/drafts/[0-9a-f]+>",
        r"fsync\(\d+</\S*/store/drafts/[0-9a-f]+>",
        r'rename\("',
        r"fsync\(\d+</\S*/store/blobs/[0-9a-f]{2}>",
        r"(fsync|fdatasync)\(\d+</\S*/lightbox\.sqlite-wal>",
        r"(write|writev|sendto|sendmsg)\(\d+<TCP:.*HTTP/1\.1 200",
    )
    places = [next((at for at, line in enumerate(lines) if re.search(step, line)), -1) for step in steps]
    assert -1 not in places, dict(zip(steps, places, strict=True))
    assert places == sorted(places), dict(zip(steps, places, strict=True))


def test_a_slow_disk_slows_stores_down_and_nobody_who_reads(tmp_path: Path) -> None:
    slow_s = 1.0
    with running_server(tmp_path / "data") as server:
        headers = signed_in(server)
        assert store(server, headers, instance(1)).status_code == 200
        file = f"{server.dicomweb}/studies/{STUDY}/series/1.2.3.4/instances/{STUDY}.1"
        as_stored = headers | {"Accept": "application/dicom"}

        def read() -> float:
            began_s = time.monotonic()
            assert requests.get(file, headers=as_stored, timeout=WITHIN_S).content == instance_1
            assert listed(server, headers)
            return time.monotonic() - began_s

        instance_1 = requests.get(file, headers=as_stored, timeout=WITHIN_S).content
        read()  # whoever reads is in the trail from here on
        syncs = ("-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:delay_enter={int(slow_s * 1e6)}")
        with traced(server, *syncs), ThreadPoolExecutor(1) as threads:
            began_s = time.monotonic()
            stored = threads.submit(store, server, headers, instance(2))
            took = [read()]
            while not stored.done():
                took.append(read())
            assert stored.result().status_code == 200
            assert time.monotonic() - began_s > slow_s, "it was acknowledged when it was on the disk"
        assert len(took) > 3
        assert sorted(took)[len(took) // 2] < slow_s / 2
        assert listed(server, headers) == [f"{STUDY}.1", f"{STUDY}.2"]
