"""Blobs as objects of an S3-compatible store, with a bounded cache of whole blobs on this machine.

An upload is acknowledged by the store before `keep` returns, so nothing is left for `settle`. What comes down whole is
compared with its SHA-256 before anyone sees it; ranges are read as they are asked for, from the cache where it has
the blob.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from archive.errors import StoreError, StoreUnreachableError
from archive.identifiers import Digest, parse_digest
from archive.instances import Buffer, Span
from archive.store.derived import Derived
from archive.store.files import FileDraft, clear_dead_drafts, mapped
from archive.store.object_cache import BlobCache

if TYPE_CHECKING:
    from obstore.store import S3Config  # stands in its stubs only

MISSING = "The bytes of this instance are missing in the store."
UNREACHABLE = "The object store does not answer; try again later."
PART_BYTES = 8 << 20
"""An upload over this size goes up in parts of this size, four at a time."""
STREAM_BYTES = 1 << 20
TIMEOUT = timedelta(seconds=60)
RETRY_FOR = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the objects are. `endpoint` empty: Amazon's; the keys empty: what the environment or the machine has."""

    url: str
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = ""

    def open(self) -> S3Store:
        config: S3Config = {"region": self.region, "virtual_hosted_style_request": not self.endpoint}
        if self.endpoint:
            config["endpoint"] = self.endpoint
        if self.access_key:
            config["access_key_id"], config["secret_access_key"] = self.access_key, self.secret_key
        return S3Store.from_url(
            self.url,
            config=config,
            client_options={"allow_http": self.endpoint.startswith("http://"), "timeout": TIMEOUT},
            retry_config={"max_retries": 5, "retry_timeout": RETRY_FOR},
        )


