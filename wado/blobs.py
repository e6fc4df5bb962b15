"""Stored bytes on their way out, in chunks of bounded size."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from archive.errors import StoreError
from archive.identifiers import Digest
from archive.instances import Buffer, Instance, Span
from archive.store.checksum import checking
from archive.store.contract import Store

CHUNK_BYTES = 1 << 20


async def read_span(store: Store, digest: Digest, span: Span) -> bytes:
    if span.length_bytes <= store.quick_bytes:
        return store.read(digest, span)
    return await asyncio.to_thread(store.read, digest, span)


@asynccontextmanager
async def contents(store: Store, digest: Digest) -> AsyncIterator[Buffer]:
    """A whole blob, mapped. What is not on this machine is fetched in a thread first."""
    if not store.quick_bytes:
        await asyncio.to_thread(store.path_of, digest)
    with store.contents(digest) as data:
        yield data


async def span_chunks(store: Store, digest: Digest, spans: Iterable[Span]) -> AsyncIterator[bytes]:
    """Ranges of a blob, one after another. Raises StoreError when bytes are missing."""
    for span in spans:
        end = span.offset + span.length_bytes
        for offset in range(span.offset, end, CHUNK_BYTES):
            yield await read_span(store, digest, Span(offset, min(CHUNK_BYTES, end - offset)))


async def verified_chunks(store: Store, instance: Instance) -> AsyncIterator[bytes]:
    """A whole blob. Its last chunk is given only when the bytes are those that were saved, by checksum or digest.

    Raises StoreError instead of the last chunk when they have not: an answer with damaged bytes never becomes complete.
    """
    check = checking(instance.digest, instance.checksum)
    held: bytes | None = None
    async for chunk in span_chunks(store, instance.digest, (Span(0, instance.length_bytes),)):
        check.update(chunk)
        if held is not None:
            yield held
        held = chunk
    if not check.is_right():
        raise StoreError("The bytes of this instance are not those that were saved.")
    if held is not None:
        yield held
