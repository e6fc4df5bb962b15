"""Who asks, by which way, and what they may: tokens, tickets, roots, sites, and endings that take effect at once."""

import asyncio
import base64
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from archive.errors import StorageFullError
from auth.access import device_family
from auth.gate import is_download
from auth.shares import revoke_share
from auth.tickets import MAXIMUM_LIVING, TICKET_PREFIX
from auth.tokens import create_token, list_tokens, parse_roles, revoke_token


async def token_for(archive, *roles):
    return await create_token(archive.database, "machine", parse_roles(roles), archive.access.clock())


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


async def opened(client, link):
    await client.post(f"/api/s/{link.share_id}/open", json={"secret": link.secret})


async def ticket_for(client, link, **values):
    await opened(client, link)
    answer = await client.post(f"/api/s/{link.share_id}/tickets", json={"label": "Weasis", **values})
    assert answer.status == 201
    return (await answer.json())["ticket"]


@pytest.mark.parametrize(
    ("roles", "reading", "storing", "deleting"),
    [
        (("store",), 403, 200, 403),
        (("read",), 200, 403, 403),
        (("store", "read"), 200, 200, 403),
        (("admin",), 200, 200, 200),
    ],
)
async def test_a_token_may_what_its_roles_say(archive, client, roles, reading, storing, deleting):
    headers = bearer(await token_for(archive, *roles))
    assert (await client.get("/dicom-web/studies", headers=headers)).status == reading
    assert (await client.post("/dicom-web/studies", headers=headers)).status == storing
    assert (await client.delete("/dicom-web/studies/1.2", headers=headers)).status == deleting


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer wrong",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic !!!",
        "Basic " + base64.b64encode(b"user:").decode(),
        "Digest x",
        "Bearer " + "x" * 5000,
    ],
)
async def test_nobody_gets_401_with_a_challenge(client, header):
    headers = {} if header is None else {"Authorization": header}
    for method in ("get", "post"):
        answer = await client.request(method, "/dicom-web/studies", headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_prefix_of_a_token_is_no_token(archive, client):
    token = await token_for(archive, "read")
    assert (await client.get("/dicom-web/studies", headers=bearer(token[:-2]))).status == 401


async def test_a_browser_is_never_asked_by_a_password_prompt(client):
    answer = await client.get("/dicom-web/studies", headers={"User-Agent": "Mozilla/5.0"})
    assert answer.headers.getall("WWW-Authenticate") == ['Bearer realm="lightbox"']
    other = await client.get("/dicom-web/studies", headers={"User-Agent": "OsiriX"})
    assert 'Basic realm="lightbox"' in other.headers.getall("WWW-Authenticate")


async def test_a_credential_in_a_query_is_refused_even_when_it_is_right(archive, client):
    token = await token_for(archive, "admin")
    for name in ("token", "access_token", "Token"):
        answer = await client.get("/dicom-web/studies", params={name: token}, headers=bearer(token))
        assert answer.status == 401


async def test_a_token_is_no_path_and_a_cookie_no_header(archive, client):
    token = await token_for(archive, "admin")
    assert (await client.get(f"/t/{token}/dicom-web/studies")).status == 401
    link = await archive.share()
    await opened(client, link)
    assert (await client.get("/dicom-web/studies")).status == 401
    assert (await client.get(f"/s/{link.share_id}/dicom-web/studies")).status == 200
    client.session.cookie_jar.clear()
    assert (await client.get(f"/s/{link.share_id}/dicom-web/studies", headers=bearer(token))).status == 401


async def test_a_revoked_token_fails_with_the_next_request_after_the_cache(archive, client):
    headers = bearer(await token_for(archive, "read"))
    assert (await client.get("/dicom-web/studies", headers=headers)).status == 200
    await revoke_token(archive.database, (await list_tokens(archive.database))[0].token_id, archive.access.clock())
    archive.access.forget()
    assert (await client.get("/dicom-web/studies", headers=headers)).status == 401


async def test_a_ticket_works_as_bearer_as_basic_password_and_as_path(archive, client):
    link = await archive.share(archive.studies[2])
    ticket = await ticket_for(client, link)
    client.session.cookie_jar.clear()
    basic = {"Authorization": "Basic " + base64.b64encode(f"anyone:{ticket}".encode()).decode()}
    for path, headers in (
        ("/dicom-web/studies", bearer(ticket)),
        ("/dicom-web/studies", basic),
        (f"/t/{ticket}/dicom-web/studies", {}),
    ):
        assert await (await client.get(path, headers=headers)).json() == [archive.studies[2]]


async def test_a_ticket_is_not_a_session(archive, client):
    link = await archive.share()
    ticket = await ticket_for(client, link)
    client.session.cookie_jar.clear()
    for headers in ({}, bearer(ticket), {"Cookie": f"lightbox-s-{link.share_id}={ticket}"}):
        for method in ("get", "post"):
            answer = await client.request(method, f"/api/s/{link.share_id}/tickets", headers=headers, json={})
            assert answer.status == 401


async def test_a_ticket_stores_and_deletes_nothing_and_neither_does_a_session(archive, client):
    link = await archive.share()
    ticket = await ticket_for(client, link)
    for root in (f"/t/{ticket}/dicom-web", f"/s/{link.share_id}/dicom-web"):
        assert (await client.post(f"{root}/studies")).status == 403
        assert (await client.delete(f"{root}/studies/{archive.studies[0]}")).status == 403


async def test_a_ticket_expires_and_ends_with_its_share(archive, client):
    link = await archive.share()
    short, long = await ticket_for(client, link, ttl_s=60), await ticket_for(client, link)
    archive.wall.advance(s=60)
    assert (await client.get(f"/t/{short}/dicom-web/studies")).status == 401
    assert (await client.get(f"/t/{long}/dicom-web/studies")).status == 200
    await revoke_share(archive.database, link.share_id, "test", archive.access.clock())
    archive.access.forget()
    assert (await client.get(f"/t/{long}/dicom-web/studies")).status == 401


async def test_tickets_are_listed_without_themselves_and_can_be_switched_off(archive, client):
    link = await archive.share()
    ticket = await ticket_for(client, link)
    answer = await client.get(f"/api/s/{link.share_id}/tickets")
    [listed] = await answer.json()
    assert listed["label"] == "Weasis"
    assert ticket not in await answer.text()
    assert (await client.delete(f"/api/s/{link.share_id}/tickets/{listed['id']}")).status == 204
    assert (await client.get(f"/t/{ticket}/dicom-web/studies")).status == 401
    assert (await client.delete(f"/api/s/{link.share_id}/tickets/{listed['id']}")).status == 404


async def test_a_ticket_has_limits(archive, client):
    link = await archive.share()
    await opened(client, link)
    url = f"/api/s/{link.share_id}/tickets"
    for values in ({"ttl_s": 59}, {"ttl_s": 43_201}, {"label": "x" * 61}, {"label": "a\nb"}, {"ttl_s": "1"}):
        assert (await client.post(url, json=values)).status == 400
    for _ in range(MAXIMUM_LIVING):
        assert (await client.post(url, json={})).status == 201
    assert (await client.post(url, json={})).status == 400


async def test_a_share_without_download_gives_no_file_and_no_ticket_and_shows_the_pixels(archive, client):
    link = await archive.share(may_download=False)
    await opened(client, link)
    root = f"/s/{link.share_id}/dicom-web"
    assert (await client.get(f"{root}/studies/{archive.studies[0]}")).status == 403
    frame = await client.get(f"{root}/studies/{archive.studies[0]}/series/1.2/instances/1.3/frames/1")
    assert await frame.read() == b"pixels"
    assert (await client.post(f"/api/s/{link.share_id}/tickets", json={})).status == 403
    refused = [row for row in await archive.trail("download") if row["outcome"] == "refused"]
    assert [row["study_uid"] for row in refused] == [archive.studies[0]]


async def test_a_streamed_file_is_refused_before_its_first_byte(archive):
    for content_type, expected in (
        ("application/dicom", True),
        ("application/zip", True),
        ('multipart/related; type="application/dicom"; boundary=x', True),
        ("multipart/related; boundary=x; type=application/dicom", True),
        ('multipart/related; type="application/dicom+xml"; boundary=x', False),
        ('multipart/related; type="application/octet-stream"; boundary=x', False),
        ("application/dicom+json", False),
        ("image/jpeg", False),
    ):
        assert is_download(web.StreamResponse(headers={"Content-Type": content_type})) is expected


async def test_the_root_is_the_one_that_was_come_in_by(archive, client):
    link = await archive.share()
    ticket = await ticket_for(client, link)
    for root, headers in (
        (f"/s/{link.share_id}/dicom-web", {}),
        (f"/t/{ticket}/dicom-web", {}),
        ("/dicom-web", bearer(ticket)),
    ):
        assert (await (await client.get(f"{root}/root", headers=headers)).json())["root"] == root


async def test_an_access_is_in_the_trail_once_and_its_repetitions_are_counted(archive, client):
    link = await archive.share()
    await opened(client, link)
    frame = f"/s/{link.share_id}/dicom-web/studies/{archive.studies[0]}/series/1.2/instances/1.3/frames/1"
    await asyncio.gather(*((client.get(frame)) for _ in range(20)))
    first, further = await archive.trail("view")
    assert (first["study_uid"], first["series_uid"], first["share_id"]) == (archive.studies[0], "1.2", link.share_id)
    assert first["count"] == 1
    assert further["count"] == 19


async def test_an_access_that_cannot_be_written_down_does_not_happen(archive, client, monkeypatch):
    link = await archive.share()
    await opened(client, link)

    async def full(*_: object) -> None:
        raise StorageFullError("The disk of the database is full.")

    monkeypatch.setattr(archive.access.audit, "read", full)
    for path in (f"studies/{archive.studies[0]}/series/1.2/instances/1.3/frames/1", "studies"):
        answer = await client.get(f"/s/{link.share_id}/dicom-web/{path}")
        assert answer.status == 507
        assert b"pixels" not in await answer.read()


async def test_other_sites_get_cors_on_ticket_roots_and_never_on_a_cookie_root(archive, client):
    link = await archive.share()
    ticket = await ticket_for(client, link)
    asked = {"Origin": "https://ohif.example", "Access-Control-Request-Method": "GET"}
    for root in ("/dicom-web", f"/t/{ticket}/dicom-web", "/t/wrong/dicom-web"):
        preflight = await client.options(f"{root}/studies", headers=asked)
        assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, "*")
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        answer = await client.get(f"{root}/studies", headers={"Origin": "https://ohif.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    own = await client.get(f"/s/{link.share_id}/dicom-web/studies", headers={"Origin": "https://ohif.example"})
    assert "Access-Control-Allow-Origin" not in own.headers
    assert own.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_a_ticket_root_takes_no_cookie(archive, client):
    link = await archive.share()
    await opened(client, link)
    assert (await client.get(f"/t/{TICKET_PREFIX}x/dicom-web/studies")).status == 401


async def test_another_site_cannot_make_a_browser_change_anything(archive, client):
    link = await archive.share()
    await opened(client, link)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert (await client.delete(f"/api/s/{link.share_id}/session", headers=headers)).status == 403
    own = {"Origin": archive.access.public_base}
    assert (await client.delete(f"/api/s/{link.share_id}/session", headers=own)).status == 204


async def test_every_answer_says_no_referrer_no_sniffing_no_index_no_store(archive, client):
    for path in ("/dicom-web/studies", "/s/0000000000/dicom-web/studies", "/nowhere"):
        headers = (await client.get(path)).headers
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Robots-Tag"].startswith("noindex")
        assert headers["Cache-Control"] == "no-store"
    archive.access.settings = replace(archive.access.settings, public_base="https://images.example")
    assert "max-age=31536000" in (await client.get("/nowhere")).headers["Strict-Transport-Security"]


async def test_a_forwarded_address_is_believed_only_from_a_known_proxy(archive, client):
    link = await archive.share()

    async def address() -> str:
        await client.post(
            f"/api/s/{link.share_id}/open",
            json={"secret": link.secret},
            headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.7"},
        )
        return (await archive.trail("share-open"))[-1]["address"]

    assert await address() == "127.0.0.1"
    archive.access.settings = replace(archive.access.settings, trusted_proxies=frozenset({"127.0.0.1"}))
    assert await address() == "198.51.100.7"


@pytest.mark.parametrize("way", ["session", "ticket", "token"])
async def test_a_running_download_breaks_off_within_two_seconds_of_its_ending(archive, way):
    """The server notices while it streams: neither the handler nor the client does anything for it."""
    from auth.gate import install
    from auth.routes import routes

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)
            await asyncio.sleep(0.05)

    app = web.Application()
    install(app, archive.access)
    app.add_routes(routes())
    app.add_routes(
        [web.get(root + "/endless", endless) for root in ("/dicom-web", "/s/{i}/dicom-web", "/t/{t}/dicom-web")]
    )
    async with TestClient(TestServer(app)) as client:
        link, token = await archive.share(), await token_for(archive, "read")
        ticket = await ticket_for(client, link)
        path = {"session": f"/s/{link.share_id}", "ticket": f"/t/{ticket}", "token": ""}[way]
        answer = await client.get(f"{path}/dicom-web/endless", headers=bearer(token) if way == "token" else {})
        await answer.content.readexactly(1000)
        await revoke_share(archive.database, link.share_id, "test", archive.access.clock())
        await revoke_token(archive.database, (await list_tokens(archive.database))[0].token_id, archive.access.clock())
        async with asyncio.timeout(2):
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


def test_a_device_is_told_in_two_words():
    android = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"
    assert device_family(android) == "Chrome Android"
    assert device_family("curl/8.0") == ""
