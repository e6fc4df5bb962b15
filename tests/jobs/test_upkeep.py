"""Upkeep of a whole archive by its commands: read again, made anew, copied, brought back."""

import json
import threading
from pathlib import Path

import pytest
import requests
from files import part10, real_files, related
from servers import Server, lightbox, run_lightbox, running_server

STUDY = "1.2.77.5"


def instance(number: int) -> bytes:
    return part10(StudyInstanceUID=STUDY, SOPInstanceUID=f"{STUDY}.{number}", InstanceNumber=number)


def imported(data: Path, *files: bytes) -> None:
    folder = data.with_name(f"{data.name}-disc")
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(files):
        (folder / f"IM{number}").write_bytes(content)
    taken = run_lightbox("import", "--data", str(data), str(folder))
    assert taken.returncode in (0, 1), taken.stderr  # 1: some were refused, as a second instance under one UID is


def blob_of(data: Path, content: bytes) -> Path:
    return next(
        path for path in (data / "store" / "blobs").rglob("*") if path.is_file() and path.read_bytes() == content
    )


def change_a_byte(path: Path) -> None:
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_the_index_made_anew_from_the_files_says_what_the_served_one_says(tmp_path: Path) -> None:
    data = tmp_path / "data"
    imported(data, *(path.read_bytes() for path in real_files()))
    done = run_lightbox("reindex", "--data", str(data), "--into", str(tmp_path / "new.sqlite"), "--compare")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The two indexes say the same." in done.stdout


def test_an_index_that_lost_an_instance_is_told_from_its_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    imported(data, instance(1), instance(2))
    blob_of(data, instance(2)).unlink()
    done = run_lightbox("reindex", "--data", str(data), "--into", str(tmp_path / "new.sqlite"), "--compare")
    assert done.returncode == 1
    assert f"instance {STUDY}.2" in done.stdout
    again = run_lightbox("reindex", "--data", str(data), "--into", str(tmp_path / "new.sqlite"))
    assert again.returncode == 2, "a database that is there is not written over"


def test_what_was_deleted_does_not_come_back_by_reindexing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    imported(data, instance(1), instance(2))
    lightbox("delete", "--data", str(data), STUDY, "--series", "1.2.3.4", "--instance", f"{STUDY}.2")
    done = run_lightbox("reindex", "--data", str(data), "--into", str(tmp_path / "new.sqlite"), "--compare")
    assert done.returncode == 0, done.stdout


def test_copies_of_a_share_without_a_name_are_no_studies_of_a_new_index(tmp_path: Path) -> None:
    data, new = tmp_path / "data", tmp_path / "new.sqlite"
    imported(data, instance(1))
    with running_server(data) as server:
        server.share(STUDY, "--without-name")
        while len([path for path in (data / "store" / "blobs").rglob("*") if path.is_file()]) < 2:
            threading.Event().wait(0.05)  # the copy is made within a second or two
    done = run_lightbox("reindex", "--data", str(data), "--into", str(new), "--compare")
    assert done.returncode == 0, done.stdout
    assert "1 files read" in done.stdout


def test_a_backup_made_while_storing_goes_on_is_an_archive_without_a_fault(tmp_path: Path) -> None:
    data, copy, again = tmp_path / "data", tmp_path / "copy", tmp_path / "again"
    with running_server(data) as server:
        token = server.token("admin")
        store(server, token, *(instance(number) for number in range(1, 21)))
        stopped = threading.Event()
        storing = threading.Thread(target=keep_storing, args=(server, token, stopped))
        storing.start()
        try:
            created = run_lightbox("backup", "create", "--data", str(data), "--to", str(copy))
        finally:
            stopped.set()
            storing.join()
        assert created.returncode == 0, created.stdout + created.stderr
    assert run_lightbox("backup", "restore", "--from", str(copy), "--data", str(again)).returncode == 0
    assert run_lightbox("verify", "--data", str(again)).returncode == 0
    compared = run_lightbox("reindex", "--data", str(again), "--into", str(tmp_path / "new.sqlite"), "--compare")
    assert compared.returncode == 0, compared.stdout
    with running_server(again) as server:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/dicom; transfer-syntax=*"}
        for number in range(1, 21):
            path = f"/studies/{STUDY}/series/1.2.3.4/instances/{STUDY}.{number}"
            assert requests.get(server.dicomweb + path, headers=headers, timeout=30).status_code == 200


