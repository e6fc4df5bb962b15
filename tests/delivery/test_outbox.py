"""The durable queue against a real SMTP server and a real HTTP gateway, both on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from databases import at
from servers import free_port

from archive.database.engine import Database, migrate, open_database
from archive.database.journey_tables import messages
from archive.delivery.mail import MailSettings
from archive.delivery.outbox import DELAYS_S, Channel, Channels, Content, NewMessage, Outbox, State, states, withdraw
from archive.delivery.sms import SmsSettings
from archive.errors import TooManyRequestsError
from archive.vault import Vault

CONTENT = Content("Grüße\n\nhttps://x.example/o/A#B\n", "Ihr Link", "<p>Grüße</p>")


@dataclass
class Sink:
    """An SMTP server that keeps what it gets, or answers as it is told."""

    answers: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.answers and self.answers[0].startswith("rcpt:"):
            return self.answers.pop(0).removeprefix("rcpt:")
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        return "250 ok"


@dataclass
class Post:
    database: Database
    outbox: Outbox
    sink: Sink
    now_ms: int = 1_800_000_000_000

    async def put(self, **values: object) -> int:
        new = NewMessage(
            values.pop("channel", Channel.EMAIL),
            "link",
            "REQ",
            values.pop("contact", "zoe@example.org"),
            CONTENT,
            **values,
        )
        return await self.database.write(lambda connection: self.outbox.put(connection, new, self.now_ms))

    async def state(self):
        return (await self.database.read(states, "REQ"))[0]


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    path = tmp_path / "archive.sqlite"
    migrate(at(path))
    sink = Sink()
    controller = Controller(sink, hostname="127.0.0.1", port=(port := free_port()))
    controller.start()
    mail = MailSettings("127.0.0.1", port, "none", sender="lightbox@hospital.example", sender_name="Haus & Co")
    database = open_database(at(path))
    post = Post(database, None, sink)  # type: ignore[arg-type]  # filled in on the next line
    post.outbox = Outbox(database, Vault(bytes(32)), Channels(mail), lambda: post.now_ms)
    yield post
    await database.close()
    controller.stop()


async def test_a_mail_arrives_in_text_and_html_and_its_words_are_forgotten(post):
    await post.put()
    assert (await post.state()).state is State.QUEUED
    assert await post.outbox.send_due() == 1
    [mail] = post.sink.mails
    assert mail["Subject"] == "Ihr Link"
    assert "Grüße" in mail.get_body(("plain",)).get_content()
    assert "<p>Grüße</p>" in mail.get_body(("html",)).get_content()
    assert post.sink.recipients == ["zoe@example.org"]
    assert (await post.state()).state is State.SENT
    kept = await post.database.read(
        lambda connection: connection.execute(sa.select(messages.c.content_encrypted)).scalar()
    )
    assert kept is None
    assert await post.outbox.send_due() == 0


async def test_a_server_that_says_later_is_asked_again_and_again_later(post):
    await post.put()
    for delay_s in DELAYS_S[:3]:
        post.sink.answers = ["451 later"]
        assert await post.outbox.send_due() == 1
        assert (await post.state()).state is State.QUEUED
        assert "451" in (await post.state()).reason
        post.now_ms += delay_s * 1000 - 1
        assert await post.outbox.send_due() == 0
        post.now_ms += 1
    assert await post.outbox.send_due() == 1
    assert (await post.state()).state is State.SENT


async def test_a_refused_address_fails_at_once_with_its_reason_and_without_the_address(post):
    await post.put()
    post.sink.answers = ["rcpt:550 no such person zoe@example.org"]
    await post.outbox.send_due()
    state = await post.state()
    assert state.state is State.FAILED
    assert "550" in state.reason
    assert "zoe" not in state.reason


async def test_a_server_that_is_not_there_is_tried_until_the_message_is_worth_nothing(post):
    post.outbox.channels = Channels(replace(post.outbox.channels.mail, port=9))
    await post.put(life_ms=60_000)
    await post.outbox.send_due()
    assert (await post.state()).state is State.QUEUED
    post.now_ms += 5_000
    await post.outbox.send_due()
    post.now_ms += 30_000
    await post.outbox.send_due()
    state = await post.state()
    assert (state.state, state.reason) == (State.FAILED, "the mail server cannot be reached")


async def test_what_a_dead_process_had_claimed_is_sent_by_the_next(post):
    await post.put()
    from archive.delivery.outbox import CLAIM_MS, _claim, _due

    due = await post.database.read(_due, post.now_ms)
    assert len(await post.database.write(_claim, due, post.now_ms)) == 1
    assert await post.outbox.send_due() == 0
    post.now_ms += CLAIM_MS
    assert await post.outbox.send_due() == 1
    assert (await post.state()).state is State.SENT


async def test_two_queues_over_one_database_send_a_message_once(post):
    for _ in range(6):
        await post.put()
    other = Outbox(post.database, post.outbox.vault, post.outbox.channels, lambda: post.now_ms)
    for _ in range(3):
        await asyncio.gather(post.outbox.send_due(), other.send_due())
    assert len(post.sink.mails) == 6


async def test_what_was_withdrawn_is_not_sent(post):
    await post.put()
    await post.database.write(withdraw, "REQ", post.now_ms)
    assert await post.outbox.send_due() == 0
    assert ((await post.state()).state, (await post.state()).reason) == (State.FAILED, "withdrawn")


async def test_one_address_gets_so_many_messages_a_day_and_no_more(post):
    post.outbox.channels = Channels(post.outbox.channels.mail, SmsSettings("file:/dev/null", per_number_per_day=3))
    for _ in range(3):
        await post.put(channel=Channel.SMS, contact="+491701234567")
    with pytest.raises(TooManyRequestsError):
        await post.put(channel=Channel.SMS, contact="+491701234567")
    await post.put(channel=Channel.SMS, contact="+491701234568")
    post.now_ms += 86_400_001
    await post.put(channel=Channel.SMS, contact="+491701234567")


async def test_the_queue_runs_by_itself_and_wakes_at_once(post):
    running = asyncio.create_task(post.outbox.run())
    await post.put()
    post.outbox.wake()
    async with asyncio.timeout(5):
        while not post.sink.mails:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_wrong_sign_in_to_the_mail_server_is_told_at_the_desk(tmp_path, post):
    def deny(server, session, envelope, mechanism, data):
        return AuthResult(success=False, handled=False)

    controller = Controller(
        Sink(), hostname="127.0.0.1", port=(port := free_port()), authenticator=deny, auth_require_tls=False
    )
    controller.start()
    post.outbox.channels = Channels(replace(post.outbox.channels.mail, port=port, username="u", password="p"))
    await post.put()
    await post.outbox.send_due()
    assert "sign-in" in (await post.state()).reason
    controller.stop()


@dataclass
class Gateway:
    """An HTTP gateway that keeps what it is asked."""

    url: str = ""
    status: int = 200
    asked: list[tuple[str, str | None, str]] = field(default_factory=list)

    async def send(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.headers.get("X-Key"), await request.text()))
        return web.json_response({"ok": True, "data": [{"id": "m-17"}]}, status=self.status)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway, app = Gateway(), web.Application()
    app.router.add_route("*", "/send", gateway.send)
    async with TestServer(app) as server:
        gateway.url = str(server.make_url("/send"))
        yield gateway


async def test_a_text_message_is_asked_for_as_the_settings_say(post, gateway):
    post.outbox.channels = Channels(
        None,
        SmsSettings(
            gateway.url,
            headers={"X-Key": "k"},
            body='{"to": ["{to}"], "body": "{text}"}',
            success='"ok": true',
            reference="data.0.id",
        ),
    )
    await post.put(channel=Channel.SMS, contact="+491701234567")
    await post.outbox.send_due()
    [(method, key, body)] = gateway.asked
    assert (method, key) == ("POST", "k")
    assert json.loads(body) == {"to": ["+491701234567"], "body": CONTENT.text}
    assert (await post.state()).state is State.SENT


@pytest.mark.parametrize(("status", "state"), [(500, State.QUEUED), (429, State.QUEUED), (400, State.FAILED)])
async def test_a_gateway_that_is_busy_is_asked_again_and_one_that_refuses_is_not(post, gateway, status, state):
    gateway.status = status
    post.outbox.channels = Channels(None, SmsSettings(gateway.url))
    await post.put(channel=Channel.SMS, contact="+491701234567")
    await post.outbox.send_due()
    assert (await post.state()).state is state


async def test_a_country_that_is_not_on_the_list_gets_nothing(post):
    post.outbox.channels = Channels(None, SmsSettings("file:/dev/null", countries=("+49", "+41")))
    await post.put(channel=Channel.SMS, contact="+881623456789")
    await post.outbox.send_due()
    assert "country" in (await post.state()).reason
