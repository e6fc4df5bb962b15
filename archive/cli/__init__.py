"""The `lightbox` command."""

import sys

import typer
from pydantic import ValidationError

from archive.cli import access, deletion, demo, imports, serve, staff, statement, verify, viewer
from archive.errors import LightboxError

app = typer.Typer(
    name="lightbox",
    help="A DICOMweb image archive in which a study travels as a secure link.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain errors: a path is not broken by the border of a box
)
app.command("serve")(serve.serve)
app.command("import")(imports.import_files)
app.command("verify")(verify.verify)
app.command("delete")(deletion.delete)
app.command("restore")(deletion.restore)
app.command("demo")(demo.demo)
app.command("conformance-statement")(statement.conformance_statement)
app.add_typer(access.tokens, name="token")
app.add_typer(access.shares, name="share")
app.add_typer(staff.members, name="staff")
app.add_typer(staff.audit, name="audit")
app.add_typer(viewer.viewer, name="viewer")


def main() -> None:
    """Entry of the command; errors that a person can mend are one line, not a trace."""
    try:
        app()
    except LightboxError as error:
        print(f"lightbox: {error.message}", file=sys.stderr)
        sys.exit(1)
    except ValidationError as error:
        for fault in error.errors():
            print(f"lightbox: setting {'.'.join(map(str, fault['loc']))}: {fault['msg']}", file=sys.stderr)
        sys.exit(2)
