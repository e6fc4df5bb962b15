"""What is remembered of the index is never more than the index and the scope would give."""

from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import pytest
from databases import at
from files import part10

from archive.database.engine import Database, migrate, open_database
from archive.identifiers import InstanceUID, SeriesUID, StudyUID
from archive.index import known as known_module
from archive.index.deletion import Chain, Deletion, delete_instances
from archive.index.known import Known, Prepared
from archive.ingest import Ingest, IngestLimits
from archive.instances import Instance, StoredInstance
from archive.scope import Scope
from archive.store.files import FileStore

EVERYTHING = Scope.everything()
UIDS = (StudyUID("1.2.3"), SeriesUID("1.2.3.4"), InstanceUID("1.2.3.4.5"))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(at(tmp_path / "lightbox.sqlite"))
    opened = open_database(at(tmp_path / "lightbox.sqlite"))
    yield opened
    await opened.close()


async def store(database: Database, folder: Path, instance_uid: str, now_ms: int = 5000) -> None:
    ingest = Ingest(FileStore(folder / "store"), database, IngestLimits(), lambda: now_ms)
    upload = ingest.begin()
    study_uid, series_uid, _ = UIDS
    await upload.write(part10(StudyInstanceUID=study_uid, SeriesInstanceUID=series_uid, SOPInstanceUID=instance_uid))
    (outcome,) = await ingest.index([await upload.finish(study_uid=None, by="test")])
    assert isinstance(outcome, StoredInstance)
    await ingest.close()


@pytest.fixture
async def known(database: Database, tmp_path: Path) -> Known:
    await store(database, tmp_path, UIDS[2])
    return Known(database)


async def find(known: Known, scope: Scope = EVERYTHING) -> Instance | None:
    return await known.find_instance(scope, *UIDS)


async def test_a_remembered_instance_is_still_hidden_from_every_scope_that_does_not_hold_it(known: Known) -> None:
    assert await find(known) is not None
    assert await find(known, Scope.nothing()) is None
    assert await find(known, Scope.studies(StudyUID("9.9"))) is None
    assert await find(known, Scope(None, stored_until_ms=4999)) is None
    assert await find(known, Scope(None, stored_until_ms=5000)) is not None


async def test_a_remembered_instance_is_found_only_by_its_own_three_uids(known: Known) -> None:
    assert await find(known) is not None
    assert await known.find_instance(EVERYTHING, StudyUID("9.9"), UIDS[1], UIDS[2]) is None


async def test_what_another_process_deletes_is_forgotten_at_the_next_check(known: Known, tmp_path: Path) -> None:
    assert await find(known) is not None
    other = open_database(at(tmp_path / "lightbox.sqlite"))
    await other.write_batch(delete_instances, Chain(UIDS[0]), Deletion(6000, "other"))
    await other.close()
    with patch.object(known_module, "CHECK_EVERY_S", 0.0):
        known._check_again_s = 0.0  # the half second has passed
        assert await find(known) is None


async def test_what_is_deleted_here_is_forgotten_at_once(known: Known, database: Database) -> None:
    assert await find(known) is not None
    await database.write_batch(delete_instances, Chain(UIDS[0]), Deletion(6000, "test"))
    known.forget()
    assert await find(known) is None


async def test_a_series_has_another_version_when_an_instance_comes_or_goes(
    known: Known, database: Database, tmp_path: Path
) -> None:
    first = await known.series_version(EVERYTHING, *UIDS[:2])
    assert first == await known.series_version(EVERYTHING, *UIDS[:2])
    await store(database, tmp_path, "1.2.3.4.6", now_ms=7000)
    second = await known.series_version(EVERYTHING, *UIDS[:2])
    await database.write_batch(delete_instances, Chain(*UIDS), Deletion(8000, "test"))
    third = await known.series_version(EVERYTHING, *UIDS[:2])
    assert len({first, second, third}) == 3


async def test_scopes_that_see_different_instances_never_share_a_document(known: Known) -> None:
    scopes = (EVERYTHING, Scope(None, stored_until_ms=5000), Scope(None, with_reports=False))
    versions = [await known.series_version(scope, *UIDS[:2]) for scope in scopes]
    assert len(set(versions)) == 3
    assert await known.series_version(Scope.nothing(), *UIDS[:2]) is None


async def test_documents_have_a_bound_and_the_ones_used_last_stay(known: Known) -> None:
    with patch.object(known_module, "MAXIMUM_DOCUMENT_BYTES", 25):
        for name in ("a", "b"):
            known.keep_document(name, Prepared(bytes(10), "", {}))
        assert known.document("a") is not None
        known.keep_document("c", Prepared(bytes(10), "", {}))
    assert known.document("b") is None
    assert known.document("a") is not None
