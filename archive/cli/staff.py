"""`lightbox staff …` and `lightbox audit …`: who may sit at the desk, and what the trail says."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from archive.audit import Action, Event, append, find_break, json_line, page_after
from archive.cli.options import DEFAULT_DATA, DataOption
from archive.cli.records import with_database
from archive.database.engine import Database
from auth.audit_export import CLOSING, OPENING, audit_message
from auth.clock import Clock
from auth.factors import Passwords
from auth.staff import StaffRole, create_staff, end_staff, list_staff, parse_staff_roles, reset_staff

members = typer.Typer(help="Accounts of the desk, administrators and auditors.", no_args_is_help=True)
audit = typer.Typer(help="The trail of who did what.", no_args_is_help=True)


@members.command("create")
def create_member(
    staff_id: Annotated[str, typer.Argument(metavar="SIGN_IN_NAME", help="Small letters, digits, dot, dash.")],
    name: Annotated[str, typer.Argument(help="The person's name.")],
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(StaffRole)}; may be given several times.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make an account and print its first password; it is shown this once and changed at the first sign-in.

    Example: lightbox staff create --data ./data --role desk --role admin m.curie "Marie Curie"
    """
    member = (staff_id, name, parse_staff_roles(role))
    print(with_database(data, lambda database: create_staff(database, Passwords(), member, Clock()())))


@members.command("list")
def list_members(data: DataOption = DEFAULT_DATA) -> None:
    """List accounts: sign-in name, name, roles, last sign-in, state.

    Example: lightbox staff list --data ./data
    """
    for member in with_database(data, list_staff):
        seen = member.signed_in_ms
        last = "-" if seen is None else datetime.fromtimestamp(seen / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        state = "closed" if member.ended_ms is not None else "active"
        print(f"{member.staff_id}\t{member.name}\t{','.join(sorted(member.roles))}\t{last}\t{state}")


@members.command("reset")
def reset_member(
    staff_id: Annotated[str, typer.Argument(metavar="SIGN_IN_NAME")], data: DataOption = DEFAULT_DATA
) -> None:
    """Print a new first password for who lost theirs or the authenticator app.

    Example: lightbox staff reset --data ./data m.curie
    """
    print(with_database(data, lambda database: reset_staff(database, Passwords(), staff_id, Clock()())))


@members.command("close")
def close_member(
    staff_id: Annotated[str, typer.Argument(metavar="SIGN_IN_NAME")], data: DataOption = DEFAULT_DATA
) -> None:
    """Close an account; whoever is signed in with it is out.

    Example: lightbox staff close --data ./data m.curie
    """
    with_database(data, lambda database: end_staff(database, staff_id, Clock()()))


@audit.command("export")
def export_audit(
    data: DataOption = DEFAULT_DATA,
    dicom: Annotated[bool, typer.Option("--dicom", help="As audit messages of PS3.15 A.5 instead.")] = False,
) -> None:
    """Print the trail, one JSON object a line.

    Example: lightbox audit export --data ./data > audit.jsonl
    """

    async def export(database: Database) -> None:
        read = Event(Action.AUDIT_READ, "operator", "command line", detail={"as": "dicom" if dicom else "lines"})
        await database.write(append, [read], Clock()())
        form = audit_message if dicom else json_line
        if dicom:
            sys.stdout.write(OPENING)
        after_id = 0
        while rows := await database.read(page_after, after_id):
            for row in rows:
                sys.stdout.write(form(row) + "\n")
            after_id = rows[-1]["id"]
        if dicom:
            sys.stdout.write(CLOSING)

    with_database(data, export)


@audit.command("verify")
def verify_audit(data: DataOption = DEFAULT_DATA) -> None:
    """Check the chain of the trail; exits with 1 when an event was changed, removed or put in.

    Example: lightbox audit verify --data ./data
    """
    broken = with_database(data, lambda database: database.read(find_break))
    if broken is not None:
        print(f"lightbox: the audit trail is broken at event {broken}", file=sys.stderr)
        raise typer.Exit(1)
    print("The audit trail is whole.")
