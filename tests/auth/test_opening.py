"""From a link to a session, over HTTP, and everything that does not lead there."""

import asyncio
import statistics
import time
from dataclasses import replace

import pytest

from auth.limits import FREE_TRIES, LIFETIME_FAILURES, PAUSE_MS, UNKNOWN_PER_MINUTE, WINDOW_FAILURES
from auth.opening import UnknownLinkError, open_link
from auth.sessions import Visitor
from auth.shares import Ending, Mode, end_share
from auth.tokens import random_code

PASSWORD = "four words that nobody says"


async def opened(client, link, secret=None):
    return await client.post(f"/api/s/{link.share_id}/open", json={"secret": secret or link.secret})


async def tried(client, link, password):
    return await client.post(f"/api/s/{link.share_id}/password", json={"password": password})


async def studies(client, link):
    return await client.get(f"/s/{link.share_id}/dicom-web/studies")


async def test_a_link_alone_opens_its_study_through_a_cookie(archive, client):
    link = await archive.share(archive.studies[1])
    assert (await studies(client, link)).status == 401
    answer = await opened(client, link)
    assert await answer.json() == {"next": "none"}
    assert await (await studies(client, link)).json() == [archive.studies[1]]


async def test_the_cookie_is_for_scripts_invisible_and_named_by_the_share(archive, client):
    link = await archive.share()
    cookie = (await opened(client, link)).cookies[f"lightbox-s-{link.share_id}"]
    assert cookie["httponly"] is True
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")
    archive.access.settings = replace(archive.access.settings, public_base="https://images.example")
    secure = (await opened(client, link)).cookies[f"__Host-s-{link.share_id}"]
    assert secure["secure"] is True


async def test_a_link_is_taken_in_small_letters_with_dashes(archive, client):
    link = await archive.share()
    share_id, secret = link.typed()
    answer = await client.post(f"/api/s/{share_id.lower()}/open", json={"secret": secret.lower()})
    assert answer.status == 200


async def test_unknown_and_wrong_links_get_one_and_the_same_answer(archive, client):
    link = await archive.share()
    wrong = await opened(client, link, random_code(26))
    unknown = await client.post(f"/api/s/{random_code(10)}/open", json={"secret": link.secret})
    cannot_be = await client.post("/api/s/x%21/open", json={"secret": "x"})
    assert wrong.status == unknown.status == cannot_be.status == 404
    told = [await answer.json() for answer in (wrong, unknown, cannot_be)]
    assert [{**one, "request_id": ""} for one in told] == [{**told[0], "request_id": ""}] * 3
    assert "Set-Cookie" not in wrong.headers


@pytest.mark.sqlite
async def test_unknown_ids_and_wrong_secrets_take_the_same_time_also_where_a_password_follows(archive):
    """S20: whoever lacks the secret learns nothing, not even by a clock; a slow hash on one way would be seen.

    A password can be tried only once the link's 130 bits matched, so its own answer (403) tells a stranger nothing.
    """
    ways = {
        "unknown": random_code(10),
        "without a password": (await archive.share()).share_id,
        "with a password": (await archive.share(mode=Mode.PASSWORD, password=PASSWORD)).share_id,
    }
    took_s = {way: [] for way in ways}
    for number in range(40):
        visitor = Visitor("", f"network {number}", "test")  # many networks, so that none is told to wait
        for way, share_id in ways.items():
            started_s = time.perf_counter()
            with pytest.raises(UnknownLinkError):
                await open_link(archive.access, share_id, random_code(26), visitor)
            took_s[way].append(time.perf_counter() - started_s)
    medians_s = [statistics.median(times_s) for times_s in took_s.values()]
    started_s = time.perf_counter()
    await archive.passwords.hash(PASSWORD)
    assert max(medians_s) - min(medians_s) < (time.perf_counter() - started_s) / 2


