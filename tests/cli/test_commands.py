"""The command contract: what scripts and engineers rely on."""

import asyncio
import os
import time
from io import BytesIO
from pathlib import Path

import pydicom
from databases import settings_at
from files import part10
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from servers import lightbox, run_lightbox, running_server

from archive.cli.opening import open_archive
from archive.ingest import remove_unnamed
from archive.store.files import FileStore


def bare_dataset() -> bytes:
    """An instance as old programs wrote it: implicit VR, no preamble, no meta information."""
    dataset = pydicom.dcmread(BytesIO(part10()))
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = True, True
    write_dataset(target, dataset)
    return bytes(target.getvalue())


def a_disc(folder: Path) -> Path:
    """A folder with three instances under odd names, one a bare dataset, and three files that cannot be taken."""
    (folder / "DIR 1" / "sub").mkdir(parents=True)
    (folder / "DIR 1" / "IM0001").write_bytes(part10())
    (folder / "DIR 1" / "sub" / "ünïcode.jpg").write_bytes(part10())
    (folder / "DIR 1" / "BARE").write_bytes(bare_dataset())
    (folder / "AUTORUN.INF").write_bytes(b"[autorun]")
    (folder / "EMPTY").touch()
    (folder / "cut.dcm").write_bytes(part10()[:-2])
    return folder


def test_import_takes_what_is_dicom_and_names_what_it_refused_and_why(tmp_path: Path) -> None:
    disc = a_disc(tmp_path / "disc")
    first = run_lightbox("import", "--data", str(tmp_path / "data"), str(disc))
    assert first.returncode == 1
    assert "3 new" in first.stdout
    assert "2 refused" in first.stdout
    assert "1 files of the disc's own viewer, web pages and pictures were skipped" in first.stdout
    assert "EMPTY: The file is empty" in first.stdout
    assert "cut.dcm: The file is cut short" in first.stdout
    assert "6/6" in first.stderr, "Progress goes to standard error."


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    disc = a_disc(tmp_path / "disc")
    run_lightbox("import", "--data", str(tmp_path / "data"), str(disc))
    again = run_lightbox("import", "--data", str(tmp_path / "data"), str(disc))
    assert "0 new" in again.stdout
    assert "3 already there" in again.stdout


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = run_lightbox("import", "--data", str(tmp_path / "data"), str(tmp_path / "nowhere"))
    assert missing.returncode == 2
    assert "is not there" in missing.stderr


def test_verify_finds_a_changed_byte_names_the_instance_and_sets_the_file_aside(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "one.dcm").write_bytes(part10(SOPInstanceUID="1.2.3.4.5.6"))
    lightbox("import", "--data", str(data), str(tmp_path / "one.dcm"))
    assert run_lightbox("verify", "--data", str(data)).returncode == 0
    (blob,) = [path for path in (data / "store" / "blobs").rglob("*") if path.is_file()]
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    found = run_lightbox("verify", "--data", str(data))
    assert found.returncode == 1
    assert "1.2.3.4.5.6" in found.stdout
    assert not blob.exists()
    assert len(list((data / "store" / "quarantine").iterdir())) == 1
    lightbox("import", "--data", str(data), str(tmp_path / "one.dcm"))
    assert run_lightbox("verify", "--data", str(data)).returncode == 0, "Sending it again heals it."


def test_a_second_server_on_the_same_data_does_not_start_and_changes_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path / "data"):
        second = run_lightbox("serve", "--data", str(tmp_path / "data"), "--port", "0")
        assert second.returncode == 1
        assert "Another server is running" in second.stderr


def test_token_and_share_print_just_the_token_and_the_link(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    (tmp_path / "one.dcm").write_bytes(part10())
    lightbox("import", "--data", data, str(tmp_path / "one.dcm"))
    assert len(lightbox("token", "create", "--data", data, "--role", "read", "viewer").split()) == 1
    link = lightbox("share", "create", "--data", data, "--public-base", "https://images.example.org", "1.2.3")
    assert link.startswith("https://images.example.org/s/")
    assert "#" in link
    assert "viewer" in lightbox("token", "list", "--data", data)
    assert "active" in lightbox("share", "list", "--data", data)


def test_a_share_of_a_study_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused = run_lightbox("share", "create", "--data", str(tmp_path / "data"), "9.9.9")
    assert refused.returncode == 1
    assert refused.stdout == ""


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    wrong = run_lightbox("serve", "--data", str(tmp_path / "data"), "--port", "70000")
    assert wrong.returncode == 2
    assert "port" in wrong.stderr


def test_several_workers_serve_on_one_port(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--workers", "2") as server:
        assert server.token("read")


def test_verify_removes_an_old_blob_that_nothing_names_and_keeps_a_young_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "one.dcm").write_bytes(part10())
    lightbox("import", "--data", str(data), str(tmp_path / "one.dcm"))
    store = FileStore(data / "store")
    for content, age_s in ((b"old orphan", 7200), (b"young orphan", 0)):
        draft = store.begin()
        draft.write(content)
        digest = draft.seal()
        draft.keep()
        os.utime(store.path_of(digest), (time.time() - age_s,) * 2)
    named = next(digest for digest in store.digests() if store.path_of(digest).read_bytes()[128:132] == b"DICM")
    os.utime(store.path_of(named), (0, 0))
    assert "1 files that nothing names were removed" in lightbox("verify", "--data", str(data))
    assert {store.path_of(digest).read_bytes()[:5] for digest in store.digests()} == {b"young", b"\0" * 5}


async def test_a_blob_that_was_named_since_it_was_listed_is_not_swept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "one.dcm").write_bytes(part10())
    await asyncio.to_thread(lightbox, "import", "--data", str(data), str(tmp_path / "one.dcm"))
    async with open_archive(settings_at(data)) as archive:
        (digest,) = archive.store.digests()
        assert not await archive.database.write_batch(remove_unnamed, archive.store, digest)
        archive.store.check(digest)


def test_nobody_else_on_the_machine_can_read_what_is_stored(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(part10())
    lightbox("import", "--data", str(tmp_path / "data"), str(tmp_path / "one.dcm"))
    made = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert [path for path in made if path.stat().st_mode & 0o077] == []
