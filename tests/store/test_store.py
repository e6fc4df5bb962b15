"""One suite for every store: what was kept comes back, and only that."""

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from archive.errors import StoreError, StoreUnreachableError
from archive.identifiers import Digest
from archive.instances import Span
from archive.store.contract import Store
from archive.store.derived import Derived
from archive.store.files import FileStore
from archive.store.memory import MemoryStore
from archive.store.objects import Bucket, ObjectStore


@pytest.fixture(params=["files", "memory", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "objects":
        bucket: Bucket = request.getfixturevalue("bucket")
        return ObjectStore(replace(bucket, url=f"{bucket.url}/{tmp_path.name}"), tmp_path, 1 << 30)
    return FileStore(tmp_path) if request.param == "files" else MemoryStore(tmp_path)


def keep(store: Store, *chunks: bytes) -> Digest:
    draft = store.begin()
    for chunk in chunks:
        draft.write(chunk)
    digest = draft.seal()
    draft.keep()
    return digest


def test_a_kept_blob_comes_back_byte_for_byte_under_its_sha256(store: Store) -> None:
    digest = keep(store, b"head", b"tail")
    assert digest == hashlib.sha256(b"headtail").hexdigest()
    with store.contents(digest) as data:
        assert bytes(data) == b"headtail"
    assert store.path_of(digest).read_bytes() == b"headtail"
    assert store.read(digest, Span(2, 4)) == b"adta"


def test_an_empty_blob_can_be_kept(store: Store) -> None:
    with store.contents(keep(store)) as data:
        assert bytes(data) == b""


def test_a_sealed_draft_can_be_read_before_it_is_kept_and_discarding_leaves_nothing(store: Store) -> None:
    draft = store.begin()
    draft.write(b"abc")
    digest = draft.seal()
    with draft.contents() as data:
        assert bytes(data) == b"abc"
    draft.discard()
    draft.discard()
    assert list(store.digests()) == []
    with pytest.raises(StoreError):
        store.path_of(digest)


def test_a_draft_that_was_not_sealed_cannot_be_kept(store: Store) -> None:
    draft = store.begin()
    draft.write(b"abc")
    with pytest.raises(ValueError, match="sealed"):
        draft.keep()


def test_keeping_the_same_bytes_twice_keeps_one_blob(store: Store) -> None:
    assert keep(store, b"same") == keep(store, b"sa", b"me")
    assert len(list(store.digests())) == 1


def test_a_range_past_the_end_is_an_error_not_a_short_answer(store: Store) -> None:
    digest = keep(store, b"12345")
    with pytest.raises(StoreError):
        store.read(digest, Span(3, 3))


def test_a_missing_blob_is_an_error_on_every_way_in(store: Store) -> None:
    digest = Digest("0" * 64)
    with pytest.raises(StoreError):
        store.read(digest, Span(0, 1))
    with pytest.raises(StoreError), store.contents(digest):
        pass
    with pytest.raises(StoreError):
        store.check(digest)


def test_removing_forgets_the_blob_and_may_be_repeated(store: Store) -> None:
    digest = keep(store, b"gone")
    store.remove(digest)
    store.remove(digest)
    assert list(store.digests()) == []


def damage(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"X")


def test_damage_is_found_quarantined_and_healed_by_storing_again(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = keep(store, b"precious")
    store.check(digest)
    damage(store.path_of(digest))
    with pytest.raises(StoreError):
        store.check(digest)
    store.quarantine(digest)
    assert list(store.digests()) == []
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    keep(store, b"precious")
    store.check(digest)


def test_storing_again_over_a_damaged_blob_heals_it(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = keep(store, b"precious")
    damage(store.path_of(digest))
    keep(store, b"precious")
    store.check(digest)


def test_what_an_unfinished_write_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / ("a" * 32)).write_bytes(b"half, of a process that is gone")
    store = FileStore(tmp_path)
    assert store.clear_drafts() == 1
    assert list((tmp_path / "drafts").iterdir()) == []


def test_settling_syncs_the_folder_of_every_blob(tmp_path: Path) -> None:
    store, synced = FileStore(tmp_path), []
    digests = [keep(store, bytes([number])) for number in range(5)]
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    with patch("os.fsync", note):
        store.settle(digests)
    assert set(synced) == {store.path_of(digest).parent for digest in digests}


def test_bytes_are_read_into_their_place_and_a_short_blob_is_told(store: Store) -> None:
    digest, place = keep(store, b"abcdef"), bytearray(4)
    store.read_into(digest, 1, memoryview(place))
    assert place == b"bcde"
    with pytest.raises(StoreError, match="shorter"):
        store.read_into(digest, 4, memoryview(place))


def test_a_draft_that_is_still_being_written_is_not_cleared(tmp_path: Path) -> None:
    living = FileStore(tmp_path).begin()
    living.write(b"on its way")
    assert FileStore(tmp_path).clear_drafts() == 0
    digest = living.seal()
    living.keep()
    FileStore(tmp_path).check(digest)


def test_sound_bytes_are_not_set_aside_for_a_damage_that_was_healed_meanwhile(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = keep(store, b"precious")
    store.quarantine(digest)
    store.check(digest)
    assert list((tmp_path / "quarantine").iterdir()) == []


def test_every_folder_for_blobs_is_there_before_the_first_blob(tmp_path: Path) -> None:
    FileStore(tmp_path)
    assert len(list((tmp_path / "blobs").iterdir())) == 256


def test_a_blob_is_synced_before_it_gets_its_name_and_its_name_is_synced_when_it_settles(tmp_path: Path) -> None:
    store, events = FileStore(tmp_path), []
    sync, rename = os.fsync, os.rename

    def note_sync(descriptor: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().parent.name))
        sync(descriptor)

    def note_rename(source: str, target: str) -> None:
        events.append(("rename", Path(target).parent.parent.name))
        rename(source, target)

    with patch("os.fsync", note_sync), patch("os.rename", note_rename):
        store.settle([keep(store, b"precious")])
    assert events == [("sync", "drafts"), ("rename", "blobs"), ("sync", "blobs")]


def test_a_fault_that_says_nothing_of_the_bytes_is_no_damage(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = keep(store, b"sound")
    with patch("archive.store.files._digest_of", side_effect=OSError(errno.EMFILE, "Too many open files")):
        with pytest.raises(StoreUnreachableError):
            store.check(digest)
        with pytest.raises(StoreUnreachableError):
            store.quarantine(digest)
    store.check(digest)
    with patch("archive.store.files._digest_of", side_effect=OSError(errno.EIO, "Input/output error")):
        with pytest.raises(StoreError, match="any more"):
            store.check(digest)
        store.quarantine(digest)
    with pytest.raises(StoreError, match="missing"):
        store.check(digest)


def test_what_was_made_of_a_blob_goes_with_it_and_of_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "derived"
    store = FileStore(tmp_path / "store", Derived((folder, tmp_path / "not there")))
    kept, gone = keep(store, b"one"), keep(store, b"two")
    for digest in (kept, gone):
        place = folder / digest[:2] / digest
        place.mkdir(parents=True)
        (place / "picture").write_bytes(b"a face")
    store.remove(gone)
    assert [path.parent.name for path in folder.rglob("picture")] == [kept]
    store.remove_derived(kept)
    assert not list(folder.rglob("picture"))
    assert store.read(kept, Span(0, 3)) == b"one"
