"""Open what a patient brings: a folder, a ZIP file, an ISO 9660 image, or one file. Nothing on it is ever executed."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from archive.media.files import MediumError, MediumFile, neutral_name
from archive.media.images import is_iso_image, open_iso_image
from archive.media.zips import ZipLimits, open_zip

MAXIMUM_FILES = 1_000_000
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, slots=True)
class Disc:
    """A medium that is open. `files_at_once` says how many of its files may be read at the same time."""

    name: str
    files: list[MediumFile]
    files_at_once: int


@contextmanager
def open_disc(path: Path, limits: ZipLimits = ZipLimits()) -> Iterator[Disc]:  # noqa: B008 - frozen
    """The medium at `path`. Raises MediumError when it cannot be read as a whole, OSError when the path cannot."""
    if path.is_dir():
        yield Disc(str(path), list(_folder(path)), 4)
    elif _is_zip(path):
        with open_zip(path, limits) as files:
            yield Disc(str(path), files, 4)
    elif is_iso_image(path):
        with open_iso_image(path) as files:
            yield Disc(str(path), files, 1)
    else:
        yield Disc(str(path), [MediumFile(path.name, path.stat().st_size, partial(_opened, path))], 1)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in ZIP_STARTS


def _folder(root: Path) -> Iterator[MediumFile]:
    """Every file below the folder in a stable order; a link that leads out of it is not followed."""
    inside = root.resolve()
    for count, path in enumerate(sorted(root.rglob("*"))):
        if count > MAXIMUM_FILES:
            raise MediumError(f"There are more than {MAXIMUM_FILES} files in this folder.")
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            continue
        status = path.stat() if path.exists() else None
        if status is not None and stat.S_ISREG(status.st_mode):
            name = neutral_name(str(path.relative_to(root)))
            yield MediumFile(name, status.st_size, partial(_opened, path))
