"""One way in: what is acknowledged is stored, indexed and identical; what is refused leaves nothing."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import at
from files import part10
from pydicom.data import get_testdata_file

from archive.audit import Action, Event, find_break
from archive.database.access_tables import audit_events
from archive.database.engine import Database, migrate, open_database
from archive.database.index_tables import instances
from archive.errors import PayloadTooLargeError, RefusedInstanceError
from archive.identifiers import StudyUID
from archive.index.reader import find_instance, find_instances, find_metadata, find_study_overview
from archive.index.writer import NewInstance, Outcome
from archive.ingest import Ingest, IngestLimits
from archive.instances import StoredInstance
from archive.scope import Scope
from archive.store.files import FileStore

EVERYTHING = Scope.everything()


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
    opened = Ingest(store, database, IngestLimits(instance_bytes=1 << 20))
    yield opened
    await opened.close()


async def take_in(ingest: Ingest, data: bytes, study_uid: StudyUID | None = None) -> Outcome:
    upload = ingest.begin()
    await upload.write(data)
    (outcome,) = await ingest.index([await upload.finish(study_uid=study_uid, by="test")])
    return outcome


async def all_instances(database: Database, study_uid: str = "1.2.3") -> int:
    return len(await database.read(lambda connection: find_instances(EVERYTHING, connection, StudyUID(study_uid))))


async def test_an_acknowledged_instance_is_found_and_its_bytes_are_those_that_came(
    ingest: Ingest, database: Database, store: FileStore
) -> None:
    data = part10(SOPInstanceUID="1.2.3.4.5")
    outcome = await take_in(ingest, data)
    assert isinstance(outcome, StoredInstance)
    assert not outcome.already_there
    found = await database.keyed(
        lambda connection: find_instance(
            EVERYTHING, connection, outcome.study_uid, outcome.series_uid, outcome.instance_uid
        )
    )
    assert found is not None
    assert found.digest == hashlib.sha256(data).hexdigest()
    assert store.path_of(found.digest).read_bytes() == data
    assert found.pixels is not None
    assert (found.pixels.rows, found.frames.count) == (2, 1)


async def test_the_same_bytes_again_succeed_and_change_nothing(ingest: Ingest, database: Database) -> None:
    data = part10()
    await take_in(ingest, data)
    again = await take_in(ingest, data)
    assert isinstance(again, StoredInstance)
    assert again.already_there
    assert await all_instances(database) == 1


async def test_other_bytes_under_a_known_uid_are_refused_and_the_first_stay(
    ingest: Ingest, database: Database, store: FileStore
) -> None:
    first = part10(SOPInstanceUID="1.2.3.4.5")
    await take_in(ingest, first)
    second = await take_in(ingest, part10(SOPInstanceUID="1.2.3.4.5", PatientID="P2"))
    assert isinstance(second, RefusedInstanceError)
    assert second.failure_reason == 0x0111
    (kept,) = await database.read(lambda connection: find_instances(EVERYTHING, connection, StudyUID("1.2.3")))
    assert store.path_of(kept.digest).read_bytes() == first


async def test_two_with_one_uid_in_one_batch_keep_the_first(ingest: Ingest, database: Database) -> None:
    prepared = []
    for patient_id in ("P1", "P2"):
        upload = ingest.begin()
        await upload.write(part10(SOPInstanceUID="1.2.3.4.5", PatientID=patient_id))
        prepared.append(await upload.finish(study_uid=None, by="test"))
    first, second = await ingest.index(prepared)
    assert isinstance(first, StoredInstance)
    assert isinstance(second, RefusedInstanceError)
    assert await all_instances(database) == 1


async def test_a_known_uid_under_another_study_is_refused(ingest: Ingest, database: Database) -> None:
    await take_in(ingest, part10(SOPInstanceUID="1.2.3.4.5"))
    other = await take_in(ingest, part10(SOPInstanceUID="1.2.3.4.5", StudyInstanceUID="9.9"))
    assert isinstance(other, RefusedInstanceError)
    assert await all_instances(database, "9.9") == 0


@pytest.mark.parametrize(
    ("data", "reason", "told"),
    [
        (b"hello", 0xC000, "not a DICOM file"),
        (b"\0" * 128 + b"DICM", 0xC122, "transfer syntax"),
        (part10()[:-2], 0xC000, "cut short"),
        (part10(StudyInstanceUID=""), 0xC000, "Study Instance UID"),
        (part10(SOPClassUID=""), 0x0122, "SOP Class UID"),
    ],
)
async def test_what_is_no_whole_instance_is_refused_with_a_reason_and_leaves_nothing(
    ingest: Ingest, store: FileStore, tmp_path: Path, data: bytes, reason: int, told: str
) -> None:
    upload = ingest.begin()
    await upload.write(data)
    with pytest.raises(RefusedInstanceError, match=told) as refused:
        await upload.finish(study_uid=None, by="test")
    assert refused.value.failure_reason == reason
    assert list(store.digests()) == []
    assert list((tmp_path / "store" / "drafts").iterdir()) == []


async def test_an_instance_of_another_study_than_the_request_names_is_refused(ingest: Ingest) -> None:
    with pytest.raises(RefusedInstanceError) as refused:
        await take_in(ingest, part10(), StudyUID("5.5"))
    assert refused.value.failure_reason == 0xA900


async def test_an_instance_over_the_limit_is_stopped_while_it_comes_in(ingest: Ingest) -> None:
    upload = ingest.begin()
    await upload.write(b"x" * (1 << 20))
    with pytest.raises(PayloadTooLargeError) as stopped:
        await upload.write(b"x")
    assert stopped.value.limit_bytes == 1 << 20
    await upload.abort()


async def test_counts_modalities_and_attributes_of_a_study_are_those_of_its_instances(
    ingest: Ingest, database: Database
) -> None:
    for series, modality, number in (("1", "CT", "2"), ("1", "CT", "1"), ("2", "SR", "1")):
        await take_in(ingest, part10(SeriesInstanceUID=f"1.2.{series}", Modality=modality, InstanceNumber=number))
    await take_in(ingest, part10(StudyDescription="Head"))
    study = await database.read(lambda connection: find_study_overview(EVERYTHING, connection, StudyUID("1.2.3")))
    assert study is not None
    assert study.modalities == ("CT", "SR")
    assert study.description == "Head"
    assert sorted(len(one.instances) for one in study.series) == [1, 1, 2]
    ordered = next(one for one in study.series if len(one.instances) == 2)
    assert [one.instance_number for one in ordered.instances] == ["1", "2"]


async def test_a_row_of_another_version_with_facts_unknown_here_is_read(ingest: Ingest, database: Database) -> None:
    await take_in(ingest, part10())

    def add_a_fact(connection: sa.Connection) -> None:
        facts = json.loads(connection.execute(sa.select(instances.c.pixels)).scalar_one())
        further = json.dumps({**facts, "colour_of_the_ward": "green"}).encode()
        connection.execute(sa.update(instances).values(pixels=further))

    await database.write(add_a_fact)
    (found,) = await database.read(lambda connection: find_instances(EVERYTHING, connection, StudyUID("1.2.3")))
    assert found.pixels is not None
    assert found.pixels.rows == 2


async def test_a_scope_sees_its_studies_and_nothing_else(ingest: Ingest, database: Database) -> None:
    await take_in(ingest, part10())
    await take_in(ingest, part10(StudyInstanceUID="9.9"))
    scope = Scope.studies(StudyUID("9.9"))

    for study_uid, count in (("9.9", 1), ("1.2.3", 0)):
        uid = StudyUID(study_uid)
        assert len(await database.read(lambda connection: find_instances(scope, connection, uid))) == count  # noqa: B023 - awaited in the loop
        assert len(await database.read(lambda connection: find_metadata(scope, connection, uid))) == count  # noqa: B023 - awaited in the loop
    assert await database.read(lambda connection: find_study_overview(scope, connection, StudyUID("1.2.3"))) is None


async def test_a_frozen_scope_hides_what_was_stored_later_and_reports_can_be_left_out(
    database: Database, store: FileStore
) -> None:
    clock = iter((1000, 2000, 3000))
    ingest = Ingest(store, database, IngestLimits(), now_ms=lambda: next(clock))
    await take_in(ingest, part10())
    await take_in(ingest, part10())
    await take_in(ingest, part10(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"))
    await ingest.close()
    uid = StudyUID("1.2.3")
    frozen = Scope(frozenset((uid,)), stored_until_ms=1500)
    without_reports = Scope(frozenset((uid,)), with_reports=False)
    assert len(await database.read(lambda connection: find_instances(frozen, connection, uid))) == 1
    assert len(await database.read(lambda connection: find_instances(without_reports, connection, uid))) == 2


async def test_a_real_multiframe_file_has_all_its_frames_in_the_index(ingest: Ingest, database: Database) -> None:
    path = get_testdata_file("SC_rgb_rle_2frame.dcm")
    assert isinstance(path, str)
    outcome = await take_in(ingest, Path(path).read_bytes())
    assert isinstance(outcome, StoredInstance)
    (found,) = await database.read(lambda connection: find_instances(EVERYTHING, connection, outcome.study_uid))
    assert found.frames.count == 2
    assert all(found.frames.spans_of(index)[0].length_bytes > 0 for index in range(2))


async def test_a_blob_that_was_swept_before_it_was_indexed_is_not_acknowledged(
    ingest: Ingest, database: Database, store: FileStore
) -> None:
    upload = ingest.begin()
    await upload.write(part10())
    swept = await upload.finish(study_uid=None, by="test")
    store.remove(swept.digest)
    (outcome,) = await ingest.index([swept])
    assert isinstance(outcome, RefusedInstanceError)
    assert await all_instances(database) == 0


async def test_an_instance_that_the_index_cannot_take_fails_alone(ingest: Ingest, database: Database) -> None:
    prepared = []
    for _ in range(3):
        upload = ingest.begin()
        await upload.write(part10())
        prepared.append(await upload.finish(study_uid=None, by="test"))
    prepared[1] = replace(prepared[1], length_bytes=1 << 70)  # more than the database has numbers for
    outcomes = await ingest.index(prepared)
    assert [type(outcome) for outcome in outcomes] == [StoredInstance, RefusedInstanceError, StoredInstance]
    assert await all_instances(database) == 2


async def test_the_trail_counts_each_request_and_study_in_the_transaction_that_indexes(
    ingest: Ingest, database: Database
) -> None:
    first, second = Event(Action.STORE, "machine", "ct"), Event(Action.STORE, "machine", "mr")
    of_ct = [
        await prepared(ingest, SOPInstanceUID=f"1.2.3.4.{number}", StudyInstanceUID=f"1.2.{number // 2}")
        for number in range(3)
    ]
    of_mr = [await prepared(ingest, SOPInstanceUID="1.2.3.4.9", StudyInstanceUID="1.2.0")]
    other_bytes = await prepared(ingest, SOPInstanceUID="1.2.3.4.9", StudyInstanceUID="1.2.0", PatientID="other")
    await asyncio.gather(ingest.index(of_ct, first), ingest.index([*of_mr, other_bytes], second))
    rows = await database.read(lambda connection: connection.execute(sa.select(audit_events)).all())
    assert sorted((row.who, row.study_uid, row.count) for row in rows) == [
        ("ct", "1.2.0", 2), ("ct", "1.2.1", 1), ("mr", "1.2.0", 1),
    ]  # fmt: skip
    assert await database.read(find_break) is None


async def test_a_store_whose_trail_cannot_be_written_is_neither_indexed_nor_acknowledged(
    ingest: Ingest, database: Database
) -> None:
    await database.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE audit_events RENAME COLUMN detail TO other")
    )
    new = await prepared(ingest, SOPInstanceUID="1.2.3.4.5", StudyInstanceUID="1.2.3")
    with pytest.raises(sa.exc.DatabaseError):
        await ingest.index([new], Event(Action.STORE, "machine", "ct"))
    assert await all_instances(database) == 0


async def prepared(ingest: Ingest, **attributes: str) -> NewInstance:
    upload = ingest.begin()
    await upload.write(part10(**attributes))
    return await upload.finish(study_uid=None, by="test")
