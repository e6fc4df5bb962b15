"""Coercion on receipt: off unless it is asked for; told, recorded, and a success again for the same original."""

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pydicom
import pytest
import sqlalchemy as sa
from databases import at
from files import part10

from archive.app import limits_of
from archive.config import Settings
from archive.database.engine import Database, migrate, open_database
from archive.database.index_tables import instances
from archive.dicom.coercion import Coercion
from archive.errors import BadRequestError, RefusedInstanceError
from archive.index.writer import COERCED, Outcome
from archive.ingest import Ingest, IngestLimits
from archive.instances import StoredInstance
from archive.store.files import FileStore
from stow.deletion import Chain, Deletion, delete_instances, restore_all

ORIGINAL = part10()
ISSUER = Coercion({0x00080080: "General"}, {0x00100021: "GENERAL"})


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
async def coercing(database: Database, store: FileStore) -> AsyncIterator[Ingest]:
    opened = Ingest(store, database, IngestLimits(coercion=ISSUER))
    yield opened
    await opened.close()


@pytest.fixture
async def plain(database: Database, store: FileStore) -> AsyncIterator[Ingest]:
    opened = Ingest(store, database, IngestLimits())
    yield opened
    await opened.close()


async def take_in(ingest: Ingest, data: bytes, coercion: Coercion | None = None) -> Outcome:
    upload = ingest.begin(coercion)
    await upload.write(data)
    (outcome,) = await ingest.index([await upload.finish(study_uid=None, by="test")])
    return outcome


async def stored_bytes(database: Database, store: FileStore) -> bytes:
    digest = await database.read(lambda connection: connection.execute(sa.select(instances.c.digest)).scalar_one())
    return store.path_of(digest).read_bytes()


def stored_as(outcome: Outcome) -> tuple[bool, int | None]:
    assert isinstance(outcome, StoredInstance)
    return outcome.already_there, outcome.warning_reason


async def test_what_is_set_is_stored_recorded_and_told(coercing: Ingest, database: Database, store: FileStore) -> None:
    assert stored_as(await take_in(coercing, ORIGINAL)) == (False, COERCED)
    kept = pydicom.dcmread(io.BytesIO(await stored_bytes(database, store)))
    assert (kept.InstitutionName, kept.IssuerOfPatientID) == ("General", "GENERAL")
    assert kept.OriginalAttributesSequence[0].ReasonForTheAttributeModification == "COERCE"


async def test_the_same_original_again_is_a_success_that_changes_nothing(
    coercing: Ingest, database: Database, store: FileStore
) -> None:
    await take_in(coercing, ORIGINAL)
    before = await stored_bytes(database, store)
    assert stored_as(await take_in(coercing, ORIGINAL)) == (True, COERCED)
    assert await stored_bytes(database, store) == before
    assert list(store.digests()) == [hashlib.sha256(before).hexdigest()]


async def test_what_was_coerced_and_comes_back_is_the_same(
    coercing: Ingest, database: Database, store: FileStore
) -> None:
    await take_in(coercing, ORIGINAL)
    assert stored_as(await take_in(coercing, await stored_bytes(database, store))) == (True, None)


async def test_other_bytes_under_the_same_uid_are_still_refused(coercing: Ingest, store: FileStore) -> None:
    await take_in(coercing, ORIGINAL)
    other = pydicom.dcmread(io.BytesIO(ORIGINAL))
    other.StudyDescription = "Another"
    file = io.BytesIO()
    other.save_as(file)
    assert isinstance(await take_in(coercing, file.getvalue()), RefusedInstanceError)
    assert len(list(store.digests())) == 1


async def test_switching_it_on_or_off_keeps_what_is_stored(plain: Ingest, coercing: Ingest, store: FileStore) -> None:
    assert stored_as(await take_in(plain, ORIGINAL)) == (False, None)
    assert stored_as(await take_in(coercing, ORIGINAL)) == (True, None)
    assert [*store.digests()] == [hashlib.sha256(ORIGINAL).hexdigest()]


async def test_an_original_is_known_when_it_is_switched_off(plain: Ingest, coercing: Ingest) -> None:
    await take_in(coercing, ORIGINAL)
    assert stored_as(await take_in(plain, ORIGINAL)) == (True, COERCED)


async def test_an_original_is_known_after_delete_and_restore(coercing: Ingest, database: Database) -> None:
    outcome = await take_in(coercing, ORIGINAL)
    assert isinstance(outcome, StoredInstance)
    chain = Chain(outcome.study_uid)
    await database.write_batch(delete_instances, chain, Deletion(1, "test"))
    assert await restore_all(database, coercing, chain) == 1
    assert stored_as(await take_in(coercing, ORIGINAL)) == (True, COERCED)


async def test_one_upload_may_be_coerced_otherwise(plain: Ingest, database: Database, store: FileStore) -> None:
    await take_in(plain, ORIGINAL, Coercion({0x00100020: "OURS"}, source="Disc"))
    kept = pydicom.dcmread(io.BytesIO(await stored_bytes(database, store)))
    assert kept.PatientID == "OURS"
    assert kept.OriginalAttributesSequence[0].SourceOfPreviousValues == "Disc"


async def test_one_upload_may_be_kept_as_it_is(coercing: Ingest, database: Database, store: FileStore) -> None:
    assert stored_as(await take_in(coercing, ORIGINAL, Coercion())) == (False, None)
    assert await stored_bytes(database, store) == ORIGINAL


def test_a_setting_that_cannot_be_coerced_is_named() -> None:
    with pytest.raises(BadRequestError, match="NoSuchKeyword is no keyword"):
        limits_of(Settings(coerce={"NoSuchKeyword": "x"}))
    with pytest.raises(BadRequestError, match=r"\(0020,000D\) cannot be set"):
        limits_of(Settings(coerce_missing={"StudyInstanceUID": "1.2"}))
