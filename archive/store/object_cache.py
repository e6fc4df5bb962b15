"""Whole blobs of an object store on this machine: bounded, least recently used first, safe to delete at any moment."""

import contextlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from archive.identifiers import Digest

KEPT_S = 60.0
"""A blob used within this time is not dropped: a decoder may be about to open it."""
FILLED = 0.9
"""What is left of the limit after dropping, so that not every blob drops another."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BlobCache:
    """Files by digest. What another start of the machine left is dropped: a power cut may have emptied its files."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        boot = BOOT_ID.read_text().strip() if BOOT_ID.is_file() else "unknown"
        self._folder = folder / boot
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            if other.name != boot:
                shutil.rmtree(other, ignore_errors=True)
        self._length_bytes = sum(length for _, length, _ in self._files())

    def place(self, digest: Digest) -> Path:
        return self._folder / digest

    def find(self, digest: Digest) -> Path | None:
        """The blob, marked as used just now; None where it is not here."""
        path = self.place(digest)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    @contextmanager
    def arriving(self, digest: Digest) -> Iterator[BinaryIO]:
        """Where a blob is written to; it is in the cache when the block ends well."""
        draft = self._folder / f"{digest}.{secrets.token_hex(4)}"
        try:
            with draft.open("wb") as file:
                yield file
                length_bytes = file.tell()
            draft.rename(self.place(digest))
        finally:
            draft.unlink(missing_ok=True)
        self.count(length_bytes)

    def count(self, length_bytes: int) -> None:
        """A blob of this length has come; drop others where it is too much."""
        with self._lock:
            self._length_bytes += length_bytes
            if self._length_bytes > self._limit_bytes:
                self._drop_oldest()

    def drop(self, digest: Digest) -> None:
        self.place(digest).unlink(missing_ok=True)

    def _drop_oldest(self) -> None:
        files = sorted(self._files())  # other processes use the folder too: what is there counts, not what is known
        self._length_bytes = sum(length for _, length, _ in files)
        youngest = time.time() - KEPT_S
        for used_s, length, path in files:
            if self._length_bytes <= self._limit_bytes * FILLED or used_s > youngest:
                return
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime > youngest:
                    continue  # it was asked for since the folder was read
                path.unlink()
            self._length_bytes -= length

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue
                yield status.st_mtime, status.st_size, Path(entry.path)
