"""The `lightbox` command."""

import os
import sys
from importlib import import_module
from types import MappingProxyType

import typer
from pydantic import ValidationError

from archive.config import describe_fault
from archive.errors import LightboxError

PRIVATE = 0o077
"""What commands make is patient data: for the account that runs them, and nobody else on the machine."""
COMMANDS = MappingProxyType(
    {
        "serve": "serve:serve",
        "import": "imports:import_files",
        "export": "exports:export",
        "verify": "verify:verify",
        "reindex": "reindex:reindex",
        "backup": "backup:backup",
        "migrate-database": "moving:migrate_database",
        "transcode": "transcoding:transcode",
        "jobs": "jobs:jobs",
        "delete": "deletion:delete",
        "restore": "deletion:restore",
        "demo": "demo:demo",
        "conformance-statement": "statement:conformance_statement",
        "token": "access:tokens",
        "share": "access:shares",
        "staff": "staff:members",
        "audit": "staff:audit",
        "viewer": "viewer:viewer",
        "deployment": "deployment:deployment",
        "sbom": "sbom:sbom",
    }
)
"""Where each command is. Only the called command's module is imported: a token should not wait for codecs."""


def build(arguments: list[str]) -> typer.Typer:
    """The command line with the command that the arguments name, or with all of them where they name none."""
    app = typer.Typer(
        name="lightbox",
        help="A DICOMweb image archive in which a study travels as a secure link.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain errors: a path is not broken by the border of a box
    )
    app.callback()(lambda: None)  # a single command stays a command of its own
    named = arguments[0] if arguments and arguments[0] in COMMANDS else None
    for name in [named] if named else COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(f"archive.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def main() -> None:
    """Entry of the command; errors that a person can mend are one line, not a trace."""
    os.umask(PRIVATE)
    try:
        build(sys.argv[1:])()
    except LightboxError as error:
        print(f"lightbox: {error.message}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.strerror is None or error.filename is None:
            raise
        print(f"lightbox: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(1)
    except ValidationError as error:
        for fault in error.errors():
            print(f"lightbox: {describe_fault(fault)}", file=sys.stderr)
        sys.exit(2)
