"""Links pause while their studies are deleted or another patient's, and go on by themselves; owner and desk hear it."""

import asyncio
import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from archive.database.index_tables import instances, series, studies
from archive.database.journey_tables import notices, request_studies
from auth.desk import attach_studies
from auth.holding import OWNERS
from auth.pausing import write_changes_down
from auth.requests import find_request
from auth.shares import Mode, find_share
from auth.sharing import end_all_as_owner

AT_ONCE_S = 2.0


async def change(archive, study_uid, **values):
    """What a deletion, a merge or a correction leaves in the index."""
    row = studies.c.study_uid == study_uid
    statement = sa.update(studies).where(row).values(**values) if values else sa.delete(studies).where(row)
    await archive.database.write(lambda connection: connection.execute(statement).rowcount)


async def restore(archive, study_uid, patient_id="P0"):
    values = {"study_uid": study_uid, "PatientID": patient_id, "stored_ms": 1, "updated_ms": 1, "attributes": b"{}"}
    await archive.database.write(lambda connection: connection.execute(sa.insert(studies).values(**values)).rowcount)


async def opened(client, link):
    answer = await client.post(f"/api/s/{link.share_id}/open", json={"secret": link.secret})
    return answer.status, (await answer.json()).get("code")


async def seen(client, root):
    answer = await client.get(f"{root}/dicom-web/studies")
    return await answer.json() if answer.status == 200 else answer.status


async def within_two_seconds(client, link, expected):
    root = link if isinstance(link, str) else f"/s/{link.share_id}"
    async with asyncio.timeout(AT_ONCE_S):
        while await seen(client, root) != expected:
            await asyncio.sleep(0.02)


async def told(archive, kind):
    query = sa.select(notices.c.kind).where(notices.c.kind == kind)
    return len(await archive.database.read(lambda connection: connection.execute(query).all()))


async def owned(archive, owner):
    return await archive.database.read(find_request, archive.access.vault, owner.request_id)


async def test_a_deleted_study_pauses_its_links_and_a_restored_one_lets_them_go_on(archive, client):
    [uid] = archive.studies[:1]
    link = await archive.share(uid)
    assert await opened(client, link) == (200, None)
    assert await seen(client, f"/s/{link.share_id}") == [uid]
    await change(archive, uid)
    await within_two_seconds(client, link, [])
    assert (await client.get(f"/s/{link.share_id}/dicom-web/studies/{uid}")).status == 404
    assert await opened(client, link) == (409, "link-paused")
    await restore(archive, uid)
    await within_two_seconds(client, link, [uid])
    assert await opened(client, link) == (200, None)


async def test_a_study_that_becomes_another_patients_is_shown_by_no_link_of_the_first(archive, client):
    [uid] = archive.studies[:1]
    link = await archive.share(uid)
    ticket_of = f"/api/s/{link.share_id}/tickets"
    await opened(client, link)
    ticket = (await (await client.post(ticket_of, json={"label": "W"})).json())["ticket"]
    await change(archive, uid, PatientID="P-other")
    await within_two_seconds(client, link, [])
    await within_two_seconds(client, f"/t/{ticket}", [])
    assert (await client.get(f"/t/{ticket}/dicom-web/studies/{uid}")).status == 404
    assert (await client.post(ticket_of, json={"label": "W"})).status == 409
    await change(archive, uid, PatientID="P0")
    await within_two_seconds(client, link, [uid])
    await within_two_seconds(client, f"/t/{ticket}", [uid])
    assert (await client.get(f"/t/{ticket}/dicom-web/studies/{uid}")).status == 200


async def test_the_other_studies_of_a_link_are_shown_on(archive, client):
    first, second = archive.studies[:2]
    link = await archive.share(first, second)
    await opened(client, link)
    await change(archive, first)
    await within_two_seconds(client, link, [second])
    assert await opened(client, link) == (200, None)
    share = await archive.database.read(find_share, link.share_id, archive.access.clock())
    assert (share.held_count, share.paused) == (1, False)


async def test_a_link_without_a_name_pauses_with_the_study_that_its_copy_was_made_from(archive):
    [uid] = archive.studies[:1]
    link = await archive.share(uid, without_name=True)
    share = await archive.database.read(find_share, link.share_id, archive.access.clock())
    [copy] = share.study_uids
    assert share.scope.may_see_study(copy)
    await change(archive, uid, PatientID="P-other")
    share = await archive.database.read(find_share, link.share_id, archive.access.clock())
    assert (share.paused, share.source_uids) == (True, ())
    assert not share.scope.may_see_study(copy)
    await change(archive, uid, PatientID="P0")
    assert (await archive.database.read(find_share, link.share_id, archive.access.clock())).study_uids == (copy,)


