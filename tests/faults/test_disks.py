"""Disks that are full or read-only, as people see them: a plain word, reads go on, and all is well when there is room.

The disks are small file systems in memory, so these tests run as root, as `make test` does.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from files import part10, related
from servers import Server, lightbox, run_lightbox, running_server

STUDY = "1.2.33"
OUT_OF_RESOURCES = 0xA700
MIB = 1 << 20


class Disk:
    """A file system in memory at a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, *options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(self.folder)], check=True)

    def change(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.folder)], check=True)

    def free_bytes(self) -> int:
        told = os.statvfs(self.folder)
        return told.f_bavail * told.f_frsize


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Disk]:
    folder.mkdir(parents=True, exist_ok=True)
    made = Disk(folder)
    made.mount(f"size={size}")
    try:
        yield made
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Client:
    """Somebody who stores and reads."""

    def __init__(self, server: Server) -> None:
        self.base = server.dicomweb
        self.headers = {"Authorization": f"Bearer {server.token('admin')}"}

    def store(self, number: int, length_bytes: int = 64) -> requests.Response:
        body, content_type = related([instance(number, length_bytes)])
        headers = self.headers | {"Content-Type": content_type}
        return requests.post(f"{self.base}/studies", data=body, headers=headers, timeout=60)

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"{self.base}{path}", headers={**self.headers, **headers}, timeout=60)

    def file(self, number: int) -> requests.Response:
        path = f"/studies/{STUDY}/series/1.2.3.4/instances/{STUDY}.{number}"
        return self.get(path, Accept="application/dicom; transfer-syntax=*")

    def listed(self) -> list[int]:
        rows: Any = self.get(f"/studies/{STUDY}/instances?limit=1000").json()
        return sorted(int(row["00080018"]["Value"][0].rpartition(".")[2]) for row in rows)

    def fill(self, length_bytes: int) -> tuple[list[int], requests.Response]:
        """Store until there is no room; the numbers that were acknowledged, and the refusal."""
        stored = []
        for number in range(1, 200):
            answer = self.store(number, length_bytes)
            if answer.status_code != 200:
                return stored, answer
            stored.append(number)
        raise AssertionError("The disk was never full.")


def instance(number: int, length_bytes: int = 64) -> bytes:
    pixels = number.to_bytes(2, "little") * (length_bytes // 2)
    return part10(
        StudyInstanceUID=STUDY,
        SOPInstanceUID=f"{STUDY}.{number}",
        InstanceNumber=number,
        Rows=length_bytes // 64,
        Columns=64,
        PixelData=pixels,
    )


def drafts(server: Server) -> list[Path]:
    return list((server.data / "store" / "drafts").iterdir())


def reasons(answer: requests.Response) -> set[int]:
    module = answer.json()
    items = [item for tag in ("00081198", "0008119A") if tag in module for item in module[tag]["Value"]]
    return {item["00081197"]["Value"][0] for item in items}


def assert_all_is_there(client: Client, stored: list[int], length_bytes: int) -> None:
    """What was acknowledged is listed, can be had and is drawn, and nothing else is listed."""
    assert client.listed() == stored
    for number in (stored[0], stored[-1]):
        digest = hashlib.sha256(instance(number, length_bytes)).hexdigest()
        assert hashlib.sha256(client.file(number).content).hexdigest() == digest
    drawn = client.get(f"/studies/{STUDY}/series/1.2.3.4/instances/{STUDY}.{stored[0]}/rendered", Accept="image/jpeg")
    assert drawn.content.startswith(b"\xff\xd8")


def test_a_full_store_refuses_with_a700_reads_on_and_stores_again_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_RESERVE_BYTES", "0")
    with disk(tmp_path / "data" / "store", "6m") as full, running_server(tmp_path / "data") as server:
        client = Client(server)
        stored, refused = client.fill(MIB)
        assert (refused.status_code, reasons(refused)) == (507, {OUT_OF_RESOURCES})
        assert drafts(server) == []
        assert_all_is_there(client, stored, MIB)
        full.change("size=64m")
        number = stored[-1] + 1
        assert client.store(number, MIB).status_code == 200
        assert_all_is_there(client, [*stored, number], MIB)


def test_room_is_kept_for_the_trail_so_that_one_disk_for_all_fills_up_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_RESERVE_BYTES", str(8 * MIB))
    with disk(tmp_path / "data", "24m") as full, running_server(tmp_path / "data") as server:
        client = Client(server)
        stored, refused = client.fill(MIB)
        assert (refused.status_code, reasons(refused)) == (507, {OUT_OF_RESOURCES})
        assert full.free_bytes() > 4 * MIB
        assert_all_is_there(client, stored, MIB)
        assert server.share(STUDY).startswith("http"), "a link can still be made"
        full.change("size=64m")
        assert client.store(stored[-1] + 1, MIB).status_code == 200


def test_a_full_disk_of_the_database_acknowledges_nothing_and_all_is_well_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTBOX_RESERVE_BYTES", "0")
    data = tmp_path / "data"
    with disk(data, "32m") as full, disk(data / "store", "64m"), running_server(data) as server:
        client = Client(server)
        assert client.store(1).status_code == 200
        filler = data / "filler"
        filler.write_bytes(bytes(full.free_bytes()))
        stored = [1]
        refused = None
        for number in range(2, 400):
            answer = client.store(number, 64)
            if answer.status_code != 200:
                refused = answer
                break
            stored.append(number)
        assert refused is not None
        assert (refused.status_code, reasons(refused)) == (507, {OUT_OF_RESOURCES})
        assert requests.get(f"{server.base}/health/live", timeout=10).status_code == 200
        read = client.file(1)  # it is read only where the trail can be written
        assert read.status_code in (200, 507)
        filler.unlink()
        assert client.listed() == stored
        assert client.file(1).content == instance(1)
        assert client.store(stored[-1] + 1).status_code == 200
        assert client.listed() == [*stored, stored[-1] + 1]


def test_a_store_that_became_read_only_refuses_to_store_and_reads_on(tmp_path: Path) -> None:
    with disk(tmp_path / "data" / "store", "400m") as store, running_server(tmp_path / "data") as server:
        client = Client(server)
        assert client.store(1, MIB).status_code == 200
        store.change("ro")
        refused = client.store(2, MIB)
        assert refused.status_code in (409, 503, 507)
        assert "store" not in refused.text.lower() or str(tmp_path) not in refused.text
        assert_all_is_there(client, [1], MIB)
        store.change("rw")
        assert client.store(2, MIB).status_code == 200


def test_a_read_only_data_folder_is_refused_at_the_start_in_a_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with disk(data, "400m") as all_of_it:
        with running_server(data) as server:
            assert Client(server).store(1).status_code == 200
        all_of_it.change("ro")
        started = run_lightbox("serve", "--data", str(data), "--port", "0")
        assert started.returncode == 1
        assert "Read-only file system" in started.stderr
        assert len(started.stderr.splitlines()) == 1, started.stderr
        all_of_it.change("rw")
        assert "1 instances checked, 0 damaged" in lightbox("verify", "--data", str(data))