@pytest.mark.parametrize("ending", [Ending.REVOKED, Ending.WITHDRAWN, Ending.ROTATED])
async def test_a_right_link_that_is_over_says_why_and_a_wrong_one_does_not(archive, client, ending):
    link = await archive.share()
    await archive.database.write(end_share, link.share_id, ending, "test", archive.access.clock())
    answer = await opened(client, link)
    assert answer.status == 410
    assert len((await answer.json())["message"]) > 20
    assert (await opened(client, link, random_code(26))).status == 404


async def test_an_expired_link_says_so(archive, client):
    link = await archive.share(ttl_s=60)
    archive.wall.advance(s=61)
    answer = await opened(client, link)
    assert (answer.status, (await answer.json())["message"]) == (410, "This link has expired.")


async def test_a_password_is_asked_for_and_nothing_is_seen_before_it(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    answer = await opened(client, link)
    assert await answer.json() == {"next": "password"}
    assert (await studies(client, link)).status == 401
    wrong = await tried(client, link, PASSWORD + "!")
    assert wrong.status == 403
    assert (await studies(client, link)).status == 401
    assert (await tried(client, link, PASSWORD)).status == 200
    assert (await studies(client, link)).status == 200


async def test_the_password_step_cannot_be_called_without_the_link(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    assert (await tried(client, link, PASSWORD)).status == 401
    other = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    await opened(client, other)
    assert (await tried(client, link, PASSWORD)).status == 401


async def test_the_cookie_from_before_the_password_is_worth_nothing_after_it(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    name = f"lightbox-s-{link.share_id}"
    before = (await opened(client, link)).cookies[name].value
    after = (await tried(client, link, PASSWORD)).cookies[name].value
    client.session.cookie_jar.clear()
    for value, status in ((before, 401), (after, 200)):
        answer = await client.get(f"/s/{link.share_id}/dicom-web/studies", cookies={name: value})
        client.session.cookie_jar.clear()
        assert answer.status == status


async def test_a_cookie_of_one_share_opens_no_other(archive, client):
    mine, other = await archive.share(), await archive.share(archive.studies[1])
    value = (await opened(client, mine)).cookies[f"lightbox-s-{mine.share_id}"].value
    answer = await client.get(f"/s/{other.share_id}/dicom-web/studies", cookies={f"lightbox-s-{other.share_id}": value})
    assert answer.status == 401


async def test_wrong_passwords_are_slowed_down_after_three(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    await opened(client, link)
    for _ in range(FREE_TRIES + 1):
        assert (await tried(client, link, "wrong")).status == 403
    slowed = await tried(client, link, PASSWORD)
    assert (slowed.status, slowed.headers["Retry-After"]) == (429, "1")
    archive.wall.advance(s=1)
    assert (await tried(client, link, PASSWORD)).status == 200


async def test_a_share_pauses_after_twenty_wrong_tries_and_open_sessions_go_on(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    await opened(client, link)
    assert (await tried(client, link, PASSWORD)).status == 200
    inside = {
        f"lightbox-s-{link.share_id}": client.session.cookie_jar.filter_cookies(client.make_url("/")).popitem()[1].value
    }
    for _ in range(WINDOW_FAILURES):
        client.session.cookie_jar.clear()
        await opened(client, link)
        assert (await tried(client, link, "wrong")).status == 403
    client.session.cookie_jar.clear()
    await opened(client, link)
    assert (await tried(client, link, PASSWORD)).status == 429
    client.session.cookie_jar.clear()
    assert (await client.get(f"/s/{link.share_id}/dicom-web/studies", cookies=inside)).status == 200
    archive.wall.advance(s=PAUSE_MS / 1000)
    client.session.cookie_jar.clear()
    await opened(client, link)
    assert (await tried(client, link, PASSWORD)).status == 200


async def test_fifty_parallel_guesses_never_exceed_the_counter(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    cookies = []
    for _ in range(50):
        client.session.cookie_jar.clear()
        cookies.append((await opened(client, link)).cookies[f"lightbox-s-{link.share_id}"].value)
    client.session.cookie_jar.clear()

    async def guess(value: str) -> int:
        headers = {"Cookie": f"lightbox-s-{link.share_id}={value}"}
        url = f"/api/s/{link.share_id}/password"
        return (await client.post(url, json={"password": "wrong"}, headers=headers)).status

    statuses = await asyncio.gather(*map(guess, cookies))
    assert statuses.count(403) == WINDOW_FAILURES
    assert statuses.count(429) == 50 - WINDOW_FAILURES


async def test_a_hundred_failures_in_its_life_pause_a_share_until_its_owner_resumes(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    failures = 0
    while failures < LIFETIME_FAILURES:
        client.session.cookie_jar.clear()
        await opened(client, link)
        failures += (await tried(client, link, "wrong")).status == 403
        archive.wall.advance(s=1000)
    archive.wall.advance(s=86_400)
    client.session.cookie_jar.clear()
    await opened(client, link)
    assert (await tried(client, link, PASSWORD)).status == 429


async def test_right_passwords_never_use_the_counter_up(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    for _ in range(WINDOW_FAILURES + 5):
        client.session.cookie_jar.clear()
        await opened(client, link)
        assert (await tried(client, link, PASSWORD)).status == 200


async def test_many_unknown_links_are_slowed_down_and_a_right_one_is_not(archive, client):
    link = await archive.share()
    for _ in range(UNKNOWN_PER_MINUTE):
        assert (await opened(client, link, random_code(26))).status == 404
    assert (await opened(client, link, random_code(26))).status == 429
    assert (await opened(client, link)).status == 200


async def test_a_link_opens_as_often_as_it_may_also_when_asked_at_once(archive, client):
    link = await archive.share(maximum_opens=3)
    answers = await asyncio.gather(*(opened(client, link) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [410] * 17


async def test_looking_at_the_page_and_the_session_uses_no_opening_up(archive, client):
    link = await archive.share(maximum_opens=1)
    for _ in range(3):
        assert await (await client.get(f"/api/s/{link.share_id}/session")).json() == {"open": False}
    assert (await opened(client, link)).status == 200
    assert await (await client.get(f"/api/s/{link.share_id}/session")).json() == {"open": True}


async def test_a_session_ends_when_idle_and_at_its_absolute_end(archive, client):
    link = await archive.share()
    await opened(client, link)
    for _ in range(16):
        archive.wall.advance(s=29 * 60)
        archive.access.forget()
        assert (await studies(client, link)).status == 200
    archive.wall.advance(s=29 * 60)
    archive.access.forget()
    assert (await studies(client, link)).status == 401
    await opened(client, link)
    archive.wall.advance(s=30 * 60)
    archive.access.forget()
    assert (await studies(client, link)).status == 401


async def test_done_ends_the_session(archive, client):
    link = await archive.share()
    await opened(client, link)
    answer = await client.delete(f"/api/s/{link.share_id}/session")
    assert answer.status == 204
    assert (await studies(client, link)).status == 401


async def test_a_body_that_is_not_what_it_should_be_is_refused(archive, client):
    url = f"/api/s/{random_code(10)}/open"
    for body, status in (
        ({"data": b"secret=x", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": b"[" * 9000, "headers": {"Content-Type": "application/json"}}, 400),
        ({"json": []}, 400),
        ({"json": {"secret": 5}}, 400),
        ({"json": {}}, 400),
        ({"json": {"secret": "x" * 20_000}}, 413),
    ):
        assert (await client.post(url, **body)).status == status


async def test_every_step_is_in_the_trail_and_no_secret_is(archive, client):
    link = await archive.share(mode=Mode.PASSWORD, password=PASSWORD)
    await opened(client, link)
    await tried(client, link, "a wrong password")
    await tried(client, link, PASSWORD)
    await studies(client, link)
    trail = await archive.trail()
    assert [(row["action"], row["outcome"]) for row in trail] == [
        ("share-create", "success"),
        ("share-step", "refused"),
        ("share-open", "success"),
        ("search", "success"),
    ]
    assert {row["share_id"] for row in trail} == {link.share_id}
    text = str([dict(row) for row in trail])
    assert not any(secret in text for secret in (link.secret, PASSWORD, "a wrong password"))
