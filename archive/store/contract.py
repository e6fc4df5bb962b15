"""What every store gives: drafts that become blobs, and blobs that are read by digest.

A blob is named by the SHA-256 of its bytes and never changes. Everything here blocks; callers use threads.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from archive.identifiers import Digest
from archive.instances import Buffer, Span


class Draft(Protocol):
    """Bytes on their way in. Ends with exactly one of `keep` and `discard`."""

    @property
    def length_bytes(self) -> int:
        """How much was written so far."""

    def write(self, chunk: Buffer) -> None:
        """Append. Raises StorageFullError when the disk is full."""

    def seal(self) -> Digest:
        """Everything was written: sync it, return its digest."""

    def checksum(self) -> bytes:
        """The checksum of what was written (`archive.store.checksum`)."""

    def contents(self) -> AbstractContextManager[Buffer]:
        """The sealed bytes, mapped, not copied."""

    def keep(self) -> None:
        """Give the blob its digest as its name; it survives a power cut once `Store.settle` has returned for it."""

    def discard(self) -> None:
        """Leave nothing behind. Harmless after `keep` or twice."""


class Store(Protocol):
    @property
    def quick_bytes(self) -> int:
        """Ranges up to this length are read quicker than a thread is asked: from the page cache. 0 where none is."""

    def begin(self) -> Draft: ...

    def settle(self, digests: Iterable[Digest]) -> None:
        """Make the names of kept blobs durable, many for little more than one. Does not look whether they are there."""

    def path_of(self, digest: Digest) -> Path:
        """Where the blob lies on this machine. Raises StoreError if it is missing."""

    def read(self, digest: Digest, span: Span) -> bytes:
        """A range of a blob. Raises StoreError if the blob is missing or shorter than the range."""

    def read_into(self, digest: Digest, offset: int, target: memoryview) -> None:
        """Fill `target` with the blob's bytes from `offset` on. Raises StoreError as `read` does."""

    def descriptor(self, digest: Digest) -> int | None:
        """An open file of the blob, the caller's to close; None where there is none. Raises StoreError like `read`."""

    def contents(self, digest: Digest) -> AbstractContextManager[Buffer]:
        """A whole blob, mapped, not copied. Raises StoreError if it is missing."""

    def check(self, digest: Digest) -> None:
        """Read the whole blob and compare. Raises StoreError if it is missing or not what was saved."""

    def written_s(self, digest: Digest) -> float:
        """When the blob was last stored, in seconds since 1970, UTC. Raises StoreError if it is missing."""

    def quarantine(self, digest: Digest) -> None:
        """Set a damaged blob aside: it is no longer served, and not deleted."""

    def remove(self, digest: Digest) -> None:
        """Delete a blob that nothing names any more, and what was made of it; harmless if it is not there."""

    def remove_derived(self, digest: Digest) -> None:
        """Delete what was made of a blob, such as pictures and frames in other syntaxes."""

    def digests(self) -> Iterator[Digest]:
        """Every blob that is there, in no particular order."""

    def clear_drafts(self) -> int:
        """Remove what unfinished writes of a dead process left; returns how many. Call before anything is stored."""
