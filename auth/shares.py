"""Share records: which studies a link opens, for how long, with what asked of whoever holds it.

A link is `/s/<id>#<secret>`: the id names the share in logs and on the phone, the secret opens it and is kept as a
hash. A person's own link is a share too, with the share it came from as parent.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from archive.audit import Action, Event, append
from archive.database import index_tables
from archive.database.access_tables import sessions, share_studies, shares, tickets
from archive.database.engine import Database
from archive.dicom.pseudonyms import Pseudonyms
from archive.errors import BadRequestError, ConflictError, NotFoundError
from archive.identifiers import StudyUID
from archive.index.copies import is_original
from archive.scope import Scope
from auth.factors import Passwords, check_new_password
from auth.holding import is_shown, patient_of
from auth.tokens import SECRET_LENGTH, SHARE_ID_LENGTH, decode_code, grouped, hash_secret, random_code

DAY_S = 86_400
DEFAULT_TTL_S = 30 * DAY_S
MAXIMUM_TTL_S = 365 * DAY_S
MAXIMUM_STUDIES = 100
MAXIMUM_LABEL_LENGTH = 100
MAXIMUM_OPENS = 10_000
KEY_BYTES = 32


class Mode(StrEnum):
    """What is asked of whoever holds the link."""

    LINK = "link"
    PASSWORD = "password"  # noqa: S105 - the word for it
    CODE = "code"
    TOTP = "totp"
    PASSKEY = "passkey"
    NAMED = "named"
    """Opens nothing itself: the people named under it have links of their own."""


class Ending(StrEnum):
    """Why a share is over, in the words kept with it."""

    REVOKED = "revoked"
    EXPIRED = "expired"
    USED_UP = "used-up"
    WITHDRAWN = "withdrawn"
    ROTATED = "rotated"


class PausedLinkError(ConflictError):
    code = "link-paused"


@dataclass(frozen=True, slots=True)
class NewShare:
    """What a share is made of. `label` says who shares; `password` belongs to Mode.PASSWORD."""

    study_uids: tuple[StudyUID, ...]
    label: str = ""
    mode: Mode = Mode.LINK
    password: str | None = None
    ttl_s: int = DEFAULT_TTL_S
    maximum_opens: int | None = None
    may_download: bool = True
    with_reports: bool = True
    frozen: bool = False
    without_name: bool = False
    created_by: str = "command line"
    owner_id: str | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A share's id and secret; the secret exists only here, when the share is made."""

    share_id: str
    secret: str

    def url(self, public_base: str) -> str:
        return f"{public_base}/s/{self.share_id}#{self.secret}"

    def typed(self) -> tuple[str, str]:
        """Id and secret in groups that a person can type at `/c`."""
        return grouped(self.share_id), grouped(self.secret)


@dataclass(frozen=True, slots=True)
class Share:
    """A share as it stands. `ended_reason` is why it opens nothing any more, or None."""

    share_id: str
    parent_id: str | None
    owner_id: str | None
    label: str
    mode: Mode
    study_uids: tuple[StudyUID, ...]
    created_ms: int
    created_by: str
    expires_ms: int
    ended_reason: Ending | None
    frozen_ms: int | None
    with_reports: bool
    may_download: bool
    maximum_opens: int | None
    opens: int
    opened_ms: int | None
    failures: int
    paused_until_ms: int
    password_argon2: str | None
    secret_sha256: bytes
    deidentification_key: bytes | None = None
    source_uids: tuple[StudyUID, ...] = ()
    """The studies as they are stored. Equal to `study_uids`, but for a share without a name."""
    held_count: int = 0
    """Studies that are named and, for now, not shown; they are in neither of the two."""

    @property
    def scope(self) -> Scope:
        """What the share shows; of one without a name, the copies and nothing of what they were made from."""
        if self.without_name:
            return Scope(frozenset(self.study_uids))
        return Scope(frozenset(self.study_uids), self.frozen_ms, self.with_reports)

    @property
    def paused(self) -> bool:
        """Nothing of it is shown for now: its studies were deleted, or have become another patient's."""
        return not self.study_uids

    def require_running(self) -> None:
        """Raise PausedLinkError where there is nothing to be seen for now."""
        if self.paused:
            raise PausedLinkError("The images were taken back for now. This link works again when they are back.")

    @property
    def without_name(self) -> bool:
        return self.deidentification_key is not None

    @property
    def source_scope(self) -> Scope:
        """What the copies of a share without a name are made from; for who makes them, never for a request."""
        return Scope(frozenset(self.source_uids), self.frozen_ms, self.with_reports)

    @property
    def root_id(self) -> str:
        """The share whose copies this one shows: people's links show those of the share that they are under."""
        return self.parent_id or self.share_id


