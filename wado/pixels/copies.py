"""Lossless HTJ2K copies of stored frames, one file for an instance: for slow lines. Never a source of truth.

The file of an instance lies at `xx/DIGEST/NAME` like every derived result: bound to the bytes of its blob. It begins
with "LBXHTJ2K" and the number of frames (uint32, little endian), then for each frame where it lies (uint64), how long
it is (uint32) and the first 16 bytes of its SHA-256; then come the frames. No frames at all: there is none to be had.
A frame is compared with its SHA-256 whenever it is read, so that a file that a power cut or a disk has damaged is
thrown away. The folder may be emptied at any moment, and several processes may use it.
"""

import contextlib
import hashlib
import os
import struct
import tempfile
import time
from pathlib import Path
from typing import Self

from archive.errors import StorageFullError
from archive.identifiers import Digest
from wado.pixels.cache import PARTIAL, TOUCH_S, DerivedCache, DerivedKey
from wado.pixels.syntaxes import HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL

COPIED_AS = frozenset((HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL))
"""A copy is given as either: it is encoded by resolution, and every HTJ2K Lossless RPCL stream is HTJ2K Lossless."""
_HEAD = struct.Struct("<8sI")
_ENTRY = struct.Struct("<QI16s")
_MAGIC = b"LBXHTJ2K"
_CHECK_BYTES = 16


class FrameCopies:
    """The folder and its bound, as `DerivedCache` keeps it: whole instances go, those used longest ago first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._files = DerivedCache(folder, limit_bytes)

    def _path(self, digest: Digest) -> str:
        return self._files.path(DerivedKey(digest, "lossless HTJ2K frames"))

    def is_there(self, digest: Digest) -> bool:
        """Whether the frames of the instance are copied."""
        try:
            return os.stat(self._path(digest)).st_size > _HEAD.size  # noqa: PTH116 - for each frame
        except OSError:
            return False

    def is_settled(self, digest: Digest) -> bool:
        """Whether they are, or are known not to be worth it."""
        return os.path.exists(self._path(digest))  # noqa: PTH110 - for each instance

    def read(self, digest: Digest, frame_index: int) -> bytes | None:
        """A frame (0-based), if it is copied and undamaged; marks the copy as used."""
        try:
            descriptor = os.open(self._path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            frame = _frame_of(descriptor, frame_index)
            if frame is not None and time.time() - os.fstat(descriptor).st_mtime > TOUCH_S:
                os.utime(descriptor)
        except (OSError, ValueError, struct.error):
            self.remove(digest)
            return None
        finally:
            os.close(descriptor)
        return frame

    def begin(self, digest: Digest, count: int) -> "CopyDraft":
        """A copy of so many frames. Raises StorageFullError."""
        return CopyDraft(self, self._path(digest), count)

    def note_none(self, digest: Digest) -> None:
        """Remember that no copy is to be had of this instance. Raises StorageFullError."""
        with self.begin(digest, 0) as draft:
            draft.keep()

    def remove(self, digest: Digest) -> None:
        Path(self._path(digest)).unlink(missing_ok=True)

    def keep_within_limit(self, written_bytes: int) -> None:
        """Count what was written, and remove what was used longest ago when it is time to. Blocks."""
        self._files.note_written(written_bytes)
        if self._files.sweep_is_due:
            self._files.sweep()


class CopyDraft:
    """A copy on its way; nothing is left of it unless it is kept. Use it as a context."""

    def __init__(self, copies: FrameCopies, path: str, count: int) -> None:
        self._copies, self._path, self._count = copies, Path(path), count
        self._entries: list[bytes] = []
        self._kept = False
        self.frames_bytes = 0
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, self._partial = tempfile.mkstemp(PARTIAL, dir=self._path.parent)
        except OSError as error:
            raise StorageFullError("Copies of frames cannot be written.") from error
        self._file = os.fdopen(descriptor, "wb")
        self._file.seek(_HEAD.size + count * _ENTRY.size)

    def add(self, frame: bytes) -> None:
        """The next frame. Raises StorageFullError."""
        check = hashlib.sha256(frame).digest()[:_CHECK_BYTES]
        self._entries.append(_ENTRY.pack(self._file.tell(), len(frame), check))
        self.frames_bytes += len(frame)
        try:
            self._file.write(frame)
        except OSError as error:
            raise StorageFullError("Copies of frames cannot be written.") from error

    def keep(self) -> None:
        """All frames were added: give the file its name. Raises StorageFullError."""
        if len(self._entries) != self._count:
            raise ValueError("A copy holds every frame of its instance.")
        try:
            self._file.seek(0)
            self._file.write(_HEAD.pack(_MAGIC, self._count) + b"".join(self._entries))
            self._file.close()
            Path(self._partial).replace(self._path)
        except OSError as error:
            raise StorageFullError("Copies of frames cannot be written.") from error
        self._kept = True
        self._copies.keep_within_limit(self.frames_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._kept:
            with contextlib.suppress(OSError):  # what was buffered finds no room: it is not wanted any more
                self._file.close()
            Path(self._partial).unlink(missing_ok=True)


def _frame_of(descriptor: int, frame_index: int) -> bytes | None:
    """None where the file has no such frame. Raises ValueError and struct.error when it is damaged."""
    magic, count = _HEAD.unpack(os.pread(descriptor, _HEAD.size, 0))
    if magic != _MAGIC:
        raise ValueError(magic)
    if not 0 <= frame_index < count:
        return None
    entry = os.pread(descriptor, _ENTRY.size, _HEAD.size + frame_index * _ENTRY.size)
    offset, length_bytes, check = _ENTRY.unpack(entry)
    frame = os.pread(descriptor, length_bytes, offset)
    if hashlib.sha256(frame).digest()[:_CHECK_BYTES] != check:
        raise ValueError(frame_index)
    return frame
