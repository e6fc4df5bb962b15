"""`lightbox token …` and `lightbox share …`: let machines and people in, and stop it."""

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from archive.cli.options import DEFAULT_DATA, DataOption, link_base
from archive.cli.records import with_database
from archive.config import load_settings
from archive.identifiers import parse_study_uid
from auth.clock import Clock
from auth.factors import Passwords
from auth.shares import Mode, NewShare, create_share, list_shares, revoke_share
from auth.tokens import Role, create_token, list_tokens, parse_roles, revoke_token

tokens = typer.Typer(help="Tokens that let machines in: a PACS, a viewer, a script.", no_args_is_help=True)
shares = typer.Typer(help="Links that let people in.", no_args_is_help=True)

_UNIT_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration_s(text: str) -> int:
    """`30d`, `12h`, `15m`, `2w` → seconds. Raises typer.BadParameter."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text)
    if match is None:
        raise typer.BadParameter("A duration is a number and one of m, h, d, w: 30d.")
    return int(match[1]) * _UNIT_S[match[2]]


def _day(time_ms: int | None) -> str:
    return "-" if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@tokens.command("create")
def create_token_command(
    name: Annotated[str, typer.Argument(help="What the token is for; shown in the audit trail.")],
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(Role)}; may be given several times.")],
    data: DataOption = DEFAULT_DATA,
    expires: Annotated[str | None, typer.Option(help="Such as 365d. [default: never]")] = None,
) -> None:
    """Make a token and print it; it is shown this once and kept only as a hash.

    Example: lightbox token create --data ./data --role store "CT scanner room 2"
    """
    roles = parse_roles(role)
    ttl_s = None if expires is None else parse_duration_s(expires)
    print(with_database(data, lambda database: create_token(database, name, roles, Clock()(), ttl_s=ttl_s)))


@tokens.command("list")
def list_tokens_command(data: DataOption = DEFAULT_DATA) -> None:
    """List tokens: number, name, roles, last use, state.

    Example: lightbox token list --data ./data
    """
    for token in with_database(data, list_tokens):
        state = "revoked" if token.ended_ms is not None else "active"
        print(f"{token.token_id}\t{token.name}\t{','.join(sorted(token.roles))}\t{_day(token.used_ms)}\t{state}")


@tokens.command("revoke")
def revoke_token_command(
    token_id: Annotated[int, typer.Argument(help="The number that `lightbox token list` shows.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Stop a token at once.

    Example: lightbox token revoke --data ./data 3
    """
    with_database(data, lambda database: revoke_token(database, token_id, Clock()()))


@shares.command("create")
def create_share_command(
    study_uid: Annotated[list[str], typer.Argument(help="Study Instance UID; several make one link to all.")],
    data: DataOption = DEFAULT_DATA,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password that the receiver must give.")
    ] = False,
    expires: Annotated[str, typer.Option(help="How long the link opens: 12h, 30d.")] = "30d",
    label: Annotated[str, typer.Option(help="Who shares, as the receiver will read it.")] = "",
    frozen: Annotated[bool, typer.Option("--frozen", help="Leave out what is stored later.")] = False,
    without_name: Annotated[
        bool, typer.Option("--without-name", help="Show de-identified copies, and leave out what cannot be cleaned.")
    ] = False,
    public_base: Annotated[str | None, typer.Option(help="Begin the link with this URL.")] = None,
) -> None:
    """Make a link to a study and print it; the secret after the # is shown this once.

    Example: lightbox share create --data ./data --expires 30d 1.2.840.113619.2.55.3
    """
    asked = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True) if password else None
    new = NewShare(
        tuple(parse_study_uid(uid) for uid in study_uid),
        label=label,
        mode=Mode.PASSWORD if password else Mode.LINK,
        password=asked,
        ttl_s=parse_duration_s(expires),
        frozen=frozen,
        without_name=without_name,
    )
    link = with_database(data, lambda database: create_share(database, Passwords(), new, Clock()()))
    print(link.url(link_base(load_settings(data=data, public_base=public_base))))


@shares.command("list")
def list_shares_command(data: DataOption = DEFAULT_DATA) -> None:
    """List shares: id, mode, studies, opens, end, state.

    Example: lightbox share list --data ./data
    """
    for share in with_database(data, lambda database: list_shares(database, Clock()())):
        state = share.ended_reason or ("paused" if share.paused else "active")
        print(
            f"{share.share_id}\t{share.mode}\t{len(share.study_uids)} studies\t{share.opens} opens\t"
            f"{_day(share.expires_ms)}\t{state}"
        )


@shares.command("revoke")
def revoke_share_command(
    share_id: Annotated[str, typer.Argument(help="The part of the link between /s/ and #.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Switch a link off; whoever has it open is out within two seconds.

    Example: lightbox share revoke --data ./data 7K2M9QX4TB
    """
    with_database(data, lambda database: revoke_share(database, share_id, "command line", Clock()()))
