"""Blobs in memory: for tests of what stands on a store."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.errors import StoreError
from archive.identifiers import Digest
from archive.instances import Buffer, Span
from archive.store.checksum import Sum


class MemoryStore:
    """A store that forgets everything with its process. `path_of` writes the blob to `folder`."""

    quick_bytes = 1 << 20

    def __init__(self, folder: Path) -> None:
        self._blobs: dict[Digest, bytes] = {}
        self._set_aside: list[bytes] = []
        self._folder = folder

    def begin(self) -> "MemoryDraft":
        return MemoryDraft(self._blobs)

    def _find(self, digest: Digest) -> bytes:
        try:
            return self._blobs[digest]
        except KeyError:
            raise StoreError("The bytes of this instance are missing in the store.") from None

    def settle(self, digests: Iterable[Digest]) -> None:
        """Nothing here outlives the process."""

    def path_of(self, digest: Digest) -> Path:
        path = self._folder / digest
        path.write_bytes(self._find(digest))
        return path

    def read(self, digest: Digest, span: Span) -> bytes:
        data = self._find(digest)[span.offset : span.offset + span.length_bytes]
        if len(data) != span.length_bytes:
            raise StoreError("The bytes of this instance are shorter than they were.")
        return data

    def read_into(self, digest: Digest, offset: int, target: memoryview) -> None:
        target[:] = self.read(digest, Span(offset, len(target)))

    def descriptor(self, digest: Digest) -> int | None:
        return None

    @contextmanager
    def contents(self, digest: Digest) -> Iterator[Buffer]:
        yield memoryview(self._find(digest))

    def check(self, digest: Digest) -> None:
        if hashlib.sha256(self._find(digest)).hexdigest() != digest:
            raise StoreError("The bytes of this instance are not those that were saved.")

    def written_s(self, digest: Digest) -> float:
        self._find(digest)
        return 0.0

    def quarantine(self, digest: Digest) -> None:
        self._set_aside.append(self._find(digest))
        del self._blobs[digest]

    def remove(self, digest: Digest) -> None:
        self._blobs.pop(digest, None)

    def remove_derived(self, digest: Digest) -> None:
        pass

    def digests(self) -> Iterator[Digest]:
        yield from sorted(self._blobs)

    def clear_drafts(self) -> int:
        return 0


class MemoryDraft:
    def __init__(self, blobs: dict[Digest, bytes]) -> None:
        self._blobs = blobs
        self._data = bytearray()
        self._digest: Digest | None = None
        self.length_bytes = 0

    def write(self, chunk: Buffer) -> None:
        self._data += chunk
        self.length_bytes += len(chunk)

    def seal(self) -> Digest:
        self._digest = Digest(hashlib.sha256(self._data).hexdigest())
        return self._digest

    def checksum(self) -> bytes:
        total = Sum()
        total.update(memoryview(self._data))
        return total.digest()

    @contextmanager
    def contents(self) -> Iterator[Buffer]:
        yield memoryview(bytes(self._data))

    def keep(self) -> None:
        if self._digest is None:
            raise ValueError("A draft is sealed before it is kept.")
        self._blobs[self._digest] = bytes(self._data)

    def discard(self) -> None:
        self._data.clear()
