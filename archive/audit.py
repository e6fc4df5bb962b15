"""Append who did what, chained: each row carries the hash of itself and of all before it.

What is promised
----------------
* `record` returns when the event is on the disk. Events that come at once share one transaction.
* `read` is for accesses to patient data, many a second. The first access of a group (who, action, study, series) is
  on the disk before its bytes leave; further ones within `GROUP_MS` are counted, and the count is written as a row of
  its own at the end of the group. A crash can lose such a count, never the fact of the access.
* `append` writes events in the caller's transaction, with what they tell of: a store is indexed and written down, or
  neither.
* When the trail cannot be written, all of them raise: the access fails closed.
* The table refuses UPDATE and DELETE. A changed, removed or inserted row breaks the chain (`find_break`). Removal of
  the newest rows is seen by comparing with the hash at the end of an earlier export.
"""

import asyncio
import contextlib
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from archive.database.access_tables import audit_events
from archive.database.engine import Database
from archive.database.statements import row_of, run_each

GROUP_MS = 10 * 60_000
MAXIMUM_GROUPS = 10_000
FLUSH_EVERY_S = 30.0
PAGE_ROWS = 1_000
FIRST_LINK = bytes(32)


class Action(StrEnum):
    """What was done. The words are kept in the trail: never rename one."""

    START = "start"
    STOP = "stop"
    STORE = "store"
    IMPORT = "import"
    DELETE = "delete"
    RESTORE = "restore"
    SEARCH = "search"
    METADATA = "metadata"
    VIEW = "view"
    DOWNLOAD = "download"
    EXPORT = "export"
    TOKEN_CREATE = "token-create"  # noqa: S105 - a word of the trail
    TOKEN_REVOKE = "token-revoke"  # noqa: S105 - a word of the trail
    SHARE_CREATE = "share-create"
    SHARE_CHANGE = "share-change"
    SHARE_REVOKE = "share-revoke"
    SHARE_OPEN = "share-open"
    SHARE_STEP = "share-step"
    SESSION_END = "session-end"
    TICKET_CREATE = "ticket-create"
    TICKET_REVOKE = "ticket-revoke"
    OWNER_OPEN = "owner-open"
    OWNER_STEP = "owner-step"
    LINK_CHECK = "link-check"
    REQUEST_CREATE = "request-create"
    REQUEST_CHANGE = "request-change"
    MESSAGE_SEND = "message-send"
    STAFF_SIGN_IN = "staff-sign-in"
    STAFF_CHANGE = "staff-change"
    AUDIT_READ = "audit-read"


