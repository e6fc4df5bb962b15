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

from archive.database.copying import copy_database, name_copy, remove_draft
from archive.database.engine import Database, Place, open_database
from archive.database.moving import copy_rows, require_empty
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


async def back_up(place: Place, store: Store, to: Path) -> AsyncIterator[Copied]:
    """Copy into `to`. The new database takes its place there when every file that it names is there too."""
    target = await asyncio.to_thread(FileStore, to / STORE_NAME)
    live = open_database(place)
    try:
        async for state in _copied(place, to / DATABASE_NAME, (store, target), live):
            yield state
    finally:
        await live.close()


async def bring_back(source: Path, store: Store, place: Place) -> AsyncIterator[Copied]:
    """Make an archive from a backup. Raises LightboxError when there is one already, or no backup."""

    def check() -> None:
        if isinstance(place, Path) and place.exists():
            raise LightboxError("There is an archive in this folder already; a backup is brought back into a new one.")
        if not (source / DATABASE_NAME).is_file():
            raise LightboxError("There is no finished backup in this folder.")

    await asyncio.to_thread(check)
    if not isinstance(place, Path):
        await asyncio.to_thread(require_empty, place)
    kept = await asyncio.to_thread(FileStore, source / STORE_NAME)
    if isinstance(place, Path):
        async for state in _copied(source / DATABASE_NAME, place, (kept, store), None):
            yield state
        return
    copy = open_database(source / DATABASE_NAME)
    try:
        blobs = await copy.read(find_named_blobs)
    finally:
        await copy.close()
    async for state in _copy(blobs, kept, store, None):
        yield state
    await asyncio.to_thread(copy_rows, source / DATABASE_NAME, place, lambda _table, _rows: None)


async def _copied(
    source: Place, target: Path, stores: tuple[Store, Store], live: Database | None
) -> AsyncIterator[Copied]:
    """The database as a draft beside `target`, the files from one store to the other, then the draft's name."""
    draft = target.with_name(f"{target.name}.new")
    if isinstance(source, Path):
        await asyncio.to_thread(copy_database, source, draft)
    else:
        await asyncio.to_thread(remove_draft, draft)
        await asyncio.to_thread(copy_rows, source, draft, lambda _table, _rows: None)
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
