"""The owner's link and what owners do with it: check, share in four ways, watch, switch off."""

import asyncio
from dataclasses import replace

import pyotp
import pytest
import sqlalchemy as sa

from archive.database.journey_tables import messages, notices, requests
from auth.codes import LIFE_MS, SENDS_PER_HOUR, TRIES
from auth.trail import read_trail


def secret_of(made):
    return made["url"].partition("#")[2]


async def opened(client, made):
    answer = await client.post(f"/api/s/{made['share_id']}/open", json={"secret": secret_of(made)})
    assert answer.status == 200
    return (await answer.json())["next"]


async def sees(client, made):
    return (await client.get(f"/s/{made['share_id']}/dicom-web/studies")).status == 200


async def half_open(archive, client, owner):
    client.session.cookie_jar.clear()
    answer = await client.post(f"{owner.api}/open", json={"secret": owner.secret})
    return await answer.json()


async def test_a_stranger_with_the_owner_link_sees_masked_contacts_and_nothing_else(archive, client, owner):
    told = await half_open(archive, client, owner)
    assert told == {"next": "code", "contacts": {"email": "z…@e….org", "sms": "+49 … 67"}}
    for method, path in (("post", "check"), ("post", "shares"), ("post", "look"), ("delete", "shares")):
        assert (await client.request(method, f"{owner.api}/{path}", json={})).status == 401


async def test_the_code_goes_to_the_contact_on_file_and_no_other(archive, client, owner):
    await half_open(archive, client, owner)
    for channel in ("evil@example.org", "fax", ""):
        assert (await client.post(f"{owner.api}/code/send", json={"channel": channel})).status == 400


async def test_a_code_is_for_once_for_ten_minutes_and_for_this_browser(archive, client, owner):
    await half_open(archive, client, owner)
    archive.wall.advance(s=3600)
    await half_open(archive, client, owner)
    await client.post(f"{owner.api}/code/send", json={"channel": "email"})
    first = await owner.code(owner.request_id)
    await client.post(f"{owner.api}/code/send", json={"channel": "email"})
    second = await owner.code(owner.request_id)
    if first != second:
        assert (await client.post(f"{owner.api}/code", json={"code": first})).status == 403
    mine = client.session.cookie_jar.filter_cookies(client.make_url("/"))
    await half_open(archive, client, owner)
    assert (await client.post(f"{owner.api}/code", json={"code": second})).status == 403
    client.session.cookie_jar.clear()
    client.session.cookie_jar.update_cookies(mine)
    right = await client.post(f"{owner.api}/code", json={"code": f" {second[:3]} {second[3:]} "})
    assert right.status == 200
    assert (await client.post(f"{owner.api}/code", json={"code": second})).status == 403


async def test_a_code_expires(archive, client, owner):
    archive.wall.advance(s=3600)
    await half_open(archive, client, owner)
    await client.post(f"{owner.api}/code/send", json={"channel": "email"})
    archive.wall.advance(s=LIFE_MS / 1000)
    assert (await client.post(f"{owner.api}/code", json={"code": await owner.code(owner.request_id)})).status == 403


async def test_the_sixth_try_of_a_code_fails_even_when_it_is_right(archive, client, owner):
    archive.wall.advance(s=3600)
    await half_open(archive, client, owner)
    await client.post(f"{owner.api}/code/send", json={"channel": "email"})
    code = await owner.code(owner.request_id)
    wrong = "000000" if code != "000000" else "000001"
    for _ in range(TRIES):
        assert (await client.post(f"{owner.api}/code", json={"code": wrong})).status == 403
        archive.wall.advance(s=5)
    assert (await client.post(f"{owner.api}/code", json={"code": code})).status == 403


async def test_fifty_guesses_of_a_code_at_once_are_five_tries(archive, client, owner):
    archive.wall.advance(s=3600)
    await half_open(archive, client, owner)
    await client.post(f"{owner.api}/code/send", json={"channel": "email"})
    answers = await asyncio.gather(
        *(client.post(f"{owner.api}/code", json={"code": f"{guess:06}"}) for guess in range(50))
    )
    assert sum(answer.status == 403 for answer in answers) <= TRIES


async def test_three_codes_an_hour_and_then_the_desk_can_still_renew(archive, client, owner):
    await half_open(archive, client, owner)
    statuses = [
        (await client.post(f"{owner.api}/code/send", json={"channel": "sms"})).status for _ in range(SENDS_PER_HOUR)
    ]
    assert statuses == [202, 202, 429]
    from archive.delivery.outbox import Channel
    from auth.desk import Sending, renew_link

    way = Sending(frozenset({Channel.EMAIL}))
    assert (await renew_link(archive.access, (owner.request_id, "staff desk"), None, way)).request_id


