"""`lightbox viewer install`: fetch OHIF's published build and repack it."""

import typer

from archive.cli.options import DEFAULT_DATA, DataOption
from archive.config import load_settings
from archive.viewer.repack import install

viewer = typer.Typer(help="The full viewer, OHIF.", no_args_is_help=True)


@viewer.callback()
def _group() -> None:
    """Keep `install` a command of its own though it is the only one."""


@viewer.command("install")
def install_command(data: DataOption = DEFAULT_DATA) -> None:
    """Fetch OHIF's published build by the npm client, check it, and repack it for this server.

    Does nothing when it is there already.

    Example: lightbox viewer install --data ./data
    """
    install(load_settings(data=data).viewer_folder)
