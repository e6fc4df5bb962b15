"""What the commands `lightbox token …` and `lightbox share …` do; the command line only reads and prints.

Each works on the database alone, so it does while the server runs and when it does not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from archive.audit import newest_time_ms
from archive.database.engine import Database
from archive.errors import BadRequestError
from archive.identifiers import parse_study_uid
from auth.clock import Clock
from auth.factors import Passwords
from auth.shares import DEFAULT_TTL_S, Mode, NewShare, Share, create_share, list_shares, revoke_share
from auth.tokens import Token, create_token, list_tokens, parse_roles, revoke_token

_DURATION = re.compile(r"(\d{1,6})\s*([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class ShareOptions:
    """`password` None: the link alone opens the share."""

    label: str = ""
    expires_s: int = DEFAULT_TTL_S
    password: str | None = None
    maximum_opens: int | None = None
    may_download: bool = True
    with_reports: bool = True
    frozen: bool = False
    passwords: Passwords = field(default_factory=Passwords)


def parse_duration_s(text: str) -> int:
    """`30d`, `12h`, `90m`, `45s`, `2w` in seconds."""
    parsed = _DURATION.fullmatch(text.strip())
    if parsed is None:
        raise BadRequestError("A time is a number and one of s, m, h, d, w: 30d, 12h.", parameter="expires")
    return int(parsed[1]) * _UNIT_S[parsed[2]]


async def command_token_create(database: Database, name: str, roles: Sequence[str], ttl_s: int | None = None) -> str:
    """Make a token and return it."""
    return await create_token(database, name, parse_roles(roles), await _now_ms(database), ttl_s=ttl_s)


async def command_token_list(database: Database) -> list[Token]:
    return await list_tokens(database)


async def command_token_revoke(database: Database, token_id: int) -> None:
    await revoke_token(database, token_id, await _now_ms(database))


async def command_share_create(
    database: Database, public_base: str, study_uids: Sequence[str], options: ShareOptions
) -> str:
    """Make a share and return its link. The password, if any, is the caller's to hand over by another way."""
    new = NewShare(
        tuple(parse_study_uid(uid) for uid in study_uids),
        label=options.label,
        mode=Mode.PASSWORD if options.password is not None else Mode.LINK,
        password=options.password,
        ttl_s=options.expires_s,
        maximum_opens=options.maximum_opens,
        may_download=options.may_download,
        with_reports=options.with_reports,
        frozen=options.frozen,
    )
    link = await create_share(database, options.passwords, new, await _now_ms(database))
    return link.url(public_base)


async def command_share_list(database: Database) -> list[Share]:
    return await list_shares(database, await _now_ms(database))


async def command_share_revoke(database: Database, share_id: str) -> None:
    await revoke_share(database, share_id, "command line", await _now_ms(database))


async def _now_ms(database: Database) -> int:
    return Clock(await database.read(newest_time_ms))()