def store(server: Server, token: str, *files: bytes) -> None:
    body, content_type = related(list(files))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    answer = requests.post(f"{server.dicomweb}/studies", data=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def keep_storing(server: Server, token: str, stopped: threading.Event) -> None:
    number = 1000
    while not stopped.is_set():
        store(server, token, instance(number), instance(number + 1))
        number += 2


def test_a_second_backup_copies_only_what_is_new_and_tells_of_damage(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    imported(data, instance(1))
    assert "1 files, 1 of them new" in lightbox("backup", "create", "--data", str(data), "--to", str(copy))
    imported(data, instance(1), instance(2), instance(3))
    change_a_byte(blob_of(data, instance(3)))
    second = run_lightbox("backup", "create", "--data", str(data), "--to", str(copy))
    assert second.returncode == 1
    assert "3 files, 1 of them new, 1 instances missing or damaged." in second.stdout
    assert f"{STUDY}.3" in second.stdout


def test_who_had_a_session_begins_anew_in_a_backup_and_living_links_are_counted(tmp_path: Path) -> None:
    data, copy, again = tmp_path / "data", tmp_path / "copy", tmp_path / "again"
    imported(data, instance(1))
    with running_server(data) as server:
        link = server.share(STUDY)
        share_id, secret = link.split("/s/")[1].split("#")
        opened = requests.post(f"{server.base}/api/s/{share_id}/open", json={"secret": secret}, timeout=30)
        assert opened.status_code == 200
        assert run_lightbox("backup", "create", "--data", str(data), "--to", str(copy)).returncode == 0
    restored = run_lightbox("backup", "restore", "--from", str(copy), "--data", str(again))
    assert "1 links live" in restored.stdout
    with running_server(again) as server:
        root = f"{server.base}/s/{share_id}/dicom-web/studies"
        assert requests.get(root, cookies=opened.cookies.get_dict(), timeout=30).status_code == 401


def test_where_all_was_deleted_a_new_index_is_empty(tmp_path: Path) -> None:
    data = tmp_path / "data"
    imported(data, instance(1))
    lightbox("delete", "--data", str(data), STUDY)
    done = run_lightbox("reindex", "--data", str(data), "--into", str(tmp_path / "new.sqlite"), "--compare")
    assert (done.returncode, "0 files read" in done.stdout) == (0, True), done.stdout


def test_a_backup_is_not_brought_back_over_an_archive(tmp_path: Path) -> None:
    data = tmp_path / "data"
    imported(data, instance(1))
    lightbox("backup", "create", "--data", str(data), "--to", str(tmp_path / "copy"))
    refused = run_lightbox("backup", "restore", "--from", str(tmp_path / "copy"), "--data", str(data))
    assert refused.returncode == 1
    assert "already" in refused.stderr
    empty = run_lightbox("backup", "restore", "--from", str(tmp_path / "nowhere"), "--data", str(tmp_path / "new"))
    assert "no finished backup" in empty.stderr


def test_verify_goes_on_where_it_was_stopped_and_begins_anew_when_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    imported(data, *(instance(number) for number in range(1, 6)))
    digests = sorted(path.name for path in (data / "store" / "blobs").rglob("*") if path.is_file())
    stopped = {"position": digests[2], "started_s": 1.0, "completed_s": 0.0, "damaged": []}
    (data / "verify.json").write_text(json.dumps(stopped))
    assert "2 instances checked" in lightbox("verify", "--data", str(data))
    assert "5 instances checked" in lightbox("verify", "--data", str(data)), "a round that is over begins anew"
    (data / "verify.json").write_text(json.dumps(stopped))
    assert "5 instances checked" in lightbox("verify", "--data", str(data), "--restart", "--rate-mb-s", "50")


def test_the_server_reads_everything_by_itself_sets_damage_aside_and_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    imported(data, instance(1), instance(2))
    first, other = sorted((1, 2), key=lambda number: blob_of(data, instance(number)).name)
    damaged = blob_of(data, instance(first))  # it is read at once, the other when its share of the month is over
    change_a_byte(damaged)
    with running_server(data) as server:
        wait_for(server, "damaged", 1)
        assert not damaged.exists()
        token = server.token("read")
        path = f"/studies/{STUDY}/series/1.2.3.4/instances/{STUDY}."
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/dicom"}
        assert requests.get(f"{server.dicomweb}{path}{other}", headers=headers, timeout=30).status_code == 200
        assert requests.get(f"{server.dicomweb}{path}{first}", headers=headers, timeout=30).status_code >= 500
    assert damaged.name in (tmp_path / "data.log").read_text()


def wait_for(server: Server, what: str, value: int) -> None:
    """Until the server's health says so; a test that waits in vain ends by its own limit."""
    for _ in range(600):
        found = requests.get(f"{server.base}/health/ready", timeout=10).json()["scrub"]
        if found[what] == value:
            return
        threading.Event().wait(0.1)
    pytest.fail(f"{what} did not become {value}: {found}")