async def test_a_wrong_code_is_told_to_the_owner(archive, client, owner):
    archive.wall.advance(s=3600)
    await half_open(archive, client, owner)
    await client.post(f"{owner.api}/code/send", json={"channel": "email"})
    code = await owner.code(owner.request_id)
    await client.post(f"{owner.api}/code", json={"code": "000000" if code != "000000" else "000001"})
    kinds = await archive.database.read(
        lambda connection: connection.execute(sa.select(notices.c.kind)).scalars().all()
    )
    assert "claim" in kinds


async def test_nothing_can_be_shared_before_the_link_was_checked(archive, client, owner):
    await archive.database.write(
        lambda connection: connection.execute(sa.update(requests).values(verified_ms=None)).rowcount
    )
    answer = await client.post(f"{owner.api}/shares", json={"mode": "link"})
    assert (answer.status, (await answer.json())["code"]) == (409, "not-checked")


@pytest.mark.parametrize("mode", ["link", "password"])
async def test_a_link_and_a_password_are_made_shown_once_and_work(archive, client, owner, mode):
    [made] = (await owner.share(mode=mode))["links"]
    assert made["qr"].startswith("<svg")
    following = await opened(client, made)
    assert following == ("none" if mode == "link" else "password")
    if mode == "password":
        assert not await sees(client, made)
        path = f"/api/s/{made['share_id']}/password"
        assert (await client.post(path, json={"password": made["password"]})).status == 200
    assert await sees(client, made)


async def test_a_password_from_the_patients_papers_is_refused(archive, client, owner):
    for password in ("Zoë Müller 1", "24.12.1980", "+491701234567", "short", "password1"):
        answer = await client.post(f"{owner.api}/shares", json={"mode": "password", "password": password})
        assert answer.status == 400, password


async def test_a_named_person_gets_in_by_a_code_to_their_own_contact(archive, client, owner):
    people = [{"name": "Dr. Ada", "contact": "ada@example.org"}, {"name": "Bo", "contact": "+491709999999"}]
    ada, bo = (await owner.share(mode="code", people=people))["links"]
    assert (ada["name"], bo["name"]) == ("Dr. Ada", "Bo")
    assert await opened(client, ada) == "code"
    sent = await client.post(f"/api/s/{ada['share_id']}/code/send", json={"language": "fr"})
    assert await sent.json() == {"sent_to": "a…@e….org"}
    code = await owner.code(ada["share_id"])
    await opened(client, bo)
    assert (await client.post(f"/api/s/{bo['share_id']}/code", json={"code": code})).status == 403
    assert (await client.post(f"/api/s/{ada['share_id']}/code", json={"code": code})).status == 200
    assert await sees(client, ada)
    assert not await sees(client, bo)
    assert (await client.post(f"/api/s/{ada['share_id']}/code", json={"code": code})).status == 403


async def test_switching_one_person_off_leaves_the_other(archive, client, owner):
    people = [{"name": "Ada", "contact": "ada@example.org"}, {"name": "Bo", "contact": "bo@example.org"}]
    made = (await owner.share(mode="code", people=people))["links"]
    for one in made:
        await opened(client, one)
        await client.post(f"/api/s/{one['share_id']}/code/send", json={})
        code = await owner.code(one["share_id"])
        assert (await client.post(f"/api/s/{one['share_id']}/code", json={"code": code})).status == 200
    assert (await client.delete(f"{owner.api}/shares/{made[0]['share_id']}")).status == 204
    assert not await sees(client, made[0])
    assert await sees(client, made[1])


