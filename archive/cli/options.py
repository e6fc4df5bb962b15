"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from archive.config import Settings

DataOption = Annotated[Path, typer.Option("--data", help="Folder of the database and the files.", show_default=True)]
DEFAULT_DATA = Path("data")


def link_base(settings: Settings) -> str:
    """What a link begins with: the setting, or what the running server said of itself, or its default address."""
    lock = settings.data / "serve.lock"
    if not settings.public_base and lock.is_file() and (said := lock.read_text().strip()):
        return said
    return settings.base_url
