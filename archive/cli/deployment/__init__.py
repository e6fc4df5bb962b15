"""`lightbox deployment`: the files that run a server, to be looked at and put in their places."""

from importlib import resources
from typing import Annotated

import typer

deployment = typer.Typer(help="Print files that run a server: systemd units, Dockerfile.", no_args_is_help=True)


@deployment.command()
def systemd(
    socket: Annotated[bool, typer.Option("--socket", help="Print the socket's unit, not the service's.")] = False,
) -> None:
    """Print the systemd unit of the server, or of its socket.

    The socket is systemd's: while the server is stopped and started anew, whoever connects waits.

    Example: lightbox deployment systemd > /etc/systemd/system/lightbox.service
    """
    _print("lightbox.socket" if socket else "lightbox.service")


@deployment.command()
def dockerfile() -> None:
    """Print a Dockerfile: not root, made for a read-only root file system.

    Example: lightbox deployment dockerfile > Dockerfile
    """
    _print("Dockerfile")


def _print(name: str) -> None:
    print((resources.files("archive.cli.deployment") / name).read_text(encoding="utf-8"), end="")
