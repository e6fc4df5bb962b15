"""Remove blobs that no row names: what a crash left between blob and index, and what was refused as a duplicate.

Each is looked for again inside the transaction in which it is removed: an ingest adds its row in one too, and looks
there for its blob, so neither can come between the other's look and deed.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from itertools import islice

from archive.database.engine import Database
from archive.errors import StoreError
from archive.identifiers import Digest
from archive.index.inventory import find_unnamed
from archive.ingest import remove_unnamed
from archive.store.contract import Store

ORPHAN_AGE_S = 3600.0
"""Younger blobs without a row may belong to a store request that is still under way."""
AT_ONCE = 500
EVERY_S = 86_400.0
log = logging.getLogger("lightbox.sweep")


async def sweep(database: Database, store: Store, older_than_s: float) -> int:
    """Remove what was stored before a time (seconds since 1970) and has no row; how many blobs that were."""
    digests, removed = store.digests(), 0
    while some := await asyncio.to_thread(_next, digests):
        unnamed = await database.read(find_unnamed, some)
        for digest in await asyncio.to_thread(_old, store, unnamed, older_than_s):
            removed += await database.write_batch(remove_unnamed, store, digest, older_than_s)
    return removed


def _next(digests: Iterator[Digest]) -> list[Digest]:
    return list(islice(digests, AT_ONCE))


def _old(store: Store, digests: list[Digest], older_than_s: float) -> list[Digest]:
    """Those of the digests that are old enough, so that no transaction is begun for the others."""
    return [digest for digest in digests if _written_s(store, digest) < older_than_s]


def _written_s(store: Store, digest: Digest) -> float:
    try:
        return store.written_s(digest)
    except StoreError:
        return time.time()  # it is gone already, or nothing is known of it


async def keep_sweeping(database: Database, store: Store, alone_since_s: float) -> None:
    """Sweep now, and once a day.

    `alone_since_s` is since when nobody but this server stores: what is older and has no row is of a process that is
    dead. 0 where others may be storing; a bucket's clock is not ours, so there only age counts.
    """
    sure_s = alone_since_s if store.quick_bytes else 0.0
    while True:
        removed = await sweep(database, store, max(sure_s, time.time() - ORPHAN_AGE_S))
        if removed:
            log.warning("Files that nothing names were removed.", extra={"count": removed})
        await asyncio.sleep(EVERY_S)
