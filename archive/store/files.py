"""Blobs as files, durable when acknowledged. The layout is described in FORMAT.md."""

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.errors import StorageFullError, StoreError, StoreUnreachableError
from archive.identifiers import Digest, parse_digest
from archive.instances import Buffer, Span
from archive.store.checksum import Sum
from archive.store.derived import Derived

CHECK_BLOCK_BYTES = 1 << 20
OUT_OF_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileStore:
    """A store in a folder of a local file system."""

    quick_bytes = 1 << 20

    def __init__(self, folder: Path, derived: Derived = Derived()) -> None:  # noqa: B008 - frozen
        self._derived = derived
        self._blobs = folder / "blobs"
        self._blobs_text = str(self._blobs)
        self._drafts = folder / "drafts"
        self._quarantine = folder / "quarantine"
        # All folders are durable before the first blob: no writer relies on a folder that another is still syncing.
        places = [self._blobs / f"{number:02x}" for number in range(256)]
        missing = [part for part in (*places, self._drafts, self._quarantine) if not part.is_dir()]
        for part in missing:
            part.mkdir(parents=True, exist_ok=True)
        if missing:
            _sync_folder(self._blobs)
            _sync_folder(folder)
            _sync_folder(folder.parent)

    def _place(self, digest: Digest) -> Path:
        """The one rule that maps a digest to a path."""
        return self._blobs / digest[:2] / digest

    def _place_text(self, digest: Digest) -> str:
        """`_place` for reads: pathlib takes longer over it than the system over opening the file."""
        return f"{self._blobs_text}/{digest[:2]}/{digest}"

    def begin(self) -> "FileDraft":
        return FileDraft(self._drafts / secrets.token_hex(16), self._place)

    def settle(self, digests: Iterable[Digest]) -> None:
        folders = {self._place(digest).parent for digest in digests}
        with _full_is_told():
            for folder in sorted(folders):
                _sync_folder(folder)

    def path_of(self, digest: Digest) -> Path:
        path = self._place(digest)
        if not path.is_file():
            raise StoreError("The bytes of this instance are missing in the store.")
        return path

    def read(self, digest: Digest, span: Span) -> bytes:
        with _missing_is_told():
            descriptor = os.open(self._place_text(digest), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, span.length_bytes, span.offset)
        finally:
            os.close(descriptor)
        if len(data) != span.length_bytes:
            raise StoreError("The bytes of this instance are shorter than they were.")
        return data

    def read_into(self, digest: Digest, offset: int, target: memoryview) -> None:
        with _missing_is_told():
            descriptor = os.open(self._place_text(digest), os.O_RDONLY | os.O_CLOEXEC)
            try:
                read_bytes = os.preadv(descriptor, [target], offset)
            finally:
                os.close(descriptor)
        if read_bytes != len(target):
            raise StoreError("The bytes of this instance are shorter than they were.")

    def descriptor(self, digest: Digest) -> int | None:
        with _missing_is_told():
            return os.open(self._place_text(digest), os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def contents(self, digest: Digest) -> Iterator[Buffer]:
        with _missing_is_told():
            path = self.path_of(digest)
        with mapped(path) as view:
            yield view

    def check(self, digest: Digest) -> None:
        with _missing_is_told():
            found = _digest_of(self._place(digest))
        if found != digest:
            raise StoreError("The bytes of this instance are not those that were saved.")

    def written_s(self, digest: Digest) -> float:
        with _missing_is_told():
            return self._place(digest).stat().st_mtime

    def quarantine(self, digest: Digest) -> None:
        target = self._quarantine / f"{digest}.{secrets.token_hex(4)}"
        with _missing_is_told():
            self._place(digest).rename(target)
        if self._is_sound(target, digest):
            target.rename(self._place(digest))  # sound bytes were stored again since the damage was seen
        _sync_folder(self._quarantine)
        _sync_folder(self._place(digest).parent)

    def _is_sound(self, target: Path, digest: Digest) -> bool:
        try:
            with _missing_is_told():
                return _digest_of(target) == digest
        except StoreUnreachableError:
            target.rename(self._place(digest))  # nothing is known of it
            raise
        except StoreError:
            return False

    def remove(self, digest: Digest) -> None:
        self.remove_derived(digest)
        place = self._place(digest)
        place.unlink(missing_ok=True)
        if place.parent.is_dir():
            _sync_folder(place.parent)

    def remove_derived(self, digest: Digest) -> None:
        self._derived.remove(digest)

    def digests(self) -> Iterator[Digest]:
        for folder in sorted(self._blobs.iterdir()):
            for path in sorted(folder.iterdir()):
                yield parse_digest(path.name)

    def clear_drafts(self) -> int:
        return clear_dead_drafts(self._drafts)


class FileDraft:
    """A blob being written: in the target's own file system, so that the rename is atomic."""

    def __init__(self, path: Path, place: Callable[[Digest], Path]) -> None:
        self._path = path
        self._place = place
        self._hasher, self._sum = hashlib.sha256(), Sum()
        self._digest: Digest | None = None
        self._descriptor = -1
        self.length_bytes = 0

    def write(self, chunk: Buffer) -> None:
        with _full_is_told():
            if self._descriptor < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o444)
                # Held until the draft ends: who starts a server can tell a living process's draft from a dead one's.
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._descriptor, view) :]
        self._hasher.update(chunk)
        self._sum.update(chunk)
        self.length_bytes += len(chunk)

    def seal(self) -> Digest:
        self.write(b"")  # an empty draft is a file too
        # A failed fsync is never tried again: the kernel may have dropped the pages and report success the second time.
        with _full_is_told():
            os.fsync(self._descriptor)
        self._digest = Digest(self._hasher.hexdigest())
        return self._digest

    def checksum(self) -> bytes:
        return self._sum.digest()

    @contextmanager
    def contents(self) -> Iterator[Buffer]:
        with mapped(self._path) as view:
            yield view

    def keep(self) -> None:
        if self._digest is None:
            raise ValueError("A draft is sealed before it is kept.")
        target = self._place(self._digest)
        with _full_is_told():
            # The same bytes may be there already; renaming over them costs nothing and heals a damaged copy.
            self._path.rename(target)
        self._close()

    def discard(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # on a disk that became read-only it stays, for the next start to clear
                self._path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def clear_dead_drafts(folder: Path) -> int:
    """Remove what unfinished writes of dead processes left; how many."""
    return sum(_clear_if_dead(path) for path in folder.iterdir())


def _clear_if_dead(path: Path) -> bool:
    """Remove a draft whose process is gone; one that is still held, by an import beside the server, stays."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # it ended meanwhile
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _digest_of(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(CHECK_BLOCK_BYTES):
            hasher.update(block)
    return hasher.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def mapped(path: Path) -> Iterator[Buffer]:
    """The bytes of a file, mapped, not copied."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            yield b""
            return
        # Not closed by hand: views that outlive the block keep the mapping; it ends with the last of them.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def _full_is_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in OUT_OF_ROOM:
            raise StorageFullError("The disk of the store is full.") from error
        raise StoreError("The store could not write.") from error


@contextmanager
def _missing_is_told() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError("The bytes of this instance are missing in the store.") from error
    except OSError as error:
        if error.errno == errno.EIO:
            raise StoreError("The disk cannot read the bytes of this instance any more.") from error
        # Out of descriptors or memory, no permission: that says nothing of the bytes.
        raise StoreUnreachableError("The store cannot be read at the moment; try again later.") from error
