"""Whether a server says truly that it can do its work."""

import sqlite3
import time

import pytest
import requests
from files import part10
from servers import running_server


def ready(server):
    return requests.get(f"{server.base}/health/ready", timeout=30)


def eventually(server, status):
    """The answer, once it has this status; what was found is remembered for a second."""
    deadline = time.monotonic() + 15
    while (answer := ready(server)).status_code != status and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_good_server_names_each_part_as_good(operated):
    found = ready(operated.server).json()
    assert found.pop("scrub")["damaged"] == 0
    assert found == {
        "status": "ready",
        "database": "ok",
        "store_writable": "ok",
        "store_readable": "ok",
    }


@pytest.mark.sqlite
def test_a_database_that_somebody_holds_locked_is_told_in_words_and_ends_by_itself(tmp_path):
    with running_server(tmp_path / "data") as server:
        holder = sqlite3.connect(tmp_path / "data" / "lightbox.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        found = eventually(server, 503)
        assert found["database"] == "The database cannot be read or written."
        assert found["store_writable"] == "ok"
        assert requests.get(f"{server.base}/health/live", timeout=5).status_code == 200
        holder.execute("ROLLBACK")
        holder.close()
        assert eventually(server, 200)["database"] == "ok"


def test_a_store_whose_files_are_gone_is_not_ready(tmp_path):
    data = tmp_path / "data"
    with running_server(data) as server:
        headers = {"Authorization": f"Bearer {server.token('admin')}", "Content-Type": "application/dicom"}
        assert requests.post(f"{server.dicomweb}/studies", data=part10(), headers=headers, timeout=30).ok
        (data / "store" / "blobs").rename(data / "store" / "away")
        found = eventually(server, 503)
        assert found["store_readable"] == "The files that were stored last cannot be found."
        assert "blobs" not in str(found)
        (data / "store" / "away").rename(data / "store" / "blobs")
        eventually(server, 200)


def test_a_store_that_cannot_be_written_is_not_ready(tmp_path):
    data = tmp_path / "data"
    with running_server(data) as server:
        drafts = data / "store" / "drafts"
        drafts.rename(data / "store" / "away")
        found = eventually(server, 503)
        assert found["store_writable"].startswith("The store cannot be written")
        (data / "store" / "away").rename(drafts)
        eventually(server, 200)