async def test_an_app_is_set_up_after_a_code_and_then_asked_alone(archive, client, owner):
    [made] = (await owner.share(mode="totp", people=[{"name": "Ada", "contact": "ada@example.org"}]))["links"]
    api = f"/api/s/{made['share_id']}"
    assert await opened(client, made) == "code"
    assert (await client.post(f"{api}/totp", json={"code": "000000"})).status == 401
    await client.post(f"{api}/code/send", json={})
    told = await (await client.post(f"{api}/code", json={"code": await owner.code(made["share_id"])})).json()
    assert told["next"] == "setup-totp"
    assert not await sees(client, made)
    app = pyotp.TOTP(told["seed"])
    now = app.at(archive.wall.now_ms // 1000)
    assert (await client.post(f"{api}/totp", json={"code": now})).status == 200
    assert await sees(client, made)
    client.session.cookie_jar.clear()
    assert await opened(client, made) == "totp"
    assert (await client.post(f"{api}/totp", json={"code": now})).status == 403
    archive.wall.advance(s=60)
    assert (await client.post(f"{api}/totp", json={"code": app.at(archive.wall.now_ms // 1000)})).status == 200
    assert await sees(client, made)


async def test_a_passkey_cannot_be_set_up_before_the_code(archive, client, owner):
    [made] = (await owner.share(mode="passkey", people=[{"name": "Ada", "contact": "ada@example.org"}]))["links"]
    api = f"/api/s/{made['share_id']}"
    assert await opened(client, made) == "code"
    assert (await client.post(f"{api}/passkey/options", json={})).status == 401
    assert (await client.post(f"{api}/passkey", json={"credential": {}})).status == 401
    await client.post(f"{api}/code/send", json={})
    told = await (await client.post(f"{api}/code", json={"code": await owner.code(made["share_id"])})).json()
    assert told["next"] == "setup-passkey"
    options = await (await client.post(f"{api}/passkey/options", json={})).json()
    assert options["create"]["rp"]["id"] == "127.0.0.1"
    assert (await client.post(f"{api}/passkey", json={"credential": {"rawId": "AA"}})).status == 403
    assert not await sees(client, made)


async def test_a_named_persons_link_passed_on_can_only_ask(archive, client, owner):
    [ada] = (await owner.share(mode="code", people=[{"name": "Ada", "contact": "ada@example.org"}]))["links"]
    asking = {"name": "Eve", "contact": "eve@example.org"}
    assert (await client.post(f"/api/s/{ada['share_id']}/ask", json=asking)).status == 401
    assert await opened(client, ada) == "code"
    assert (await client.post(f"/api/s/{ada['share_id']}/ask", json=asking)).status == 202
    assert not await sees(client, ada)
    granted = await client.post(f"{owner.api}/asking/1", json={"grant": True})
    [made] = (await granted.json())["links"]
    assert (made["name"], made["sent_to"]) == ("Eve", "e…@e….org")
    assert await opened(client, made) == "code"
    assert (await client.post(f"{owner.api}/asking/1", json={"grant": True})).status == 404


async def test_who_is_refused_gets_no_link(archive, client, owner):
    [ada] = (await owner.share(mode="code", people=[{"name": "Ada", "contact": "ada@example.org"}]))["links"]
    await opened(client, ada)
    await client.post(f"/api/s/{ada['share_id']}/ask", json={"name": "Eve", "contact": "eve@example.org"})
    answer = await client.post(f"{owner.api}/asking/1", json={"grant": False})
    assert await answer.json() == {"links": []}


async def test_switching_everything_off_ends_sessions_tickets_and_links(archive, client, owner):
    [made] = (await owner.share(mode="link"))["links"]
    await opened(client, made)
    ticket = (await (await client.post(f"/api/s/{made['share_id']}/tickets", json={"label": "W"})).json())["ticket"]
    assert await (await client.delete(f"{owner.api}/shares")).json() == {"ended": 1}
    assert not await sees(client, made)
    assert (await client.get(f"/t/{ticket}/dicom-web/studies")).status == 401
    again = await client.post(f"/api/s/{made['share_id']}/open", json={"secret": secret_of(made)})
    assert again.status == 410


async def test_an_owner_cannot_touch_anothers_share(archive, client, owner):
    foreign = await archive.share()
    for method, path in (("delete", ""), ("post", "/look"), ("post", "/resume")):
        answer = await client.request(method, f"{owner.api}/shares/{foreign.share_id}{path}", json={})
        assert answer.status == 404
    assert (await client.post("/api/o/0000000000/shares", json={"mode": "link"})).status == 401


async def test_seeing_what_others_see_gives_no_right_of_the_owners(archive, client, owner):
    [made] = (await owner.share(mode="password"))["links"]
    answer = await client.post(f"{owner.api}/shares/{made['share_id']}/look")
    assert await answer.json() == {"url": f"/s/{made['share_id']}/images"}
    assert await sees(client, made)
    cookies = client.session.cookie_jar.filter_cookies(client.make_url("/"))
    client.session.cookie_jar.clear()
    name = f"lightbox-s-{made['share_id']}"
    client.session.cookie_jar.update_cookies({name: cookies[name].value})
    assert (await client.delete(f"{owner.api}/shares")).status == 401


async def test_owners_look_at_their_own_images_without_a_link_to_them(archive, client, owner):
    first = await (await client.post(f"{owner.api}/look")).json()
    second = await (await client.post(f"{owner.api}/look")).json()
    assert first == second
    share_id = first["url"].split("/")[2]
    assert await (await client.get(f"/s/{share_id}/dicom-web/studies")).json() == [archive.studies[0]]


async def test_the_trail_tells_who_opened_what_and_when_and_wrong_tries(archive, client, owner):
    [made] = (await owner.share(mode="password"))["links"]
    await opened(client, made)
    await client.post(f"/api/s/{made['share_id']}/password", json={"password": "wrong"})
    await client.post(f"/api/s/{made['share_id']}/password", json={"password": made["password"]})
    frame = f"/s/{made['share_id']}/dicom-web/studies/{archive.studies[0]}/series/1.5/instances/1.6/frames/1"
    await client.get(frame)
    await client.get(f"/s/{made['share_id']}/dicom-web/studies/{archive.studies[0]}")
    await client.post(f"/api/s/{made['share_id']}/tickets", json={"label": "W"})
    await archive.access.audit.flush()
    trail = [
        one for one in await archive.database.read(read_trail, owner.request_id) if one.share_id == made["share_id"]
    ]
    assert [(one.what, one.refused) for one in trail] == [
        ("ticket-create", False),
        ("download", False),
        ("view", False),
        ("share-open", False),
        ("share-step", True),
        ("share-create", False),
    ]
    assert trail[2].series_uid == "1.5"
    assert all(one.network in ("", "127.0.0.…") for one in trail)


async def test_the_first_opening_is_told_at_once_and_later_ones_once_a_day(archive, client, owner):
    [made] = (await owner.share(mode="link"))["links"]
    for _ in range(3):
        client.session.cookie_jar.clear()
        await opened(client, made)
    query = sa.select(notices.c.kind, notices.c.due_ms - notices.c.created_ms).order_by(notices.c.id)
    found = await archive.database.read(lambda connection: connection.execute(query).all())
    assert [tuple(row) for row in found] == [("opened", 0), ("again", 86_400_000)]


async def test_failures_in_a_burst_are_told_at_once(archive, client, owner):
    [made] = (await owner.share(mode="password"))["links"]
    for _ in range(5):
        client.session.cookie_jar.clear()
        await opened(client, made)
        await client.post(f"/api/s/{made['share_id']}/password", json={"password": "wrong"})
    query = sa.select(notices.c.kind).where(notices.c.share_id == made["share_id"])
    assert "failures" in await archive.database.read(lambda connection: connection.execute(query).scalars().all())


async def test_an_end_in_three_days_is_told_once(archive, client, owner):
    from auth.notices import warn_of_ends

    await owner.share(mode="link", days=7)
    archive.wall.advance(s=5 * 86_400)
    for _ in range(2):
        await archive.database.write(warn_of_ends, archive.access.clock())
    query = sa.select(notices.c.kind).where(notices.c.kind == "expires")
    assert len(await archive.database.read(lambda connection: connection.execute(query).all())) == 1


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"mode": "anything"}, "mode"),
        ({"mode": "named"}, "mode"),
        ({"mode": "code"}, "people"),
        ({"mode": "code", "people": [{"name": "A", "contact": "nobody"}]}, "mobile"),
        ({"mode": "code", "people": [{"name": "", "contact": "a@example.org"}]}, "name"),
        ({"mode": "link", "days": 400}, "expires"),
        ({"mode": "link", "days": "7"}, "days"),
        ({"mode": "link", "maximum_opens": 0}, "maximum_opens"),
        ({"mode": "link", "may_download": "no"}, "may_download"),
        ({"mode": "link", "send_to": "a@b"}, "email"),
    ],
)
async def test_a_choice_that_makes_no_sense_is_named(archive, client, owner, values, parameter):
    answer = await client.post(f"{owner.api}/shares", json=values)
    assert (answer.status, (await answer.json())["parameter"]) == (400, parameter)


async def test_the_owner_decides_on_downloads_reports_and_what_comes_later(archive, client, owner):
    values = {"mode": "link", "may_download": False, "with_reports": False, "frozen": True, "maximum_opens": 2}
    [made] = (await owner.share(**values))["links"]
    from auth.shares import find_share

    share = await archive.database.read(find_share, made["share_id"], archive.access.clock())
    assert (share.may_download, share.with_reports, share.maximum_opens) == (False, False, 2)
    assert share.frozen_ms == archive.wall.now_ms
    assert share.scope == replace(share.scope, with_reports=False)


async def test_an_owner_who_takes_the_consent_back_stops_what_is_still_to_be_sent_and_every_link(
    archive, client, owner
):
    [made] = (await owner.share(mode="link"))["links"]
    await opened(client, made)
    assert (await client.post(f"{owner.api}/withdraw")).status == 204
    assert not await sees(client, made)
    query = sa.select(messages.c.state).where(messages.c.about == owner.request_id)
    assert "queued" not in await archive.database.read(lambda connection: connection.execute(query).scalars().all())
