"""An owner's passkey: set up after the code, opens the page without one, told of, taken away; the code still works."""

import hashlib
import json
from dataclasses import dataclass, field

import cbor2
import pytest
import sqlalchemy as sa
import webauthn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from archive.database.journey_tables import notices, passkeys
from archive.delivery.outbox import Channel
from auth.desk import Sending, renew_link

ORIGIN, RP_ID = "http://127.0.0.1:8042", "127.0.0.1"
PRESENT_AND_VERIFIED, WITH_KEY = 0x05, 0x40


@dataclass
class Authenticator:
    """A device that answers as WebAuthn says, with one key and no attestation."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = b"one key of one device"
    origin: str = ORIGIN
    flags: int = PRESENT_AND_VERIFIED
    count: int = 0

    def create(self, options):
        numbers = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        kept = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + cbor2.dumps(public)
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(WITH_KEY) + kept}
        return self._answer("create", options, attestationObject=cbor2.dumps(attestation))

    def get(self, options):
        self.count += 1
        data, told = self._data(0), self._told("get", options)
        signature = self.key.sign(data + hashlib.sha256(told).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer("get", options, authenticatorData=data, signature=signature)

    def _data(self, further):
        return hashlib.sha256(RP_ID.encode()).digest() + bytes([self.flags | further]) + self.count.to_bytes(4)

    def _told(self, what, options):
        return json.dumps(
            {"type": f"webauthn.{what}", "challenge": options["challenge"], "origin": self.origin}
        ).encode()

    def _answer(self, what, options, **response):
        written = {name: webauthn.helpers.bytes_to_base64url(value) for name, value in response.items()}
        written["clientDataJSON"] = webauthn.helpers.bytes_to_base64url(self._told(what, options))
        raw = webauthn.helpers.bytes_to_base64url(self.credential_id)
        return {"credential": {"id": raw, "rawId": raw, "type": "public-key", "response": written}}


async def set_up(client, owner, device):
    options = (await (await client.post(f"{owner.api}/passkey/options", json={})).json())["create"]
    return await client.post(f"{owner.api}/passkey", json=device.create(options))


async def opened_again(client, owner):
    client.session.cookie_jar.clear()
    answer = await client.post(f"{owner.api}/open", json={"secret": owner.secret})
    return await answer.json()


async def asked(client, owner):
    return (await (await client.post(f"{owner.api}/passkey/options", json={})).json())["get"]


async def is_open(client, owner):
    return (await (await client.get(f"{owner.api}/session")).json())["open"]


@pytest.fixture
async def device(client, owner):
    device = Authenticator()
    assert (await set_up(client, owner, device)).status == 200
    return device


async def test_a_passkey_opens_the_owners_page_without_a_code(client, owner, device):
    told = await opened_again(client, owner)
    assert (told["next"], told["instead"]) == ("passkey", "code")
    assert not await is_open(client, owner)
    answer = await client.post(f"{owner.api}/passkey", json=device.get(await asked(client, owner)))
    assert (answer.status, (await answer.json())["next"]) == (200, "none")
    assert await is_open(client, owner)


async def test_a_code_opens_the_page_still(client, owner, device):
    told = await opened_again(client, owner)
    assert set(told["contacts"]) == {"email", "sms"}
    await client.post(f"{owner.api}/code/send", json={"channel": "sms"})
    answer = await client.post(f"{owner.api}/code", json={"code": await owner.code(owner.request_id)})
    assert answer.status == 200
    assert await is_open(client, owner)


async def test_no_passkey_is_set_up_before_the_page_is_open(client, owner):
    await opened_again(client, owner)
    options = await (await client.post(f"{owner.api}/passkey/options", json={})).json()
    assert set(options) == {"get"}
    assert options["get"]["allowCredentials"] == []
    answer = await client.post(f"{owner.api}/passkey", json=Authenticator().create(options["get"]))
    assert answer.status == 403
    assert not await is_open(client, owner)


async def test_without_the_link_a_passkey_is_not_even_asked_for(client, owner, device):
    client.session.cookie_jar.clear()
    assert (await client.post(f"{owner.api}/passkey/options", json={})).status == 401
    assert (await client.post(f"{owner.api}/passkey", json={"credential": {}})).status == 401


@pytest.mark.parametrize(
    "other",
    [
        {"key": ec.generate_private_key(ec.SECP256R1())},
        {"credential_id": b"a key of nobody"},
        {"origin": "https://evil.example"},
        {"flags": 0x01},
    ],
)
async def test_another_key_site_or_finger_opens_nothing_and_is_told(archive, client, owner, device, other):
    await opened_again(client, owner)
    wrong = Authenticator(**({"key": device.key} | other))
    answer = await client.post(f"{owner.api}/passkey", json=wrong.get(await asked(client, owner)))
    assert (answer.status, (await answer.json())["code"]) == (403, "wrong-passkey")
    assert not await is_open(client, owner)
    kinds = sa.select(notices.c.kind).where(notices.c.request_id == owner.request_id)
    assert "claim" in await archive.database.read(lambda connection: connection.execute(kinds).scalars().all())


async def test_an_answer_is_good_for_its_own_challenge_and_once(client, owner, device):
    await opened_again(client, owner)
    answer = device.get(await asked(client, owner))
    assert (await client.post(f"{owner.api}/passkey", json=answer)).status == 200
    await opened_again(client, owner)
    await asked(client, owner)
    assert (await client.post(f"{owner.api}/passkey", json=answer)).status == 403


async def test_setting_one_up_is_told_to_the_contact_on_file_and_written_down(archive, client, owner, device):
    kinds = sa.select(notices.c.kind).where(notices.c.request_id == owner.request_id)
    assert await archive.database.read(lambda connection: connection.execute(kinds).scalars().all()) == ["passkey"]
    rows = await archive.trail("request-change")
    assert json.loads(rows[-1]["detail"]) == {"passkey": "made"}


async def test_the_owner_takes_a_passkey_away_and_it_opens_nothing_any_more(archive, client, owner, device):
    number = await archive.database.read(lambda connection: connection.execute(sa.select(passkeys.c.id)).scalar_one())
    assert (await client.delete(f"{owner.api}/passkeys/{number + 1}")).status == 404
    assert (await client.delete(f"{owner.api}/passkeys/{number}")).status == 204
    assert (await opened_again(client, owner))["next"] == "code"
    answer = await client.post(f"{owner.api}/passkey", json=device.get(await asked(client, owner)))
    assert answer.status == 403


async def test_a_right_contact_put_on_file_ends_the_passkeys_made_under_the_wrong_one(archive, client, owner, device):
    same = await renew_link(archive.access, (owner.request_id, "desk"), None, Sending(on_paper=True))
    owner.secret = same.link.secret
    assert (await opened_again(client, owner))["next"] == "passkey"
    right = ("right@example.org", "")
    sending = Sending(frozenset({Channel.EMAIL}), on_paper=True)
    owner.secret = (await renew_link(archive.access, (owner.request_id, "desk"), right, sending)).link.secret
    assert (await opened_again(client, owner))["next"] == "code"
