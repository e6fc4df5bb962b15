"""A copy of an archive while it serves: the database first, then every file that the copy names.

Files never change and a row is written after its file, so whatever the copied database names was there when it was
copied. A second backup into the same folder copies only what is new. Every file that is copied is compared with its
SHA-256 on the way; a damaged one is told, and the copy that an earlier backup made stays. A backup is an archive like
any other: `lightbox verify` on its folder reads all of it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from archive.database.copying import copy_database, name_copy
from archive.database.engine import Database, open_database
from archive.errors import LightboxError, StoreError, StoreUnreachableError
from archive.index.inventory import NamedBlob, find_named_blobs, is_named
from archive.store.contract import Store
from archive.store.files import FileStore

DATABASE_NAME = "lightbox.sqlite"
STORE_NAME = "store"


@dataclass(slots=True)
class Copied:
    """How far a copy is. `missing` are SOP Instance UIDs whose file is missing or damaged in what was copied."""

    total: int
    done: int = 0
    copied: int = 0
    missing: list[str] = field(default_factory=list)


async def back_up(database_path: Path, store: Store, to: Path) -> AsyncIterator[Copied]:
    """Copy into `to`. The new database takes its place there when every file that it names is there too."""
    target = await asyncio.to_thread(FileStore, to / STORE_NAME)
    live = open_database(database_path)
    try:
        async for state in _copied(database_path, to / DATABASE_NAME, (store, target), live):
            yield state
    finally:
        await live.close()


async def bring_back(source: Path, store: Store, database_path: Path) -> AsyncIterator[Copied]:
    """Make an archive from a backup. Raises LightboxError when there is one already, or no backup."""

    def check() -> None:
        if database_path.exists():
            raise LightboxError("There is an archive in this folder already; a backup is brought back into a new one.")
        if not (source / DATABASE_NAME).is_file():
            raise LightboxError("There is no finished backup in this folder.")

    await asyncio.to_thread(check)
    kept = await asyncio.to_thread(FileStore, source / STORE_NAME)
    async for state in _copied(source / DATABASE_NAME, database_path, (kept, store), None):
        yield state


async def _copied(
    source: Path, target: Path, stores: tuple[Store, Store], live: Database | None
) -> AsyncIterator[Copied]:
    """The database as a draft beside `target`, the files from one store to the other, then the draft's name."""
    draft = target.with_name(f"{target.name}.new")
    await asyncio.to_thread(copy_database, source, draft)
    copy = open_database(draft)
    try:
        blobs = await copy.read(find_named_blobs)
        async for state in _copy(blobs, *stores, live):
            yield state
    finally:
        await copy.close()
    await asyncio.to_thread(name_copy, draft, target)


async def _copy(
    blobs: Sequence[NamedBlob], source: Store, target: Store, live: Database | None
) -> AsyncIterator[Copied]:
    state = Copied(len(blobs))
    for blob in blobs:
        try:
            state.copied += await asyncio.to_thread(_copy_one, blob, source, target)
        except StoreUnreachableError:
            raise
        except StoreError:
            # what was purged since the database was copied is not missed
            if live is None or await live.read(is_named, blob.digest):
                state.missing += blob.instance_uids
        state.done += 1
        yield state
    target.settle(blob.digest for blob in blobs)


def _copy_one(blob: NamedBlob, source: Store, target: Store) -> bool:
    """Whether the blob had to be copied. Raises StoreError when its bytes are not those that were saved."""
    try:
        target.written_s(blob.digest)
    except StoreError:
        pass
    else:
        return False
    draft = target.begin()
    try:
        with source.contents(blob.digest) as data:
            for start in range(0, len(data), 1 << 20):
                draft.write(data[start : start + (1 << 20)])
        if draft.seal() != blob.digest:
            raise StoreError("The bytes of this instance are not those that were saved.")
        draft.keep()
    finally:
        draft.discard()
    return True