@pytest.mark.parametrize("values", [{}, {"PatientID": "P-other"}])
async def test_owner_desk_and_trail_are_told_once_that_it_begins_and_once_that_it_ends(archive, client, owner, values):
    [uid] = archive.studies[:1]
    made = (await owner.share(mode="link"))["links"][0]
    await change(archive, uid, **values)
    [held] = (await owned(archive, owner)).held
    assert (held.why, held.patient_id) == ("patient" if values else "deleted", "P0")
    assert (await owned(archive, owner)).study_uids == ()
    for _ in range(2):
        await archive.database.write(write_changes_down, archive.access.clock())
    assert (await told(archive, "paused"), await told(archive, "resumed")) == (1, 0)
    await (change(archive, uid, PatientID="P0") if values else restore(archive, uid))
    for _ in range(2):
        await archive.database.write(write_changes_down, archive.access.clock())
    assert (await told(archive, "paused"), await told(archive, "resumed")) == (1, 1)
    assert (await owned(archive, owner)).held == ()
    rows = [row for row in await archive.trail("share-change") if row["share_id"] == made["share_id"]]
    assert [json.loads(row["detail"])["study"] for row in rows] == ["paused", "resumed"]


async def test_the_watch_tells_by_itself(archive, client, owner):
    await change(archive, archive.studies[0])
    async with asyncio.timeout(AT_ONCE_S + 1):
        while not await told(archive, "paused"):
            await asyncio.sleep(0.02)


async def test_the_desk_says_that_it_is_the_same_person_and_the_links_go_on(archive, client, owner):
    [uid] = archive.studies[:1]
    made = (await owner.share(mode="link"))["links"][0]
    await change(archive, uid, PatientID="P0-corrected")
    assert (await archive.database.read(find_share, made["share_id"], archive.access.clock())).paused
    await attach_studies(archive.access, owner.request_id, [uid], "staff desk")
    assert (await archive.database.read(find_share, made["share_id"], archive.access.clock())).study_uids == (uid,)
    assert (await owned(archive, owner)).held == ()


async def test_an_import_that_others_added_to_is_shown_by_no_link_of_its_owner_whatever_other_links_there_are(
    archive, owner
):
    [uid] = archive.studies[:1]
    for _ in range(8):
        await archive.share(archive.studies[3])  # the desk's, with no owner
    made = (await owner.share(mode="link"))["links"][0]
    by_owner = sa.update(request_studies).values(matched_by=f"{OWNERS}{owner.request_id}")
    study = sa.select(studies.c.id).where(studies.c.study_uid == uid).scalar_subquery()
    common = {"study_id": study, "stored_ms": 1}
    a_series = sa.insert(series).values(id=1, series_uid="1.2", updated_ms=1, attributes=b"{}", **common)
    facts = {"sop_class_uid": "1.2", "transfer_syntax_uid": "1.2", "digest": "", "length_bytes": 1, "frames": b""}
    foreign = sa.insert(instances).values(
        series_id=1, instance_uid="1.3", is_report=False, is_image=True, stored_by="scanner", **facts, **common
    )
    for statement in (by_owner, a_series, foreign):
        await archive.database.write(lambda connection, done=statement: connection.execute(done).rowcount)
    found = await archive.database.read(find_share, made["share_id"], archive.access.clock())
    assert (found.study_uids, found.held_count) == ((), 1)


async def test_an_owner_sees_nothing_of_a_study_that_is_another_patients_now_and_shares_it_no_more(
    archive, client, owner
):
    await change(archive, archive.studies[0], PatientID="P-other")
    assert (await client.post(f"{owner.api}/shares", json={"mode": "link"})).status == 409
    assert (await client.post(f"{owner.api}/look")).status == 409


async def test_a_paused_link_can_be_switched_off_and_stays_off(archive, client, owner):
    [uid] = archive.studies[:1]
    made = (await owner.share(mode="link"))["links"][0]
    await change(archive, uid)
    assert await end_all_as_owner(archive.access, owner.request_id) == 1
    await restore(archive, uid)
    secret = made["url"].partition("#")[2]
    answer = await client.post(f"/api/s/{made['share_id']}/open", json={"secret": secret})
    assert answer.status == 410


async def test_people_named_under_a_paused_link_wait_with_it(archive, client):
    [uid] = archive.studies[:1]
    parent = await archive.share(uid, mode=Mode.NAMED)
    link = await archive.share(uid, parent_id=parent.share_id)
    await opened(client, link)
    await change(archive, uid)
    await within_two_seconds(client, link, [])


async def test_a_wrong_secret_learns_nothing_of_a_pause(archive, client):
    link = await archive.share(archive.studies[0])
    await change(archive, archive.studies[0])
    assert await opened(client, replace(link, secret="0" * 26)) == (404, "unknown-link")
