"""Staff who sign in at the institution's identity provider: with a real one, and with one that lies in every way."""

import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from databases import at, copy_at
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from archive.database.engine import open_database
from archive.dicomweb.problems import setup_problems
from archive.pages.problems import present_problem
from archive.pages.rendering import PAGES, Pages
from archive.pages.routes import routes as page_routes
from auth.access import AccessSettings, open_access
from auth.gate import install
from auth.identity_provider import IdentityProvider, ProviderSettings
from auth.routes import routes
from auth.single_sign_on import CALLBACK
from auth.staff import end_staff, list_staff
from tests.servers import free_port

BASE = "http://127.0.0.1:8042"
ROLES = {"RAD-DESK": "desk", "RAD-IT": "admin auditor", "AUDIT": "auditor"}


@dataclass
class LyingProvider:
    """A provider that tells whatever a test wants told. It checks PKCE and the redirect as a good one does."""

    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    issuer: str = ""
    claims: dict[str, object] = field(default_factory=dict)
    algorithm: str = "RS256"
    signed_with: object = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key_reads: int = 0

    def authorize(self, url: str, redirect: str | None = None) -> str:
        """What the browser comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert (redirect or asked["redirect_uri"]) == BASE + CALLBACK
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{CALLBACK}?code={code}&state={asked['state']}"

    async def discovery(self, request: web.Request) -> web.Response:
        ends = {f"{name}_endpoint": f"{self.issuer}/{name}" for name in ("authorization", "token", "end_session")}
        return web.json_response({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **ends})

    async def jwks(self, request: web.Request) -> web.Response:
        self.key_reads += 1
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        if (
            asked is None
            or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
            or request.headers["Authorization"] != aiohttp.encode_basic_auth("lightbox", "s3cret")
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now_s = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "lightbox",
            "sub": "u1",
            "name": "Marie Curie",
            "groups": ["RAD-DESK"],
            "exp": now_s + 300,
            "iat": now_s,
            "nonce": asked["nonce"],
            **self.claims,
        }
        if self.algorithm == "none":
            parts = [{"alg": "none", "typ": "JWT"}, claims]
            token = ".".join(
                base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
            )
            return web.json_response({"id_token": token + "."})
        key = self.signed_with or self.key
        return web.json_response(
            {"id_token": jwt.encode({"alg": self.algorithm, "kid": "1"}, claims, key, algorithms=[self.algorithm])}
        )


@dataclass
class Institution:
    """A server whose staff sign in at `provider`."""

    client: TestClient
    access: object
    provider: LyingProvider

    async def begin(self):
        answer = await self.client.post("/api/staff/sso", json={})
        assert answer.status == 200, await answer.text()
        return (await answer.json())["url"]

    async def come_back(self, address):
        return await self.client.get(address, allow_redirects=False)

    async def sign_in(self):
        return await self.come_back(self.provider.authorize(await self.begin()))

    async def is_in(self):
        answer = await self.client.post("/api/desk/requests", json={"wants": "no", "channels": []})
        return answer.status == 201


@pytest.fixture
async def access(migrated, tmp_path):
    copy_at(migrated, tmp_path / "archive.sqlite")
    database = open_database(at(tmp_path / "archive.sqlite"))
    async with open_access(database, AccessSettings(BASE, tmp_path / "vault.key")) as access:
        yield access
    await database.close()


@pytest.fixture
async def staff_client(access):
    app = web.Application()
    setup_problems(app, present_problem)
    install(app, access)
    app[PAGES] = Pages()
    app.add_routes(routes())
    app.add_routes(page_routes())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def institution(access, staff_client):
    lying = LyingProvider()
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", lying.discovery),
            web.get("/jwks", lying.jwks),
            web.post("/token", lying.token),
        ]
    )
    async with TestServer(app) as server:
        lying.issuer = str(server.make_url("")).rstrip("/")
        access.provider = IdentityProvider(ProviderSettings(lying.issuer, "lightbox", "s3cret", roles=ROLES))
        yield Institution(staff_client, access, lying)


async def test_who_is_in_the_group_of_the_desk_is_at_the_desk(institution):
    answer = await institution.sign_in()
    assert (answer.status, answer.headers["Location"]) == (303, "/desk")
    assert await institution.is_in()
    assert (await institution.client.post("/api/staff/accounts", json={})).status == 403
    members = await list_staff(institution.access.database)
    assert [(one.name, sorted(one.roles), one.is_elsewhere) for one in members] == [("Marie Curie", ["desk"], True)]


@pytest.mark.parametrize("groups", [[], ["SURGERY"], "admin", ["desk", "admin"], None, [["RAD-DESK"]], {"RAD-DESK": 1}])
async def test_a_group_that_the_settings_do_not_name_gives_no_role(institution, groups):
    institution.provider.claims["groups"] = groups
    assert (await institution.sign_in()).status == 403
    assert not await institution.is_in()
    assert await list_staff(institution.access.database) == []


LIES = {
    "another audience": {"aud": "another"},
    "two audiences, no azp": {"aud": ["lightbox", "another"]},
    "another azp": {"aud": ["lightbox", "another"], "azp": "another"},
    "another issuer": {"iss": "https://login.example.com"},
    "expired": {"exp": int(time.time()) - 120},
    "for ever": {"exp": int(time.time()) + 10 * 86_400},
    "no end": {"exp": None},
    "from the future": {"iat": int(time.time()) + 600},
    "not yet": {"nbf": int(time.time()) + 600},
    "another sign-in's nonce": {"nonce": "of another"},
    "no nonce": {"nonce": ""},
    "nobody": {"sub": ""},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_is_not_for_this_sign_in_is_refused(institution, lie):
    institution.provider.claims = LIES[lie]
    assert (await institution.sign_in()).status == 403
    assert not await institution.is_in()


async def test_a_clock_that_is_a_little_off_is_no_lie(institution):
    now_s = int(time.time())
    institution.provider.claims = {"exp": now_s - 20, "iat": now_s + 20}
    assert (await institution.sign_in()).status == 303


@pytest.mark.parametrize("algorithm", ["none", "HS256", "another key"])
async def test_a_token_without_the_providers_signature_is_refused(institution, algorithm):
    lying = institution.provider
    if algorithm == "another key":
        lying.signed_with = RSAKey.generate_key(2048, {"kid": "1"})
    else:
        lying.algorithm = algorithm
        lying.signed_with = OctKey.import_key(json.dumps(lying.key.as_dict(private=False)).encode())
    assert (await institution.sign_in()).status == 403
    assert not await institution.is_in()


async def test_an_answer_is_good_once(institution):
    back = institution.provider.authorize(await institution.begin())
    assert (await institution.come_back(back)).status == 303
    await institution.client.delete("/api/staff/session")
    assert (await institution.come_back(back)).status == 403
    assert not await institution.is_in()


async def test_an_answer_in_another_browser_is_refused_and_does_not_use_the_sign_in_up(institution):
    back = institution.provider.authorize(await institution.begin())
    async with aiohttp.ClientSession() as stranger:
        url = institution.client.make_url(back)
        assert (await stranger.get(url, allow_redirects=False)).status == 403
    assert (await institution.come_back(back)).status == 303


@pytest.mark.parametrize("change", [("state=", "state=x"), ("code=", "code=x"), ("?", "?iss=https://evil.example&")])
async def test_a_changed_answer_is_refused(institution, change):
    back = institution.provider.authorize(await institution.begin())
    assert (await institution.come_back(back.replace(*change, 1))).status == 403


async def test_a_code_of_another_sign_in_is_refused_by_its_verifier(institution):
    stolen = institution.provider.authorize(await institution.begin())
    own = institution.provider.authorize(await institution.begin())
    code = re.search(r"code=([^&]+)", stolen)[1]
    assert (await institution.come_back(re.sub(r"code=[^&]+", f"code={code}", own))).status == 403


async def test_a_sign_in_is_over_after_ten_minutes(institution):
    back = institution.provider.authorize(await institution.begin())
    now_ms = time.time_ns() // 1_000_000 + 601_000
    institution.access.clock._wall_ms = lambda: now_ms
    assert (await institution.come_back(back)).status == 403


async def test_roles_are_what_the_provider_says_at_each_sign_in(institution):
    assert (await institution.sign_in()).status == 303
    institution.provider.claims["groups"] = ["RAD-IT"]
    assert (await institution.sign_in()).status == 303
    assert [sorted(one.roles) for one in await list_staff(institution.access.database)] == [["admin", "auditor"]]
    institution.provider.claims["groups"] = []
    assert (await institution.sign_in()).status == 403
    assert not await institution.is_in()


async def test_who_is_not_of_the_desk_goes_on_to_the_page_that_is_theirs(institution):
    institution.provider.claims["groups"] = ["AUDIT"]
    answer = await institution.sign_in()
    answer = await institution.come_back(answer.headers["Location"])
    assert (answer.status, answer.headers["Location"]) == (303, "/admin")
    assert (await institution.come_back("/admin")).status == 200


async def test_no_account_made_here_is_taken_over_by_its_name(institution):
    institution.provider.claims |= {"preferred_username": "m.curie", "email": "m.curie@example.org"}
    await institution.sign_in()
    (member,) = await list_staff(institution.access.database)
    assert member.staff_id.startswith("sso-")
    body = {"id": member.staff_id, "password": ""}
    assert (await institution.client.post("/api/staff/sign-in", json=body)).status == 403


async def test_an_account_closed_here_stays_closed_whatever_the_provider_says(institution):
    await institution.sign_in()
    (member,) = await list_staff(institution.access.database)
    await end_staff(institution.access.database, member.staff_id, institution.access.clock())
    assert (await institution.sign_in()).status == 403
    assert not await institution.is_in()


async def test_the_providers_new_keys_are_fetched_and_not_at_every_lie(institution, monkeypatch):
    assert (await institution.sign_in()).status == 303
    institution.provider.key = RSAKey.generate_key(2048, {"kid": "1"})
    assert (await institution.sign_in()).status == 403  # asked for a moment ago
    reads = institution.provider.key_reads
    monkeypatch.setattr("auth.identity_provider.REFRESH_EVERY_S", 0.0)
    assert (await institution.sign_in()).status == 303
    assert institution.provider.key_reads == reads + 1


async def test_a_provider_that_names_another_issuer_is_not_used(institution):
    institution.provider.issuer = "https://login.example.com"
    assert (await institution.client.post("/api/staff/sso", json={})).status == 503


async def test_another_site_cannot_begin_a_sign_in(institution):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert (await institution.client.post("/api/staff/sso", json={}, headers=headers)).status == 403


async def test_signing_out_ends_the_session_here_and_goes_on_to_the_providers(institution):
    await institution.sign_in()
    answer = await institution.client.delete("/api/staff/session")
    url = (await answer.json())["url"]
    assert url.startswith(f"{institution.provider.issuer}/end_session?client_id=lightbox&")
    assert not await institution.is_in()


async def test_a_failed_sign_in_is_told_on_a_page_with_the_way_back(institution):
    page = await institution.client.get(f"{CALLBACK}?state=x&code=y", headers={"Accept": "text/html"})
    assert page.status == 403
    assert "Begin again" in (text := await page.text())
    assert 'href="/staff"' in text


async def test_without_a_provider_there_is_neither_button_nor_way(staff_client):
    assert "sso" not in await (await staff_client.get("/staff")).text()
    assert (await staff_client.post("/api/staff/sso", json={})).status == 404
    assert (await staff_client.get(CALLBACK, allow_redirects=False)).status == 404


@pytest.fixture
def real_provider(tmp_path):
    """oidc-provider-mock: other people's provider, in a process of its own."""
    port = free_port()
    users = [{"sub": "marie", "name": "Marie Curie", "groups": ["RAD-DESK"]}, {"sub": "eve", "groups": ["SURGERY"]}]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    for user in users:
        command += ["--user-claims", json.dumps(user)]
    with (tmp_path / "provider.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    yield f"http://localhost:{port}"
    process.terminate()
    process.wait(20)


async def answering(issuer):
    """Wait until the provider answers."""
    deadline = time.monotonic() + 60
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(f"{issuer}/.well-known/openid-configuration") as answer:
                    return await answer.json()
            except aiohttp.ClientError:
                time.sleep(0.1)
    raise TimeoutError(issuer)


@pytest.mark.parametrize(("who", "status"), [("marie", 303), ("eve", 403)])
async def test_a_real_provider_signs_staff_in_by_their_group(access, staff_client, real_provider, who, status):
    await answering(real_provider)
    access.provider = IdentityProvider(ProviderSettings(real_provider, "lightbox", "s3cret", roles=ROLES))
    institution = Institution(staff_client, access, LyingProvider())
    url = await institution.begin()
    async with aiohttp.ClientSession() as browser, browser.post(url, data={"sub": who}, allow_redirects=False) as said:
        back = urlsplit(said.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == BASE + CALLBACK
    assert (await institution.come_back(f"{CALLBACK}?{back.query}")).status == status
    assert await institution.is_in() == (status == 303)
