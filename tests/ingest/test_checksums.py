"""What is sent is held against the checksum that was made when it was stored; damage never makes a whole answer."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import xxhash
from databases import at
from files import part10

from archive.database.engine import Database, migrate, open_database
from archive.database.index_tables import instances
from archive.errors import StoreError
from archive.identifiers import StudyUID
from archive.index.reader import find_instances
from archive.ingest import Ingest, IngestLimits
from archive.instances import Instance
from archive.scope import Scope
from archive.store.files import FileStore
from wado.blobs import verified_chunks

LENGTHS = [20_000, 3 << 20]
"""Sent in one chunk, and in several."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(at(tmp_path / "lightbox.sqlite"))
    opened = open_database(at(tmp_path / "lightbox.sqlite"))
    yield opened
    await opened.close()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
async def ingest(database: Database, store: FileStore) -> AsyncIterator[Ingest]:
    opened = Ingest(store, database, IngestLimits())
    yield opened
    await opened.close()


async def stored(ingest: Ingest, database: Database, length_bytes: int) -> tuple[Instance, bytes]:
    data = part10(PixelData=bytes(length_bytes))
    upload = ingest.begin()
    for start in range(0, len(data), 70_001):
        await upload.write(data[start : start + 70_001])
    await ingest.index([await upload.finish(study_uid=None, by="test")])
    return await only_instance(database), data


async def only_instance(database: Database) -> Instance:
    def find(connection: sa.Connection) -> Instance:
        (found,) = find_instances(Scope.everything(), connection, StudyUID("1.2.3"))
        return found

    return await database.read(find)


def damage(store: FileStore, instance: Instance, offset: int) -> None:
    path = store.path_of(instance.digest)
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


async def sent(store: FileStore, instance: Instance) -> bytes:
    return b"".join([bytes(chunk) async for chunk in verified_chunks(store, instance)])


@pytest.mark.parametrize("length_bytes", LENGTHS)
async def test_the_checksum_of_what_was_sent_in_is_kept(
    ingest: Ingest, database: Database, store: FileStore, length_bytes: int
) -> None:
    instance, data = await stored(ingest, database, length_bytes)
    assert instance.checksum == xxhash.xxh3_128_digest(data)
    assert await sent(store, instance) == data


@pytest.mark.parametrize("is_old", [False, True], ids=["by checksum", "by digest alone"])
@pytest.mark.parametrize("length_bytes", LENGTHS)
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
async def test_one_flipped_bit_anywhere_makes_no_whole_answer(
    ingest: Ingest, database: Database, store: FileStore, length_bytes: int, part: float, is_old: bool
) -> None:
    instance, data = await stored(ingest, database, length_bytes)
    if is_old:
        instance = replace(instance, checksum=None)
        assert await sent(store, instance) == data
    damage(store, instance, round(part * (len(data) - 1)))
    chunks: list[bytes] = []

    async def send() -> None:
        async for chunk in verified_chunks(store, instance):
            chunks.append(bytes(chunk))  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(StoreError):
        await send()
    assert sum(map(len, chunks)) < len(data)


async def test_an_instance_that_is_indexed_anew_has_its_checksum_only_where_its_bytes_are_right(
    ingest: Ingest, database: Database, store: FileStore
) -> None:
    instance, data = await stored(ingest, database, LENGTHS[0])
    assert (await ingest.read_again(instance.digest, "test")).checksum == xxhash.xxh3_128_digest(data)
    damage(store, instance, len(data) - 1)
    assert (await ingest.read_again(instance.digest, "test")).checksum is None


async def test_a_row_of_an_older_version_is_read_without_a_checksum(
    ingest: Ingest, database: Database, store: FileStore
) -> None:
    instance, data = await stored(ingest, database, LENGTHS[0])
    await database.write(lambda connection: connection.execute(sa.update(instances).values(checksum=None)))
    old = await only_instance(database)
    assert (old.checksum, old.digest) == (None, hashlib.sha256(data).hexdigest())
    assert await sent(store, old) == data
    assert old == replace(instance, checksum=None)
