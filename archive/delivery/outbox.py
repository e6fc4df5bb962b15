"""The durable queue of messages: written in the transaction that decided on them, sent with back-off, state visible.

A message's text and address are encrypted while it waits; its text is removed once it was sent or given up. Several
processes may run a queue over one database: each message is claimed by one of them at a time. A process that dies while
sending leaves a claim that ends by itself, so a message may be sent twice, and is never lost.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

import sqlalchemy as sa

from archive.audit import Action, Event, Outcome, append
from archive.database.engine import Database
from archive.database.journey_tables import messages
from archive.delivery.mail import Mail, MailSettings, send_mail
from archive.delivery.outcomes import PermanentFailureError, TemporaryFailureError
from archive.delivery.sms import SmsSettings, send_sms
from archive.errors import TooManyRequestsError
from archive.vault import Vault

CONTACT, CONTENT = "message contact", "message content"
DELAYS_S = (5, 30, 120, 600, 1800, 3600, 7200)
CLAIM_MS = 120_000
LOOK_EVERY_S = 2.0
DAY_MS = 86_400_000
DEFAULT_LIFE_MS = DAY_MS
AT_ONCE = 4
MAIL_PER_ADDRESS_PER_DAY = 30


class Channel(StrEnum):
    EMAIL = "email"
    SMS = "sms"


class State(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Content:
    """What is said. A text message has only `text`."""

    text: str
    subject: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """`about` is the request or share it belongs to; after `life_ms` it is worth nothing and is given up."""

    channel: Channel
    purpose: str
    about: str
    contact: str
    content: Content
    life_ms: int = DEFAULT_LIFE_MS


@dataclass(frozen=True, slots=True)
class MessageState:
    """What the desk sees of a message."""

    message_id: int
    channel: Channel
    purpose: str
    state: State
    reason: str
    created_ms: int
    changed_ms: int
    tries: int


@dataclass(frozen=True, slots=True)
class Channels:
    """What can be sent by; None where a channel is not set up."""

    mail: MailSettings | None = None
    sms: SmsSettings | None = None

    @property
    def available(self) -> frozenset[Channel]:
        return frozenset(
            channel for channel, is_set in ((Channel.EMAIL, self.mail), (Channel.SMS, self.sms)) if is_set is not None
        )


class Outbox:
    """Sends what waits. `run` until cancelled; `wake` when something was put in."""

    def __init__(self, database: Database, vault: Vault, channels: Channels, now_ms: Callable[[], int]) -> None:
        self.vault, self.channels = vault, channels
        self._database, self._now_ms = database, now_ms
        self._something = asyncio.Event()

    def wake(self) -> None:
        self._something.set()

    def put(self, connection: sa.Connection, new: NewMessage, now_ms: int) -> int:
        """Queue a message within the caller's transaction; call `wake` after it.

        Raises TooManyRequestsError when this address has got its share of today's messages.
        """
        digest = self.vault.digest(new.contact.lower(), CONTACT)
        today = connection.execute(
            sa.select(sa.func.count()).where(
                messages.c.contact_digest == digest, messages.c.created_ms > now_ms - DAY_MS
            )
        ).scalar_one()
        if today >= self._per_day(new.channel):
            raise TooManyRequestsError("This address has got too many messages today.", retry_after_s=3600)
        number: int = connection.execute(
            sa.insert(messages)
            .values(
                created_ms=now_ms,
                channel=str(new.channel),
                purpose=new.purpose,
                about=new.about,
                contact_encrypted=self.vault.encrypt(new.contact, CONTACT),
                contact_digest=digest,
                content_encrypted=self.vault.encrypt(json.dumps(asdict(new.content)), CONTENT),
                state=str(State.QUEUED),
                next_try_ms=now_ms,
                give_up_ms=now_ms + new.life_ms,
                changed_ms=now_ms,
            )
            .returning(messages.c.id)
        ).scalar_one()
        return number

    async def run(self) -> None:
        """Send whatever is due, for ever."""
        while True:
            self._something.clear()
            while await self.send_due():
                pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._something.wait()

    async def send_due(self) -> int:
        """Send a few messages that are due; how many were tried."""
        now_ms = self._now_ms()
        due = await self._database.keyed(_due, now_ms)
        if not due:
            return 0
        claimed = await self._database.write(_claim, due, now_ms)
        await asyncio.gather(*(self._send(row) for row in claimed))
        return len(claimed)

    async def _send(self, row: sa.RowMapping) -> None:
        contact = self.vault.decrypt(row["contact_encrypted"], CONTACT)
        content = Content(**json.loads(self.vault.decrypt(row["content_encrypted"], CONTENT)))
        reference, reason, final = "", "", True
        try:
            reference = await self._by_channel(Channel(row["channel"]), contact, content)
        except PermanentFailureError as failure:
            reason = str(failure)
        except TemporaryFailureError as failure:
            reason, final = str(failure), False
        await self._database.write(_finish, row, (reference, reason, final), self._now_ms())

    def _by_channel(self, channel: Channel, contact: str, content: Content) -> Awaitable[str]:
        if channel is Channel.EMAIL and self.channels.mail is not None:
            mail = Mail(content.subject, content.text, content.html)
            return send_mail(self.channels.mail, contact, mail)
        if channel is Channel.SMS and self.channels.sms is not None:
            return send_sms(self.channels.sms, contact, content.text)
        raise PermanentFailureError("this channel is not set up")

    def _per_day(self, channel: Channel) -> int:
        if channel is Channel.SMS and self.channels.sms is not None:
            return self.channels.sms.per_number_per_day
        return MAIL_PER_ADDRESS_PER_DAY


def states(connection: sa.Connection, about: str) -> list[MessageState]:
    """The messages about a request or share, newest first."""
    rows = connection.execute(sa.select(messages).where(messages.c.about == about).order_by(messages.c.id.desc()))
    return [
        MessageState(
            row.id,
            Channel(row.channel),
            row.purpose,
            State(row.state),
            row.reason,
            row.created_ms,
            row.changed_ms,
            row.tries,
        )
        for row in rows
    ]


def count_messages(connection: sa.Connection) -> dict[str, int]:
    """How many messages are in each state."""
    rows = connection.execute(sa.select(messages.c.state, sa.func.count()).group_by(messages.c.state))
    found = {row[0]: row[1] for row in rows}
    return {str(state): found.get(state, 0) for state in State}


def withdraw(connection: sa.Connection, about: str, now_ms: int) -> None:
    """What waits about a request or share is not sent any more."""
    connection.execute(
        sa.update(messages)
        .where(messages.c.about == about, messages.c.state.in_([State.QUEUED, State.SENDING]))
        .values(state=str(State.FAILED), reason="withdrawn", content_encrypted=None, changed_ms=now_ms)
    )


def _due(connection: sa.Connection, now_ms: int) -> list[int]:
    waiting = messages.c.state.in_([State.QUEUED, State.SENDING])
    query = sa.select(messages.c.id).where(waiting, messages.c.next_try_ms <= now_ms)
    return list(connection.execute(query.order_by(messages.c.next_try_ms).limit(AT_ONCE)).scalars())


def _claim(connection: sa.Connection, due: list[int], now_ms: int) -> list[sa.RowMapping]:
    claimed = (
        sa.update(messages)
        .where(
            messages.c.id.in_(due),
            messages.c.next_try_ms <= now_ms,
            messages.c.state.in_([State.QUEUED, State.SENDING]),
        )
        .values(state=str(State.SENDING), tries=messages.c.tries + 1, next_try_ms=now_ms + CLAIM_MS)
        .returning(messages)
    )
    return list(connection.execute(claimed).mappings())


def _finish(connection: sa.Connection, row: sa.RowMapping, ended: tuple[str, str, bool], now_ms: int) -> None:
    reference, reason, final = ended
    delay_ms = DELAYS_S[min(row["tries"], len(DELAYS_S)) - 1] * 1000
    if not final and now_ms + delay_ms > row["give_up_ms"]:
        final = True
    if final:
        state = str(State.FAILED if reason else State.SENT)
        changed: dict[str, object] = {"state": state, "content_encrypted": None, "reference": reference}
    else:
        changed = {"state": str(State.QUEUED), "next_try_ms": now_ms + delay_ms}
    connection.execute(
        sa.update(messages)
        .where(messages.c.id == row["id"], messages.c.state == State.SENDING)
        .values(**changed, reason=reason, changed_ms=now_ms)
    )
    if final:
        outcome = Outcome.FAILED if reason else Outcome.SUCCESS
        detail = {"message": str(row["id"]), "channel": row["channel"], "purpose": row["purpose"]}
        event = Event(Action.MESSAGE_SEND, "server", "outbox", outcome, share_id=row["about"], detail=detail)
        append(connection, [event], now_ms)