class Outcome(StrEnum):
    SUCCESS = "success"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing done. `who` names a person, machine or link, never by a secret; `detail` holds no patient data."""

    action: Action
    who_kind: str
    who: str
    outcome: Outcome = Outcome.SUCCESS
    share_id: str = ""
    study_uid: str = ""
    series_uid: str = ""
    address: str = ""
    count: int = 1
    detail: Mapping[str, str] = field(default_factory=dict)


_NEWEST = (
    sa.select(audit_events.c.chain_sha256, audit_events.c.time_ms, audit_events.c.id)
    .order_by(audit_events.c.id.desc())
    .limit(1)
)
_APPEND = sa.insert(audit_events)
"""Built once: they run in every store."""


@dataclass(slots=True)
class _Group:
    first: Event
    until_ms: int
    written: asyncio.Task[None]
    further: int = 0


class Audit:
    """The trail of one database. End with `close`, which writes what was only counted."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._waiting: list[Event] = []
        self._next: asyncio.Task[None] | None = None
        self._one_batch = asyncio.Lock()
        self._groups: OrderedDict[tuple[str, ...], _Group] = OrderedDict()
        self._flushing: asyncio.Task[None] | None = None

    async def record(self, *events: Event) -> None:
        """Append the events; they are on the disk when this returns."""
        self._waiting.extend(events)
        if self._next is None:
            self._next = asyncio.create_task(self._write_waiting())
        await asyncio.shield(self._next)

    async def read(self, event: Event) -> None:
        """Append an access to patient data, or count it when its group has been written already."""
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_forever())
        key = (event.who_kind, event.who, event.action, event.study_uid, event.series_uid, event.share_id)
        group = self._groups.get(key)
        if group is not None and self._now_ms() < group.until_ms:
            if not group.written.done() or group.written.cancelled() or group.written.exception() is not None:
                await asyncio.shield(group.written)
            group.further += event.count
            return
        if group is not None:
            await self._end([key])
        written = asyncio.create_task(self.record(event))
        written.add_done_callback(lambda done: self._forget_failed(key, done))
        self._groups[key] = _Group(event, self._now_ms() + GROUP_MS, written)
        await asyncio.shield(written)
        if len(self._groups) > MAXIMUM_GROUPS:
            await self._end(list(self._groups)[: MAXIMUM_GROUPS // 10])

    async def flush(self) -> None:
        """Write the counts of all groups and forget the groups."""
        await self._end(list(self._groups))

    async def close(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing
        await self.flush()

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            now_ms = self._now_ms()
            await self._end([key for key, group in self._groups.items() if group.until_ms <= now_ms])

    async def _end(self, keys: list[tuple[str, ...]]) -> None:
        groups = [group for key in keys if (group := self._groups.pop(key, None)) is not None and group.further]
        if groups:
            await self.record(
                *(
                    replace(group.first, count=group.further, detail={**group.first.detail, "further": "yes"})
                    for group in groups
                )
            )

    def _forget_failed(self, key: tuple[str, ...], written: asyncio.Task[None]) -> None:
        if written.cancelled() or written.exception() is not None:
            self._groups.pop(key, None)

    async def _write_waiting(self) -> None:
        async with self._one_batch:  # while one batch is written, the next gathers
            self._next = None
            batch, self._waiting = self._waiting, []
            await self._database.write(append, batch, self._now_ms())


def append(connection: sa.Connection, events: list[Event], now_ms: int) -> None:
    """Append events within the caller's transaction: what they tell of and they themselves are kept together."""
    if not events:
        return
    newest = row_of(connection, _NEWEST)
    chain, time_ms, last_id = (
        (newest[0], max(now_ms, newest[1]), newest[2]) if newest is not None else (FIRST_LINK, now_ms, 0)
    )
    rows = []
    # The numbers are given here: a sequence of the database leaves gaps, and a gap tells of a row that was removed.
    for number, event in enumerate(events, start=last_id + 1):
        row: dict[str, Any] = {
            "time_ms": time_ms,
            "action": str(event.action),
            "outcome": str(event.outcome),
            "who_kind": event.who_kind,
            "who": event.who,
            "share_id": event.share_id,
            "study_uid": event.study_uid,
            "series_uid": event.series_uid,
            "address": event.address,
            "count": event.count,
            "detail": json.dumps(dict(event.detail), sort_keys=True),
        }
        row = {key: value.replace("\0", "") if isinstance(value, str) else value for key, value in row.items()}
        chain = _link(chain, row)
        rows.append({**row, "id": number, "chain_sha256": chain})
    run_each(connection, _APPEND, rows)


def newest_time_ms(connection: sa.Connection) -> int:
    """When the newest event happened; 0 when there is none."""
    return connection.execute(sa.select(sa.func.max(audit_events.c.time_ms))).scalar_one() or 0


def page_after(connection: sa.Connection, after_id: int) -> list[sa.RowMapping]:
    """The next `PAGE_ROWS` of the trail, in order."""
    query = sa.select(audit_events).where(audit_events.c.id > after_id)
    return list(connection.execute(query.order_by(audit_events.c.id).limit(PAGE_ROWS)).mappings())


def count_events(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(audit_events)).scalar_one())


def find_break(connection: sa.Connection) -> int | None:
    """The id of the first row that does not follow from those before it; None when the chain is whole."""
    chain, last_id = FIRST_LINK, 0
    while rows := page_after(connection, last_id):
        for row in rows:
            chain = _link(chain, row)
            if row["chain_sha256"] != chain or row["id"] != last_id + 1:
                return int(row["id"])
            last_id = row["id"]
    return None


def json_line(row: sa.RowMapping) -> str:
    """One event as one line of JSON; control characters are escaped, so no value can begin a line of its own."""
    moment = datetime.fromtimestamp(row["time_ms"] / 1000, UTC)
    named = {key: row[key] for key in _FIELDS if key not in ("time_ms", "detail")}
    return json.dumps(
        {
            "id": row["id"],
            "time": moment.isoformat(timespec="milliseconds"),
            **named,
            "detail": json.loads(row["detail"]),
            "chain": row["chain_sha256"].hex(),
        }
    )


_FIELDS = (
    "time_ms",
    "action",
    "outcome",
    "who_kind",
    "who",
    "share_id",
    "study_uid",
    "series_uid",
    "address",
    "count",
    "detail",
)


def _link(chain: bytes, row: Mapping[Any, Any]) -> bytes:
    told = json.dumps([row[key] for key in _FIELDS], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(chain + told.encode()).digest()