async def create_share(database: Database, passwords: Passwords, new: NewShare, now_ms: int) -> Link:
    """Make a share and return its link.

    Raises
    ------
    BadRequestError
        A value is outside its limits.
    NotFoundError
        A study is not in the archive.
    """
    _check(new)
    password_argon2 = None if new.password is None else await passwords.hash(new.password)
    link = Link(random_code(SHARE_ID_LENGTH), random_code(SECRET_LENGTH))
    await database.write(insert_share, new, link, password_argon2, now_ms)
    return link


async def list_shares(database: Database, now_ms: int) -> list[Share]:
    return await database.read(_select_shares, now_ms)


async def revoke_share(database: Database, share_id: str, by: str, now_ms: int) -> None:
    """Switch a share off, with the links of its people, its sessions and its tickets."""
    await database.write(end_share, parse_share_id(share_id), Ending.REVOKED, by, now_ms)


def parse_share_id(text: str) -> str:
    """The share's id, however it was typed. Raises NotFoundError: what cannot be an id is no share."""
    share_id = decode_code(text, SHARE_ID_LENGTH)
    if share_id is None:
        raise NotFoundError
    return share_id


def insert_share(
    connection: sa.Connection, new: NewShare, link: Link, password_argon2: str | None, now_ms: int
) -> None:
    """Write a share whose values were checked; the studies are looked up here, in the same transaction."""
    present = connection.execute(
        sa.select(sa.func.count()).where(
            index_tables.studies.c.study_uid.in_(new.study_uids), is_original(index_tables.studies.c.id)
        )
    ).scalar_one()
    if not present or present != len(set(new.study_uids)):
        raise NotFoundError("There is no such study.", parameter="StudyInstanceUID")
    key = _deidentification_key(connection, new)
    connection.execute(
        sa.insert(shares).values(
            id=link.share_id,
            parent_id=new.parent_id,
            owner_id=new.owner_id,
            secret_sha256=hash_secret(link.secret),
            label=new.label,
            mode=str(new.mode),
            password_argon2=password_argon2,
            created_ms=now_ms,
            created_by=new.created_by,
            expires_ms=now_ms + new.ttl_s * 1000,
            frozen_ms=now_ms if new.frozen else None,
            with_reports=new.with_reports,
            may_download=new.may_download,
            maximum_opens=new.maximum_opens,
            deidentification_key=key,
        )
    )
    copy_uids = {uid: Pseudonyms(key).other_uid(uid) if key is not None else None for uid in new.study_uids}
    connection.execute(
        sa.insert(share_studies),
        [{"share_id": link.share_id, "study_uid": uid, "copy_uid": copy_uids[uid]} for uid in sorted(copy_uids)],
    )
    of_link = share_studies.c.share_id == link.share_id
    connection.execute(sa.update(share_studies).where(of_link).values(patient_id=patient_of(share_studies.c.study_uid)))
    detail = {"mode": str(new.mode), "expires_ms": str(now_ms + new.ttl_s * 1000)}
    events = [
        Event(Action.SHARE_CREATE, "operator", new.created_by, share_id=link.share_id, study_uid=uid, detail=detail)
        for uid in sorted(set(new.study_uids))
    ]
    append(connection, events, now_ms)


def _deidentification_key(connection: sa.Connection, new: NewShare) -> bytes | None:
    """A link under another share shows what that one shows: it cannot be without the other's key, nor have its own."""
    if new.parent_id is not None:
        parent = sa.select(shares.c.deidentification_key).where(shares.c.id == new.parent_id)
        key: bytes | None = connection.execute(parent).scalar_one()
        return key
    return secrets.token_bytes(KEY_BYTES) if new.without_name else None


def find_share(connection: sa.Connection, share_id: str, now_ms: int) -> Share | None:
    """The share with this id, living or ended."""
    row = connection.execute(sa.select(shares).where(shares.c.id == share_id)).mappings().one_or_none()
    if row is None:
        return None
    named = connection.execute(_NAMED.where(share_studies.c.share_id == share_id))
    return _share(row, [_Named(*one[1:]) for one in named], now_ms)


