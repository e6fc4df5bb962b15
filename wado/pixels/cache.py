"""Derived results on disk: frames in another syntax, rendered pictures. Never a source of truth.

A result lies at `xx/DIGEST/NAME`, xx being the digest's first two digits, NAME a hash of what it is. The folder may be
emptied or removed at any moment, and several servers may use it: a file appears whole, by rename, and is read whole.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archive.identifiers import Digest

TOUCH_S = 60.0
"""A result that is used again is marked as used at most this often."""
SHARE_BETWEEN_SWEEPS = 16
"""A sweep is due when a sixteenth of the limit has been written since the last."""
LOWERED_TO = 0.9
"""How far a sweep goes below the limit, so that the next is not due at once."""
PARTIAL = ".partial"
STALE_S = 600.0


@dataclass(frozen=True, slots=True)
class DerivedKey:
    """What a result is: of which bytes, and what was done. `recipe` is any text that says all of it."""

    digest: Digest
    recipe: str

    def relative_path(self) -> str:
        name = hashlib.sha256(self.recipe.encode()).hexdigest()[:32]
        return f"{self.digest[:2]}/{self.digest}/{name}"


def write_derived(path: str, content: bytes | memoryview) -> None:
    """Write a result; where that cannot be done (disk full, folder gone) it is simply not kept."""
    partial = f"{path}.{secrets.token_hex(8)}{PARTIAL}"
    try:
        descriptor = _create(partial)
    except OSError:
        return
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        os.replace(partial, path)  # noqa: PTH105 - called for each frame
    except OSError:
        Path(partial).unlink(missing_ok=True)


def _create(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - called for each frame
        return os.open(path, flags, 0o600)


class DerivedCache:
    """The folder and its bound.

    Parameters
    ----------
    folder
        Created when the first result is written.
    limit_bytes
        The results' sum is brought below it by removing what was used least recently. Between two sweeps it may be
        exceeded by a sixteenth for each server that uses the folder.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._written_bytes = 0

    def path(self, key: DerivedKey) -> str:
        return f"{self._folder}/{key.relative_path()}"

    def find(self, key: DerivedKey) -> bytes | None:
        """The result, if it is kept; marks it as used."""
        try:
            descriptor = os.open(self.path(key), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            try:
                if time.time() - os.fstat(descriptor).st_mtime > TOUCH_S:
                    os.utime(descriptor)
                return file.readall()
            except OSError:
                return None

    def has(self, key: DerivedKey) -> bool:
        """Whether the result is kept, without marking it as used."""
        return os.path.exists(self.path(key))  # noqa: PTH110 - called for each frame

    def save(self, key: DerivedKey, content: bytes) -> None:
        """Keep a result, if the disk takes it."""
        write_derived(self.path(key), content)
        self.note_written(len(content))

    def note_written(self, length_bytes: int) -> None:
        """Count what another process wrote for this one."""
        self._written_bytes += length_bytes

    @property
    def sweep_is_due(self) -> bool:
        return self._written_bytes * SHARE_BETWEEN_SWEEPS > self._limit_bytes

    def sweep(self) -> int:
        """Remove the least recently used results until the limit holds; returns the bytes that are left.

        Reads the whole folder: call it in a thread. Another sweep at the same time does no harm.
        """
        self._written_bytes = 0
        found = sorted(self._results())
        total = sum(length for _, length, _ in found)
        if total <= self._limit_bytes:
            return total
        for _, length, path in found:
            if total <= self._limit_bytes * LOWERED_TO:
                break
            if _remove(path):
                total -= length
        return total

    def _results(self) -> Iterator[tuple[float, int, str]]:
        """Last use, length and path of each result; removes what a killed process left half written."""
        for first in _folders(str(self._folder)):
            for folder in _folders(first):
                for entry in _entries(folder):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if entry.name.endswith(PARTIAL):
                        if time.time() - status.st_mtime > STALE_S:
                            _remove(entry.path)
                        continue
                    yield status.st_mtime, status.st_size, entry.path


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _folders(folder: str) -> list[str]:
    return [entry.path for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _remove(path: str) -> bool:
    """Remove a result, and its folder where that is now empty."""
    try:
        os.unlink(path)  # noqa: PTH108 - called for each frame
    except OSError:
        return False
    try:
        os.rmdir(os.path.dirname(path))  # noqa: PTH106, PTH120 - called for each frame
    except OSError:
        return True
    return True
