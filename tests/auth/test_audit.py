"""The trail: appended, chained, never changed; the first access written before its bytes leave."""

import asyncio
import json
import sqlite3

import pytest
import sqlalchemy as sa

from archive.audit import Action, Audit, Event, find_break, json_line
from archive.database.access_tables import audit_events
from archive.errors import StoreError

VIEW = Event(Action.VIEW, "share", "share X", study_uid="1.2", series_uid="1.3")


async def test_events_are_kept_in_order_and_the_chain_is_whole(archive):
    audit = archive.access.audit
    for number in range(5):
        await audit.record(Event(Action.STORE, "machine", f"m{number}"))
    assert [row["who"] for row in await archive.trail()] == [f"m{number}" for number in range(5)]
    assert await archive.database.read(find_break) is None


async def test_events_at_once_share_a_transaction_and_all_are_kept(archive):
    await asyncio.gather(*(archive.access.audit.record(Event(Action.STORE, "machine", str(n))) for n in range(200)))
    assert {row["who"] for row in await archive.trail()} == {str(number) for number in range(200)}
    assert await archive.database.read(find_break) is None


async def test_no_statement_of_this_program_changes_or_removes_an_event(archive):
    await archive.access.audit.record(VIEW)
    for statement in (sa.delete(audit_events), sa.update(audit_events).values(who="nobody")):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            await archive.database.write(lambda connection, done=statement: connection.execute(done).rowcount)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "tampering",
    ["UPDATE audit_events SET who = 'x' WHERE id = 2", "DELETE FROM audit_events WHERE id = 2"],
)
async def test_tampering_below_the_program_breaks_the_chain_where_it_happened(archive, tampering):
    for _ in range(4):
        await archive.access.audit.record(VIEW)
    with sqlite3.connect(archive.database._path) as connection:
        for verb in ("update", "delete"):
            connection.execute(f"DROP TRIGGER audit_events_no_{verb}")
        connection.execute(tampering)
    connection.close()
    assert await archive.database.read(find_break) in (2, 3)


async def test_the_first_reading_of_a_group_is_on_the_disk_when_read_returns(archive):
    await archive.access.audit.read(VIEW)
    rows = await archive.database.read(lambda connection: connection.execute(sa.select(audit_events)).all())
    assert [row.count for row in rows] == [1]


async def test_a_burst_is_one_event_and_one_count(archive):
    await asyncio.gather(*(archive.access.audit.read(VIEW) for _ in range(100)))
    assert [row["count"] for row in await archive.trail("view")] == [1, 99]


async def test_another_series_person_or_action_is_another_event(archive):
    audit = archive.access.audit
    await audit.read(VIEW)
    await audit.read(Event(Action.VIEW, "share", "share X", study_uid="1.2", series_uid="1.4"))
    await audit.read(Event(Action.VIEW, "share", "share Y", study_uid="1.2", series_uid="1.3"))
    await audit.read(Event(Action.METADATA, "share", "share X", study_uid="1.2", series_uid="1.3"))
    assert [row["count"] for row in await archive.trail()] == [1, 1, 1, 1]


async def test_a_group_ends_after_its_minutes(archive):
    audit = archive.access.audit
    await audit.read(VIEW)
    archive.wall.advance(s=601)
    await audit.read(VIEW)
    assert [row["count"] for row in await archive.trail()] == [1, 1]


async def test_counts_are_written_when_the_trail_closes(archive):
    audit = Audit(archive.database, archive.access.clock)
    for _ in range(3):
        await audit.read(VIEW)
    await audit.close()
    assert [row["count"] for row in await archive.trail()] == [1, 2]


async def test_a_reading_that_cannot_be_written_fails_and_the_next_is_tried_anew(archive, monkeypatch):
    async def broken(*_: object) -> None:
        raise StoreError("The database cannot be read or written.")

    with monkeypatch.context() as patch:
        patch.setattr(archive.database, "write", broken)
        for result in await asyncio.gather(
            *(archive.access.audit.read(VIEW) for _ in range(3)), return_exceptions=True
        ):
            assert isinstance(result, StoreError)
    await archive.access.audit.read(VIEW)
    assert [row["count"] for row in await archive.trail()] == [1]


async def test_a_value_cannot_begin_a_line_of_the_export(archive):
    nasty = 'x"\n{"id": 1}\u2028\x1b[31m'
    await archive.access.audit.record(Event(Action.IMPORT, "operator", nasty, detail={"file": nasty}))
    line = json_line((await archive.trail())[0])
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["who"] == nasty


async def test_time_in_the_trail_never_goes_back(archive):
    await archive.access.audit.record(VIEW)
    other = Audit(archive.database, lambda: 5)
    await other.record(VIEW)
    first, second = await archive.trail()
    assert second["time_ms"] == first["time_ms"]