def end_share(connection: sa.Connection, share_id: str, ending: Ending, by: str, now_ms: int) -> None:
    """End a share and all that came of it. What has ended before keeps its reason."""
    family = sa.select(shares.c.id).where(sa.or_(shares.c.id == share_id, shares.c.parent_id == share_id))
    ids = list(connection.execute(family.where(shares.c.ended_ms.is_(None))).scalars())
    if not ids and find_share(connection, share_id, now_ms) is None:
        raise NotFoundError("There is no such share.", parameter="share")
    connection.execute(sa.update(shares).where(shares.c.id.in_(ids)).values(ended_ms=now_ms, ended_reason=str(ending)))
    for table, condition in (
        (sessions, sa.and_(sessions.c.kind == "share", sessions.c.subject.in_(ids))),
        (tickets, tickets.c.share_id.in_(ids)),
    ):
        connection.execute(sa.update(table).where(condition, table.c.ended_ms.is_(None)).values(ended_ms=now_ms))
    events = [
        Event(Action.SHARE_REVOKE, "operator", by, share_id=ended, detail={"reason": str(ending)}) for ended in ids
    ]
    append(connection, events, now_ms)


def count_open(connection: sa.Connection, share_id: str, now_ms: int) -> bool:
    """Count one opening, if one is left: one statement, so that parallel openings cannot pass the limit."""
    counted = connection.execute(
        sa.update(shares)
        .where(
            shares.c.id == share_id,
            shares.c.ended_ms.is_(None),
            sa.or_(shares.c.maximum_opens.is_(None), shares.c.opens < shares.c.maximum_opens),
        )
        .values(opens=shares.c.opens + 1, opened_ms=now_ms)
    )
    return bool(counted.rowcount)


def _select_shares(connection: sa.Connection, now_ms: int) -> list[Share]:
    studies: dict[str, list[_Named]] = {}
    for share_id, *named in connection.execute(_NAMED):
        studies.setdefault(share_id, []).append(_Named(*named))
    rows = connection.execute(sa.select(shares).order_by(shares.c.created_ms, shares.c.id)).mappings()
    return [_share(row, studies.get(row["id"], []), now_ms) for row in rows]


_NAMED = sa.select(
    share_studies.c.share_id, share_studies.c.study_uid, share_studies.c.copy_uid, is_shown(share_studies)
)


@dataclass(frozen=True, slots=True)
class _Named:
    """A study of a share, and the copy that a share without a name shows instead."""

    study_uid: str
    copy_uid: str | None
    shown: bool


def _share(row: sa.RowMapping, named: list[_Named], now_ms: int) -> Share:
    """Here, and nowhere else, copies take the place of studies, and what is held back is left out."""
    without_name = row["deidentification_key"] is not None
    shown = [one for one in named if one.shown]
    if row["ended_ms"] is not None:
        ending: Ending | None = Ending(row["ended_reason"])
    elif row["expires_ms"] <= now_ms:
        ending = Ending.EXPIRED
    else:
        ending = None
    taken: dict[str, Any] = {name: row[name] for name in _TAKEN}
    return Share(
        share_id=row["id"],
        mode=Mode(row["mode"]),
        study_uids=tuple(StudyUID((one.copy_uid or "") if without_name else one.study_uid) for one in shown),
        source_uids=tuple(StudyUID(one.study_uid) for one in shown),
        held_count=len(named) - len(shown),
        ended_reason=ending,
        **taken,
    )


_TAKEN = (
    "parent_id",
    "owner_id",
    "label",
    "created_ms",
    "created_by",
    "expires_ms",
    "frozen_ms",
    "with_reports",
    "may_download",
    "maximum_opens",
    "opens",
    "opened_ms",
    "failures",
    "paused_until_ms",
    "password_argon2",
    "secret_sha256",
    "deidentification_key",
)


def _check(new: NewShare) -> None:
    if not 1 <= len(new.study_uids) <= MAXIMUM_STUDIES:
        raise BadRequestError(f"A share has 1 to {MAXIMUM_STUDIES} studies.", parameter="StudyInstanceUID")
    if not 60 <= new.ttl_s <= MAXIMUM_TTL_S:
        raise BadRequestError("A share lives from a minute to 365 days.", parameter="expires")
    if len(new.label) > MAXIMUM_LABEL_LENGTH or not new.label.isprintable():
        raise BadRequestError(f"label is at most {MAXIMUM_LABEL_LENGTH} printable characters.", parameter="label")
    if new.maximum_opens is not None and not 1 <= new.maximum_opens <= MAXIMUM_OPENS:
        raise BadRequestError(f"A share can be opened 1 to {MAXIMUM_OPENS} times.", parameter="maximum_opens")
    if (new.mode is Mode.PASSWORD) != (new.password is not None):
        raise BadRequestError("A password belongs to a share with a password, and to no other.", parameter="password")
    if new.password is not None:
        check_new_password(new.password)
