"""Pieces of files on their way in: `<folder>/<import>/<number>.part`, appended to, never trusted.

A part that a crash left with holes is found out by the hash of the whole file, and begun anew.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from archive.errors import BusyError, ConflictError, StorageFullError
from archive.media.directory import DirectoryEntry, read_directory

OUT_OF_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
RESERVE_BYTES = 512 << 20
"""As much of the disk is left free for everything else."""
READ_BYTES = 1 << 20
_FULL = "There is no room left on this server for these images. Tell whoever runs it; nothing that was sent is lost."
_IMPORT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Parts:
    """The parts below one folder. Blocking; an import's id has been looked up before it comes here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, import_id: str, number: int) -> Path:
        return self._folder / import_id / f"{number:06d}.part"

    def length_bytes(self, import_id: str, number: int) -> int:
        path = self.path_of(import_id, number)
        return path.stat().st_size if path.exists() else 0

    def append(self, import_id: str, number: int, offset: int, data: bytes) -> int:
        """Add a piece that begins at `offset`; the length then. Raises ConflictError where that is not the end."""
        path = self.path_of(import_id, number)
        with _full_is_told():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                _lock(file.fileno())
                length = os.fstat(file.fileno()).st_size
                if offset != length:
                    raise ConflictError("The piece does not begin where the last one ended.", parameter="offset")
                try:
                    file.write(data)
                    file.flush()
                except OSError:
                    os.ftruncate(file.fileno(), length)
                    raise
        return length + len(data)

    def sha256(self, import_id: str, number: int) -> str:
        with self.path_of(import_id, number).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def blocks(self, import_id: str, number: int) -> Iterator[bytes]:
        with self.path_of(import_id, number).open("rb") as file:
            while block := file.read(READ_BYTES):
                yield block

    def remove(self, import_id: str, number: int) -> None:
        self.path_of(import_id, number).unlink(missing_ok=True)

    def remove_import(self, import_id: str) -> None:
        shutil.rmtree(self._folder / import_id, ignore_errors=True)

    def import_ids(self) -> list[str]:
        """The imports that have a folder."""
        if not self._folder.is_dir():
            return []
        return [entry.name for entry in self._folder.iterdir() if _IMPORT_ID.fullmatch(entry.name)]

    def require_room(self, length_bytes: int) -> None:
        """Raises StorageFullError when so much more does not fit."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free < length_bytes + RESERVE_BYTES:
            raise StorageFullError(_FULL)

    def keep_directory(self, import_id: str, number: int, data: bytes) -> bool:
        """Keep the entries of a DICOMDIR for the preview; whether it could be read."""
        entries = read_directory(data)
        if entries is None:
            return False
        told = [[one.name, one.study_uid, one.series_uid, one.instance_uid] for one in entries]
        path = self.path_of(import_id, number).with_suffix(".json")
        with _full_is_told():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(orjson.dumps(told))
        return True

    def directory(self, import_id: str, number: int) -> list[DirectoryEntry]:
        """The entries of a DICOMDIR that was kept."""
        path = self.path_of(import_id, number).with_suffix(".json")
        if not path.exists():
            return []
        return [DirectoryEntry(*one) for one in orjson.loads(path.read_bytes())]


def _lock(descriptor: int) -> None:
    """One writer at a time, over all processes; a tab that was killed may still be sending."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError("Another piece of this file is just being written.") from None


@contextmanager
def _full_is_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in OUT_OF_ROOM:
            raise StorageFullError(_FULL) from error
        raise
