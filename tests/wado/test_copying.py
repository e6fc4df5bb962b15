"""Copies made after storing: nothing is forgotten, nothing damaged is copied, what is purged keeps no copy."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from databases import at
from files import part10
from pydicom.data import get_testdata_file

from archive.database.copy_tables import uncopied_frames
from archive.database.engine import Database, migrate, open_database
from archive.identifiers import StudyUID
from archive.index.deletion import Chain, Deletion, delete_instances
from archive.index.reader import find_instances
from archive.index.uncopied import find_uncopied
from archive.ingest import Ingest, IngestLimits
from archive.instances import Instance
from archive.scope import Scope
from archive.store.derived import Derived
from archive.store.files import FileStore
from stow.deletion import purge_all
from wado.copying import Copier, Outcome, copy_stored, keep_copying, patient_pool
from wado.pixels.copies import FrameCopies
from wado.pixels.decode import decode_frame
from wado.pixels.syntaxes import HTJ2K_LOSSLESS

STUDY = StudyUID("1.2.3")
SIDE = 64
WAIT_S = 60.0


def image(seed: int, **values: object) -> bytes:
    slope = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype("<u2") + np.uint16(seed)
    given: dict[str, object] = {
        "Rows": SIDE,
        "Columns": SIDE,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelData": slope.tobytes(),
    }
    return part10(**(given | values))


@dataclass(frozen=True, slots=True)
class House:
    database: Database
    store: FileStore
    ingest: Ingest
    copies: FrameCopies

    async def take_in(self, *contents: bytes) -> None:
        news = []
        for content in contents:
            upload = self.ingest.begin()
            await upload.write(content)
            news.append(await upload.finish(study_uid=None, by="test"))
        await self.ingest.index(news)

    async def instances(self) -> list[Instance]:
        return await self.database.read(lambda connection: find_instances(Scope.everything(), connection, STUDY))

    async def waiting(self) -> int:
        count = sa.select(sa.func.count()).select_from(uncopied_frames)
        return await self.database.read(lambda connection: connection.execute(count).scalar_one())

    @contextlib.asynccontextmanager
    async def copying(self) -> AsyncIterator[None]:
        work = asyncio.create_task(keep_copying(self.database, self.store, self.copies, 20.0))
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition() or await self.waiting():
                await asyncio.sleep(0.02)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    migrate(at(tmp_path / "lightbox.sqlite"))
    database = open_database(at(tmp_path / "lightbox.sqlite"))
    store = FileStore(tmp_path / "store", Derived((tmp_path / "derived", tmp_path / "copies")))
    ingest = Ingest(store, database, IngestLimits(notes_uncopied=True))
    yield House(database, store, ingest, FrameCopies(tmp_path / "copies", 1 << 30))
    await ingest.close()
    await database.close()


def is_exact(house: House, instance: Instance) -> bool:
    copy = house.copies.read(instance.digest, 0)
    if copy is None or instance.pixels is None:
        return False
    (span,) = instance.frames.spans_of(0)
    decoded = decode_frame(copy, instance.pixels, HTJ2K_LOSSLESS)
    return decoded.tobytes() == house.store.read(instance.digest, span)


async def test_what_is_stored_is_copied_afterwards(house: House) -> None:
    async with house.copying():
        await house.take_in(image(1), image(2, NumberOfFrames=1))
        stored = await house.instances()
        await house.until(lambda: all(house.copies.is_there(one.digest) for one in stored))
    assert len(stored) == 2
    assert all(is_exact(house, one) for one in stored)


async def test_what_was_not_copied_when_the_server_ended_is_copied_by_the_next_one(house: House) -> None:
    await house.take_in(image(1), image(2), image(3))
    stored = await house.instances()
    first = Ingest(house.store, house.database, IngestLimits(notes_uncopied=True))
    await first.close()
    assert await house.waiting() == 3
    async with house.copying():
        await house.until(lambda: all(house.copies.is_there(one.digest) for one in stored))
    async with house.copying():
        assert await house.waiting() == 0


async def test_the_same_bytes_again_and_objects_without_pixels_wait_for_nothing(house: House) -> None:
    content = image(1)
    await house.take_in(content)
    await house.take_in(content)
    report = get_testdata_file("reportsi.dcm")
    assert isinstance(report, str)
    await house.take_in(await asyncio.to_thread(Path(report).read_bytes))
    assert await house.waiting() == 1


async def test_an_archive_that_does_not_want_copies_notes_nothing(house: House) -> None:
    plain = Ingest(house.store, house.database, IngestLimits())
    upload = plain.begin()
    await upload.write(image(1))
    await plain.index([await upload.finish(study_uid=None, by="test")])
    await plain.close()
    assert await house.waiting() == 0


async def test_a_purged_instance_keeps_no_copy(house: House) -> None:
    await house.take_in(image(1))
    (instance,) = await house.instances()
    async with house.copying():
        await house.until(lambda: house.copies.is_there(instance.digest))
    now_ms = int(time.time() * 1000)
    await house.database.write_batch(delete_instances, Chain(STUDY), Deletion(now_ms, "test"))
    assert house.copies.is_there(instance.digest)  # it can be restored
    await purge_all(house.database, house.store, Chain(STUDY), now_ms + 10_000)
    assert not house.copies.is_settled(instance.digest)


async def test_an_instance_that_is_purged_while_it_is_copied_keeps_no_copy(house: House) -> None:
    await house.take_in(image(1))
    (instance,) = await house.instances()
    now_ms = int(time.time() * 1000)
    async with patient_pool(1, 20.0) as pool:
        copier = Copier(house.database, house.store, house.copies, pool)
        waiting = await house.database.read(find_uncopied)
        await house.database.write_batch(delete_instances, Chain(STUDY), Deletion(now_ms, "test"))
        await purge_all(house.database, house.store, Chain(STUDY), now_ms + 10_000)
        await copier.copy_waiting(waiting)
    assert not house.copies.is_settled(instance.digest)
    assert await house.waiting() == 0


async def test_a_damaged_file_is_not_copied(house: House) -> None:
    await house.take_in(image(1))
    (instance,) = await house.instances()
    path = house.store.path_of(instance.digest)
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    async with patient_pool(1, 20.0) as pool:
        copier = Copier(house.database, house.store, house.copies, pool)
        assert await copier.copy_instance(instance) is Outcome.DAMAGED
    assert not house.copies.is_there(instance.digest)


async def test_copying_what_is_stored_can_be_stopped_and_begun_again(house: House) -> None:
    noise = np.random.default_rng(1).integers(0, 1 << 16, (SIDE, SIDE), "<u2").tobytes()
    await house.take_in(*(image(seed) for seed in range(5)))
    await house.take_in(image(9, BitsStored=16, HighBit=15, PixelData=noise))
    async with patient_pool(1, 20.0) as pool:
        copier = Copier(house.database, house.store, house.copies, pool)
        run = copy_stored(copier, STUDY, 1)
        assert await anext(run) == (6, Outcome.COPIED)
        await run.aclose()
        second = [outcome async for _, outcome in copy_stored(copier, None, 2)]
        assert sorted(second).count(Outcome.NONE) == 1  # noise becomes larger
        assert second.count(Outcome.THERE) >= 1
        finished = pool.figures.finished
        third = [outcome async for _, outcome in copy_stored(copier, None, 2)]
        assert third == [Outcome.THERE] * 6
        assert pool.figures.finished == finished
    assert sum(house.copies.is_there(one.digest) for one in await house.instances()) == 5
    assert [outcome async for _, outcome in copy_stored(copier, "1.2.99", 2)] == []
