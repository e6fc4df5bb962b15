"""A request at the desk and on a patient's telephone, the owner link, matching, and consent."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from archive.database import index_tables
from archive.database.journey_tables import messages, requests
from archive.delivery.outbox import Channel, Channels, states
from archive.delivery.sms import SmsSettings
from archive.errors import BadRequestError, ConflictError
from auth.desk import (
    Sending,
    attach_studies,
    confirm_request,
    renew_link,
    take_patients_request,
    take_request,
    withdraw_consent,
)
from auth.matching import match_waiting
from auth.requests import NewRequest, RequestState, find_request

FORM = NewRequest(
    True,
    name="Zoë Müller",
    email="zoe@example.org",
    mobile="+49 170 1234567",
    language="de",
    patient_id="P-1",
    accession_number="A-1",
    consented=True,
    by="staff desk",
)
ALL_WAYS = Sending(frozenset({Channel.EMAIL, Channel.SMS}), on_paper=True)


async def request_of(archive, request_id):
    return await archive.database.read(find_request, archive.access.vault, request_id)


async def queued(archive, request_id, purpose="link"):
    """What waits about a request, decrypted: channel → content."""

    def rows(connection):
        query = sa.select(messages).where(messages.c.about == request_id, messages.c.purpose == purpose)
        return connection.execute(query.order_by(messages.c.id)).mappings().all()

    found = {}
    for row in await archive.database.read(rows):
        if row["content_encrypted"]:
            text = archive.access.vault.decrypt(row["content_encrypted"], "message content")
            found[row["channel"]] = SimpleNamespace(**json.loads(text))
    return found


def insert_study(connection, study_uid, patient_id, accession_number):
    connection.execute(
        sa.insert(index_tables.studies).values(
            study_uid=study_uid,
            PatientID=patient_id,
            AccessionNumber=accession_number,
            stored_ms=1,
            updated_ms=1,
            attributes=b"{}",
        )
    )


async def study_arrives(archive, study_uid, patient_id, accession_number):
    await archive.database.write(insert_study, study_uid, patient_id, accession_number)
    await archive.database.write(match_waiting, archive.access.clock())


async def test_three_ways_carry_one_and_the_same_owner_link(archive):
    made = await take_request(archive.access, FORM, ALL_WAYS)
    url = made.link.url(archive.access.public_base)
    sent = await queued(archive, made.request_id)
    assert set(sent) == {"email", "sms"}
    for content in sent.values():
        assert url in content.text
    assert url in sent["email"].html
    listed = await archive.database.read(states, made.request_id)
    assert {one.channel for one in listed} == {Channel.EMAIL, Channel.SMS}


async def test_messages_hold_no_name_and_nothing_of_the_examination(archive):
    made = await take_request(archive.access, FORM, ALL_WAYS)
    for content in (await queued(archive, made.request_id)).values():
        whole = content.text + content.subject + content.html
        for secret in ("Zoë", "Müller", "P-1", "A-1", "CT", "1980"):
            assert not re.search(rf"\b{secret}\b", whole)


async def test_a_no_is_kept_without_contacts_and_nothing_is_sent(archive):
    made = await take_request(archive.access, replace(FORM, wants_images=False), ALL_WAYS)
    request = await request_of(archive, made.request_id)
    assert request.state is RequestState.DECLINED
    assert (request.name, request.email, request.mobile) == ("", "", "")
    assert made.link is None
    assert await archive.database.read(states, made.request_id) == []


async def test_consent_is_kept_with_version_language_time_and_who(archive):
    made = await take_request(archive.access, FORM, ALL_WAYS)
    request = await request_of(archive, made.request_id)
    assert (request.consent_version, request.language, request.consent_by) == ("2026-11", "de", "staff desk")
    assert request.consent_ms == archive.wall.now_ms


async def test_without_consent_nothing_is_made(archive):
    with pytest.raises(BadRequestError) as caught:
        await take_request(archive.access, replace(FORM, consented=False), ALL_WAYS)
    assert caught.value.parameter == "consented"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no address"),
        ("email", "a@b.example\r\nBcc: evil@x.example"),
        ("email", "Zoe <zoe@example.org>"),
        ("mobile", "12"),
        ("mobile", "+49 170 12345678901234"),
        ("name", "x" * 121),
        ("helper", "a\nb"),
        ("accession_number", "x" * 65),
    ],
)
async def test_a_field_that_is_not_right_is_named(archive, field, value):
    with pytest.raises(BadRequestError) as caught:
        await take_request(archive.access, replace(FORM, **{field: value}), ALL_WAYS)
    assert caught.value.parameter == field


async def test_a_national_number_gets_the_country_of_the_house(archive):
    archive.access.settings = replace(archive.access.settings, country_code="+49")
    made = await take_request(archive.access, replace(FORM, mobile="0170 / 123 45 67"), ALL_WAYS)
    assert (await request_of(archive, made.request_id)).mobile == "+491701234567"


@pytest.mark.sqlite
async def test_a_leaked_database_holds_no_contact_no_link_and_no_message(archive):
    made = await take_request(archive.access, FORM, ALL_WAYS)
    path = archive.database._path
    kept = path.read_bytes() + path.with_name(path.name + "-wal").read_bytes()
    for secret in (made.link.secret, "zoe@example.org", "+491701234567", "Müller"):
        assert secret.encode() not in kept


async def test_a_study_with_both_numbers_is_found_when_it_arrives(archive):
    made = await take_request(archive.access, FORM, ALL_WAYS)
    assert (await request_of(archive, made.request_id)).state is RequestState.WAITING
    await study_arrives(archive, "1.9.1", "P-1", "A-1")
    request = await request_of(archive, made.request_id)
    assert (request.state, request.study_uids) == (RequestState.MATCHED, ("1.9.1",))


async def test_a_study_that_was_there_before_is_found_at_once(archive):
    await study_arrives(archive, "1.9.1", "P-1", "A-1")
    made = await take_request(archive.access, FORM, ALL_WAYS)
    assert (await request_of(archive, made.request_id)).state is RequestState.MATCHED


@pytest.mark.parametrize(
    ("arriving", "why"),
    [
        ([("P-2", "A-1")], "unlike"),
        ([("P-1", "A-7")], "unlike"),
        ([("P-1", "A-1"), ("P-1", "A-1")], "several"),
    ],
)
async def test_a_doubtful_match_is_the_desks_to_decide(archive, arriving, why):
    for number, numbers in enumerate(arriving):
        await archive.database.write(
            lambda connection, n=number, two=numbers: (
                connection.execute(
                    sa.insert(index_tables.studies).values(
                        study_uid=f"1.9.{n}",
                        PatientID=two[0],
                        AccessionNumber=two[1],
                        stored_ms=1,
                        updated_ms=1,
                        attributes=b"{}",
                    )
                ).rowcount
            )
        )
    made = await take_request(archive.access, FORM, ALL_WAYS)
    request = await request_of(archive, made.request_id)
    assert (request.state, request.reason, request.study_uids) == (RequestState.DOUBTFUL, why, ())
    await attach_studies(archive.access, made.request_id, ["1.9.0"], "staff desk")
    request = await request_of(archive, made.request_id)
    assert (request.state, request.study_uids) == (RequestState.MATCHED, ("1.9.0",))


async def test_a_request_without_accession_number_is_never_guessed(archive):
    await study_arrives(archive, "1.9.1", "P-1", "A-1")
    made = await take_request(archive.access, replace(FORM, accession_number=""), ALL_WAYS)
    request = await request_of(archive, made.request_id)
    assert (request.state, request.reason) == (RequestState.DOUBTFUL, "incomplete")


async def test_a_patients_own_form_waits_for_the_desk_and_sends_nothing(archive):
    request_id = await take_patients_request(archive.access, replace(FORM, by="staff forged"))
    request = await request_of(archive, request_id)
    assert (request.state, request.created_by, request.consent_by) == (RequestState.NEW, "patient", "patient")
    assert await archive.database.read(states, request_id) == []
    made = await confirm_request(archive.access, request_id, ("P-1", "A-1"), ALL_WAYS, "staff desk")
    assert made.link is not None
    assert set(await queued(archive, request_id)) == {"email", "sms"}
    with pytest.raises(ConflictError):
        await confirm_request(archive.access, request_id, ("P-1", "A-1"), ALL_WAYS, "staff desk")


async def test_a_new_link_kills_the_old_one_and_its_session(archive, client, owner):
    assert (await client.get(f"{owner.api}/session")).status == 200
    assert await (await client.get(f"{owner.api}/session")).json() == {"open": True}
    fixed = ("right@example.org", "")
    made = await renew_link(
        archive.access, (owner.request_id, "staff desk"), fixed, Sending(frozenset({Channel.EMAIL}))
    )
    assert made.link is None
    assert await (await client.get(f"{owner.api}/session")).json() == {"open": False}
    assert (await client.post(f"{owner.api}/open", json={"secret": owner.secret})).status == 404
    request = await request_of(archive, owner.request_id)
    assert (request.email, request.mobile) == ("right@example.org", "")


async def test_withdrawing_consent_kills_every_link_of_it(archive, client, owner):
    share = (await owner.share(mode="link"))["links"][0]
    guest = await client.post(f"/api/s/{share['share_id']}/open", json={"secret": share["url"].partition("#")[2]})
    assert guest.status == 200
    assert (await client.get(f"/s/{share['share_id']}/dicom-web/studies")).status == 200
    await withdraw_consent(archive.access, owner.request_id, "staff desk")
    assert (await client.get(f"/s/{share['share_id']}/dicom-web/studies")).status == 401
    again = await client.post(f"/api/s/{share['share_id']}/open", json={"secret": share["url"].partition("#")[2]})
    assert (again.status, (await again.json())["code"]) == (410, "link-withdrawn")
    assert (await client.post(f"{owner.api}/open", json={"secret": owner.secret})).status == 404


async def test_who_cannot_be_sent_a_code_gets_words(archive, client):
    made = await take_request(archive.access, replace(FORM, email="", mobile=""), Sending(on_paper=True))
    assert re.fullmatch(r"([a-z]{4}-){3}[a-z]{4}", made.passphrase)
    api = f"/api/o/{made.request_id}"
    answer = await client.post(f"{api}/open", json={"secret": made.link.secret})
    assert await answer.json() == {"next": "passphrase", "contacts": {}}
    assert (await client.post(f"{api}/passphrase", json={"passphrase": "bad-guess-here"})).status == 403
    right = await client.post(f"{api}/passphrase", json={"passphrase": made.passphrase})
    assert (await right.json())["next"] == "none"


async def test_a_way_that_is_not_set_up_is_refused(archive):
    archive.access.outbox.channels = Channels(sms=SmsSettings("file:/dev/null"))
    with pytest.raises(BadRequestError):
        await take_request(archive.access, FORM, ALL_WAYS)
    assert (
        await archive.database.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(requests)).scalar()) == 0
    )
