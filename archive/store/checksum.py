"""The checksum that sent bytes are held against: XXH3 of 128 bits, made from the very bytes that SHA-256 is made from.

SHA-256 names a blob and withstands whoever wants two files under one name; hashing what is sent with it takes longer
than sending it. Damage is no adversary: XXH3 finds it as surely (one in 2^128 passes), some twenty times as fast.
"""

import hashlib
from typing import Protocol

import xxhash

from archive.identifiers import Digest
from archive.instances import Buffer


class Checking(Protocol):
    def update(self, data: Buffer, /) -> None: ...

    def is_right(self) -> bool:
        """Whether all that was given is what was saved."""


class Sum:
    """The checksum of bytes that come piece by piece."""

    def __init__(self) -> None:
        self._hasher = xxhash.xxh3_128()

    def update(self, data: Buffer, /) -> None:
        self._hasher.update(data)

    def digest(self) -> bytes:
        return bytes(self._hasher.digest())


class ByChecksum(Sum):
    def __init__(self, expected: bytes) -> None:
        super().__init__()
        self._expected = expected

    def is_right(self) -> bool:
        return self.digest() == self._expected


class ByDigest:
    """For blobs that were stored before checksums were kept."""

    def __init__(self, expected: Digest) -> None:
        self._hasher, self._expected = hashlib.sha256(), expected

    def update(self, data: Buffer, /) -> None:
        self._hasher.update(data)

    def is_right(self) -> bool:
        return self._hasher.hexdigest() == self._expected


def checking(digest: Digest, checksum: bytes | None) -> Checking:
    """What compares bytes on their way out with those that were saved."""
    return ByChecksum(checksum) if checksum is not None else ByDigest(digest)


def checksum_of(data: Buffer, digest: Digest) -> bytes | None:
    """The checksum of a whole blob that is there already; None where its bytes are not those of the digest."""
    if hashlib.sha256(data).hexdigest() != digest:
        return None
    return bytes(xxhash.xxh3_128_digest(data))
