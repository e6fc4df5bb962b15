"""Files that no row names are removed, once nobody can be about to name them."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest
from files import part10
from servers import lightbox, running_server

from archive.cli.opening import is_storing, open_archive
from archive.config import Settings
from archive.identifiers import Digest
from archive.index.inventory import find_named_blobs
from archive.jobs.sweep import sweep
from archive.store.files import FileStore

NAMED = part10(StudyInstanceUID="1.2.90", SOPInstanceUID="1.2.90.1")


def blobs(data: Path) -> set[str]:
    return {path.name for path in (data / "store" / "blobs").glob("*/*")}


def orphan(data: Path, content: bytes, age_s: float) -> Digest:
    """A file of the store that no row names, as a crash leaves one."""
    store = FileStore(data / "store")
    draft = store.begin()
    draft.write(content)
    digest = draft.seal()
    draft.keep()
    written_s = time.time() - age_s
    os.utime(store.path_of(digest), (written_s, written_s))
    return digest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive of one instance, and one that was deleted and can be restored."""
    disc = tmp_path / "disc"
    disc.mkdir()
    for number, content in enumerate((NAMED, part10(StudyInstanceUID="1.2.91", SOPInstanceUID="1.2.91.1"))):
        (disc / f"IM{number}").write_bytes(content)
    lightbox("import", "--data", str(tmp_path / "data"), str(disc))
    lightbox("delete", "--data", str(tmp_path / "data"), "1.2.91")
    return tmp_path / "data"


@pytest.mark.sqlite
async def test_only_what_is_old_and_has_no_row_is_swept(data: Path) -> None:
    named = await asyncio.to_thread(blobs, data)
    old, young = orphan(data, b"old", age_s=100), orphan(data, b"young", age_s=0)
    async with open_archive(Settings(data=data)) as archive:
        assert len(await archive.database.read(find_named_blobs)) == 2
        assert await sweep(archive.database, archive.store, time.time() - 50) == 1
        assert blobs(data) == named | {young}
        assert old not in blobs(data)


@pytest.mark.sqlite
def test_what_a_dead_server_left_is_gone_soon_after_the_start(data: Path) -> None:
    named = blobs(data)
    orphan(data, b"left by a server that was killed", age_s=1)
    with running_server(data):
        deadline_s = time.monotonic() + 30
        while blobs(data) != named:
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.05)


async def test_what_a_command_may_be_about_to_name_is_known(data: Path) -> None:
    settings = Settings(data=data)
    assert not is_storing(settings)
    async with open_archive(settings):
        assert is_storing(settings)
    assert not is_storing(settings)