class ObjectStore:
    """A store in a bucket. `folder` holds the drafts and the cache of this machine."""

    quick_bytes = 0

    def __init__(
        self,
        bucket: Bucket,
        folder: Path,
        cache_limit_bytes: int,
        derived: Derived = Derived(),  # noqa: B008 - frozen
    ) -> None:
        self._derived = derived
        self._objects = bucket.open()
        self._drafts = folder / "drafts"
        self._drafts.mkdir(parents=True, exist_ok=True)
        self._cache = BlobCache(folder / "cache", cache_limit_bytes)

    def begin(self) -> "ObjectDraft":
        path = self._drafts / secrets.token_hex(16)
        return ObjectDraft(FileDraft(path, self._cache.place), path, self._upload, self._cache)

    def settle(self, digests: Iterable[Digest]) -> None:
        """An object is durable when its upload is acknowledged."""

    def path_of(self, digest: Digest) -> Path:
        return self._cache.find(digest) or self._download(digest)

    def read(self, digest: Digest, span: Span) -> bytes:
        data = self._read_here(digest, span)
        if data is None:
            with _faults_are_told():
                data = (
                    obstore.get_range(
                        self._objects, _key(digest), start=span.offset, length=span.length_bytes
                    ).to_bytes()
                    if span.length_bytes
                    else b""
                )
        if len(data) != span.length_bytes:
            raise StoreError("The bytes of this instance are shorter than they were.")
        return data

    def _read_here(self, digest: Digest, span: Span) -> bytes | None:
        """From the cache; None where the blob is not there, or has just been dropped by another process."""
        path = self._cache.find(digest)
        if path is None:
            return None
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(span.offset)
                return file.read(span.length_bytes)
        except FileNotFoundError:
            return None

    def read_into(self, digest: Digest, offset: int, target: memoryview) -> None:
        target[:] = self.read(digest, Span(offset, len(target)))

    def descriptor(self, digest: Digest) -> int | None:
        return None

    @contextmanager
    def contents(self, digest: Digest) -> Iterator[Buffer]:
        with ExitStack() as stack:
            try:
                view = stack.enter_context(mapped(self.path_of(digest)))
            except FileNotFoundError:  # another process has just dropped it from the cache
                view = stack.enter_context(mapped(self._download(digest)))
            yield view

    def check(self, digest: Digest) -> None:
        if self._digest_of(_key(digest)) != digest:
            raise StoreError("The bytes of this instance are not those that were saved.")

    def written_s(self, digest: Digest) -> float:
        with _faults_are_told():
            return float(obstore.head(self._objects, _key(digest))["last_modified"].timestamp())

    def quarantine(self, digest: Digest) -> None:
        aside = f"quarantine/{digest}.{secrets.token_hex(4)}"
        with _faults_are_told():
            seen = obstore.head(self._objects, _key(digest))["e_tag"]
            obstore.copy(self._objects, _key(digest), aside)
        is_sound = self._digest_of(aside) == digest
        with _faults_are_told():
            # Sound bytes may have been stored again since the damage was seen, and may be acknowledged by now.
            is_other = obstore.head(self._objects, _key(digest))["e_tag"] != seen
            if is_sound or is_other:
                obstore.delete(self._objects, aside)
                return
        self.remove(digest)

    def remove(self, digest: Digest) -> None:
        self.remove_derived(digest)
        self._cache.drop(digest)
        with suppress(NotFoundError, FileNotFoundError), _faults_are_told(missing=False):
            obstore.delete(self._objects, _key(digest))

    def remove_derived(self, digest: Digest) -> None:
        self._derived.remove(digest)

    def digests(self) -> Iterator[Digest]:
        with _faults_are_told():
            for batch in obstore.list(self._objects, prefix="blobs"):
                yield from (parse_digest(found["path"].rpartition("/")[2]) for found in batch)

    def clear_drafts(self) -> int:
        return clear_dead_drafts(self._drafts)

    def _upload(self, path: Path, digest: Digest, length_bytes: int) -> None:
        with _faults_are_told():
            obstore.put(
                self._objects,
                _key(digest),
                path,
                use_multipart=length_bytes > PART_BYTES,
                chunk_size=PART_BYTES,
                max_concurrency=4,
            )
            kept: Mapping[str, object] = obstore.head(self._objects, _key(digest))
        if kept["size"] != length_bytes:
            raise StoreError("The object store has kept fewer bytes than it was sent.")

    def _download(self, digest: Digest) -> Path:
        hasher = hashlib.sha256()
        with self._cache.arriving(digest) as file:
            with _faults_are_told():
                for chunk in obstore.get(self._objects, _key(digest)).stream(min_chunk_size=STREAM_BYTES):
                    hasher.update(chunk)
                    file.write(chunk)
            if hasher.hexdigest() != digest:
                raise StoreError("The bytes of this instance are not those that were saved.")
        return self._cache.place(digest)

    def _digest_of(self, key: str) -> str:
        hasher = hashlib.sha256()
        with _faults_are_told():
            for chunk in obstore.get(self._objects, key).stream(min_chunk_size=STREAM_BYTES):
                hasher.update(chunk)
        return hasher.hexdigest()


Upload = Callable[[Path, Digest, int], None]


class ObjectDraft:
    """A blob being written to this machine; it goes up when it is kept, and stays in the cache."""

    def __init__(self, draft: FileDraft, path: Path, upload: Upload, cache: BlobCache) -> None:
        self._draft, self._path, self._upload, self._cache = draft, path, upload, cache
        self._digest: Digest | None = None

    @property
    def length_bytes(self) -> int:
        return self._draft.length_bytes

    def write(self, chunk: Buffer) -> None:
        self._draft.write(chunk)

    def seal(self) -> Digest:
        self._digest = self._draft.seal()
        return self._digest

    def checksum(self) -> bytes:
        return self._draft.checksum()

    @contextmanager
    def contents(self) -> Iterator[Buffer]:
        with self._draft.contents() as view:
            yield view

    def keep(self) -> None:
        if self._digest is None:
            raise ValueError("A draft is sealed before it is kept.")
        self._upload(self._path, self._digest, self.length_bytes)
        self._draft.keep()
        self._cache.count(self.length_bytes)

    def discard(self) -> None:
        self._draft.discard()


def _key(digest: Digest) -> str:
    return f"blobs/{digest[:2]}/{digest}"


@contextmanager
def _faults_are_told(*, missing: bool = True) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        if not missing:
            raise
        raise StoreError(MISSING) from error
    except BaseError as error:
        raise StoreUnreachableError(UNREACHABLE) from error
