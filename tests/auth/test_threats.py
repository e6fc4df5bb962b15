"""Lines of the threat model that have no home elsewhere."""

import json
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa

from archive.audit import Action, Event, json_line
from archive.database.journey_tables import messages
from auth.audit_export import CLOSING, OPENING, audit_message
from auth.desk import desk_row
from auth.requests import find_request
from auth.shares import Mode
from auth.sharing import resume_as_owner
from auth.tokens import random_code


async def contents(archive, purpose):
    query = sa.select(messages.c.content_encrypted).where(messages.c.purpose == purpose)
    sealed = await archive.database.read(lambda connection: connection.execute(query).scalars().all())
    return [json.loads(archive.access.vault.decrypt(one, "message content")) for one in sealed if one]


async def test_a_password_never_leaves_by_the_way_of_its_link(archive, client, owner):
    [made] = (await owner.share(mode="password", send_to="ada@example.org"))["links"]
    [content] = await contents(archive, "share")
    assert made["url"] in content["text"]
    for part in content.values():
        assert made["password"] not in part


async def test_a_paused_link_goes_on_when_its_owner_says_so(archive, client, owner):
    [made] = (await owner.share(mode="password"))["links"]
    secret = made["url"].partition("#")[2]
    for _ in range(20):
        client.session.cookie_jar.clear()
        await client.post(f"/api/s/{made['share_id']}/open", json={"secret": secret})
        await client.post(f"/api/s/{made['share_id']}/password", json={"password": "wrong"})
    await client.post(f"/api/s/{made['share_id']}/open", json={"secret": secret})
    right = {"password": made["password"]}
    assert (await client.post(f"/api/s/{made['share_id']}/password", json=right)).status == 429
    await resume_as_owner(archive.access, owner.request_id, made["share_id"])
    assert (await client.post(f"/api/s/{made['share_id']}/password", json=right)).status == 200


async def test_a_failed_claim_of_an_owner_link_is_shown_at_the_desk(archive, client, owner):
    client.session.cookie_jar.clear()
    await client.post(f"{owner.api}/open", json={"secret": owner.secret})
    await client.post(f"{owner.api}/code", json={"code": "123456"})
    request = await archive.database.read(find_request, archive.access.vault, owner.request_id)
    assert (await archive.database.read(desk_row, request)).request.failures == 1


async def test_asking_for_access_answers_alike_whoever_asks(archive, client, owner):
    people = [{"name": "Ada", "contact": "ada@example.org"}]
    [ada] = (await owner.share(mode="code", people=people))["links"]
    found = ada["share_id"]
    await client.post(f"/api/s/{found}/open", json={"secret": ada["url"].partition("#")[2]})
    answers = [
        await client.post(f"/api/s/{found}/ask", json={"name": "X", "contact": contact})
        for contact in ("ada@example.org", "nobody@example.org", "ada@example.org")
    ]
    assert len({(answer.status, await answer.text()) for answer in answers}) == 1


async def test_a_forged_host_changes_no_address_that_we_give_out(archive, client):
    link = await archive.share()
    await client.post(f"/api/s/{link.share_id}/open", json={"secret": link.secret}, headers={"Host": "evil.example"})
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = await client.post(f"/api/s/{link.share_id}/tickets", json={"label": "W"}, headers=headers)
    assert "evil" not in await answer.text()


@pytest.mark.sqlite
async def test_a_guess_costs_as_much_for_an_unknown_link_as_for_a_wrong_one(archive, client):
    """Both are looked up once and compared once: the same statements run."""
    link = await archive.share(mode=Mode.PASSWORD, password="a long enough password")
    statements = []
    engine = archive.database._reading
    sa.event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2].split()[0]))
    counts = []
    for share_id in (link.share_id, random_code(10)):
        statements.clear()
        await client.post(f"/api/s/{share_id}/open", json={"secret": random_code(26)})
        counts.append(len(statements))
    assert max(counts) - min(counts) <= 1  # the studies of a share that is there


async def test_the_trail_is_exported_as_lines_and_as_dicom_audit_messages(archive):
    nasty = '<a b="c">&\n\x00'
    await archive.access.audit.record(
        Event(
            Action.VIEW, "share", nasty, share_id="ABCDE12345", study_uid="1.2", series_uid="1.3", address="192.0.2.7"
        ),
        Event(Action.STAFF_SIGN_IN, "staff", "staff m.curie", detail={"device": "Firefox Linux"}),
        *(Event(action, "server", "test") for action in Action),
    )
    rows = await archive.trail()
    document = ElementTree.fromstring(OPENING + "".join(audit_message(row) for row in rows) + CLOSING)
    first = document[0]
    assert [child.tag for child in first] == [
        "EventIdentification",
        "ActiveParticipant",
        "AuditSourceIdentification",
        "ParticipantObjectIdentification",
        "ParticipantObjectIdentification",
    ]
    assert first.find("EventIdentification/EventID").get("csd-code") == "110103"
    assert first.find("ActiveParticipant").get("NetworkAccessPointID") == "192.0.2.7"
    assert document[1].find("EventIdentification/EventTypeCode").get("csd-code") == "110122"
    assert len(document) == len(rows) == len([json.loads(json_line(row)) for row in rows])
