"""ISO 9660 images, with the longest names that they have: Joliet's, Rock Ridge's, else the plain ones."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pycdlib import PyCdlib
from pycdlib.pycdlibexception import PyCdlibException

from archive.media.files import MediumError, MediumFile, Readable, neutral_name

MARK_OFFSET, MARK = 32_769, b"CD001"
MAXIMUM_FILES = 100_000
MAXIMUM_FOLDERS = 100_000


def is_iso_image(path: Path) -> bool:
    """Whether a volume descriptor stands where an ISO 9660 image has its first one."""
    with path.open("rb") as file:
        file.seek(MARK_OFFSET)
        return file.read(len(MARK)) == MARK


@contextmanager
def open_iso_image(path: Path) -> Iterator[list[MediumFile]]:
    """The files of an image; one may be open at a time. Raises MediumError when it cannot be read."""
    image = PyCdlib()
    try:
        image.open(str(path))
    except (PyCdlibException, struct.error, IndexError, ValueError):
        raise MediumError("This ISO image is damaged or cut short.") from None
    try:
        yield list(_files(image))
    finally:
        image.close()


def _files(image: PyCdlib) -> Iterator[MediumFile]:
    names = "joliet_path" if image.has_joliet() else "rr_path" if image.has_rock_ridge() else "iso_path"
    count = 0
    try:
        for folders, (folder, _, files) in enumerate(image.walk(**{names: "/"})):
            for file in sorted(files):
                count += 1
                if count > MAXIMUM_FILES or folders > MAXIMUM_FOLDERS:
                    raise MediumError(f"This ISO image has more than {MAXIMUM_FILES} files or folders in it.")
                path = f"{folder.rstrip('/')}/{file}"
                record = image.get_record(**{names: path})
                shown = neutral_name(path.partition(";")[0].rstrip("."))
                yield MediumFile(shown, record.get_data_length(), partial(_opened, image, {names: path}))
    except (PyCdlibException, struct.error, IndexError, UnicodeDecodeError):
        raise MediumError("This ISO image is damaged or cut short.") from None


@contextmanager
def _opened(image: PyCdlib, path: dict[str, Any]) -> Iterator[Readable]:
    try:
        with image.open_file_from_iso(**path) as file:
            yield file
    except (PyCdlibException, struct.error):
        raise MediumError("The file is damaged inside the ISO image.") from None
