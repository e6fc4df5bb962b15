"""Blobs in a bucket: this machine's cache, damage, a server that dies. The suite of all stores is beside this."""

import hashlib
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from object_server import object_server

from archive.errors import StoreError
from archive.identifiers import Digest
from archive.instances import Span
from archive.store.object_cache import KEPT_S, BlobCache
from archive.store.objects import Bucket, ObjectStore


def store_on(bucket: Bucket, folder: Path, cache_limit_bytes: int = 1 << 30) -> ObjectStore:
    return ObjectStore(replace(bucket, url=f"{bucket.url}/{folder.parent.name}"), folder, cache_limit_bytes)


def keep(store: ObjectStore, data: bytes) -> Digest:
    draft = store.begin()
    draft.write(data)
    digest = draft.seal()
    draft.keep()
    return digest


def test_another_machine_reads_what_one_has_stored_in_parts_and_whole(bucket: Bucket, tmp_path: Path) -> None:
    data = os.urandom(20 << 20)  # goes up in three parts
    digest = keep(store_on(bucket, tmp_path / "one"), data)
    other = store_on(bucket, tmp_path / "two")
    assert other.read(digest, Span(12_345_678, 1000)) == data[12_345_678:12_346_678]
    assert not list((tmp_path / "two" / "cache").rglob(digest)), "a range needs no whole blob"
    with other.contents(digest) as found:
        assert found == data
    other.check(digest)
    assert list(other.digests()) == [digest]


def test_damaged_bytes_never_come_down_and_storing_again_heals_them(bucket: Bucket, tmp_path: Path) -> None:
    store = store_on(bucket, tmp_path / "one")
    digest = keep(store, b"sound")
    objects = replace(bucket, url=f"{bucket.url}/{tmp_path.name}").open()
    obstore.put(objects, f"blobs/{digest[:2]}/{digest}", b"wrong")
    other = store_on(bucket, tmp_path / "two")
    with pytest.raises(StoreError, match="not those that were saved"):
        other.path_of(digest)
    with pytest.raises(StoreError, match="not those that were saved"):
        store.check(digest)
    store.quarantine(digest)
    with pytest.raises(StoreError, match="missing"):
        store.path_of(digest)
    keep(store, b"sound")
    store.check(digest)
    assert other.path_of(digest).read_bytes() == b"sound"


def test_bytes_that_were_stored_again_while_damage_was_looked_at_stay(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_on(bucket, tmp_path / "one")
    digest = keep(store, b"sound")
    objects = replace(bucket, url=f"{bucket.url}/{tmp_path.name}").open()
    obstore.put(objects, f"blobs/{digest[:2]}/{digest}", b"wrong")
    read = store._digest_of

    def heal(key: str) -> str:
        found = read(key)
        keep(store, b"sound")
        return found

    monkeypatch.setattr(store, "_digest_of", heal)
    store.quarantine(digest)
    monkeypatch.undo()
    store.check(digest)


def test_what_was_acknowledged_outlives_kill_9_of_the_object_server(tmp_path: Path) -> None:
    server = object_server(tmp_path / "weed")
    server.start()
    try:
        store = store_on(server.bucket, tmp_path / "one")
        digests = [keep(store, f"blob {number}".encode()) for number in range(50)]
        server.kill()
        server.start()
        after = store_on(server.bucket, tmp_path / "two")
        assert [after.path_of(digest).read_bytes() for digest in digests] == [f"blob {n}".encode() for n in range(50)]
    finally:
        server.stop()


def test_a_server_that_is_away_is_an_error_that_keeps_nothing_and_the_cache_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archive.store.objects.RETRY_FOR", timedelta(seconds=0.1))
    server = object_server(tmp_path / "weed")
    server.start()
    store = store_on(server.bucket, tmp_path / "one")
    digest = keep(store, b"here")
    server.kill()
    with pytest.raises(StoreError, match="does not answer"):
        keep(store, b"not kept")
    assert store.read(digest, Span(1, 2)) == b"er"
    with pytest.raises(StoreError, match="does not answer"):
        store.written_s(digest)


def test_the_cache_drops_what_was_used_longest_ago_and_never_what_is_in_use(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 250)
    digests = [Digest(hashlib.sha256(bytes([number])).hexdigest()) for number in range(4)]
    for age, digest in enumerate(reversed(digests[:2])):
        with cache.arriving(digest) as file:
            file.write(b"x" * 100)
        used_s = time.time() - KEPT_S - 10 + age
        os.utime(cache.place(digest), (used_s, used_s))
    with cache.arriving(digests[2]) as file:
        file.write(b"x" * 100)
    assert cache.find(digests[1]) is None
    assert cache.find(digests[0]) is not None
    assert cache.find(digests[2]) is not None
    with cache.arriving(digests[3]) as file:
        file.write(b"x" * 100)
    assert all(cache.find(digest) for digest in (digests[0], digests[2], digests[3])), "all are in use"


def test_a_download_that_breaks_off_leaves_nothing_and_another_start_of_the_machine_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "of-another-boot").mkdir()
    cache = BlobCache(tmp_path, 1000)
    digest = Digest(hashlib.sha256(b"").hexdigest())
    with pytest.raises(ConnectionError):
        write_half(cache, digest)
    assert cache.find(digest) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "of-another-boot").exists()


def write_half(cache: BlobCache, digest: Digest) -> None:
    with cache.arriving(digest) as file:
        file.write(b"half")
        raise ConnectionError
