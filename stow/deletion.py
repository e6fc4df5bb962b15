"""Delete, reject and restore: our extensions below a root (PS3.18 has no such transactions), for administrators.

`DELETE` on a study, series or instance takes it out of every answer; `POST …/reject` does so and never takes it again.
`POST …/restore` brings either back, until the files are purged: after the time that the archive's settings give, or at
once with `DELETE …?purge=yes`.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from archive.database.engine import Database
from archive.dicomweb.targets import InstanceTarget, SeriesTarget, StudyTarget
from archive.dicomweb.transactions import Handler, Transaction
from archive.errors import BadRequestError, GoneError, NotFoundError, StoreError
from archive.identifiers import Digest
from archive.index.deletion import (
    Chain,
    DeletedInstance,
    Deletion,
    delete_instances,
    find_deleted,
    purge,
    restore_instances,
    was_deleted,
)
from archive.ingest import Ingest
from archive.resources import DATABASE, INGEST, KNOWN, STORE
from archive.scope import Scope
from archive.store.contract import Store
from auth.access import require_admin

RESTORED_AT_ONCE = 100
PURGE_EVERY_S = 600.0
YOUNGEST_S = 3600
"""A younger blob may belong to a store request that is still under way; `lightbox verify` removes it later."""
PURGE_WORDS: Mapping[str, bool] = {"yes": True, "no": False}

log = logging.getLogger("lightbox.deletion")


def _chain(request: web.Request) -> Chain:
    match = request.match_info
    if "instance" in match:
        instance = InstanceTarget.parse(match)
        return Chain(instance.study_uid, instance.series_uid, instance.instance_uid)
    if "series" in match:
        series = SeriesTarget.parse(match)
        return Chain(series.study_uid, series.series_uid)
    return Chain(StudyTarget.parse(match).study_uid)


async def delete(request: web.Request) -> web.Response:
    """Take a study, series or instance out of every answer; it can be restored until it is purged."""
    purged = PURGE_WORDS.get(request.query.get("purge", "no"))
    if purged is None:
        raise BadRequestError("purge is yes or no.", parameter="purge")
    return await _delete(request, rejected=False, purged=purged)


async def reject(request: web.Request) -> web.Response:
    """Delete, and refuse the same instances when they are sent again."""
    return await _delete(request, rejected=True, purged=False)


async def _delete(request: web.Request, *, rejected: bool, purged: bool) -> web.Response:
    by = require_admin(request)
    chain, database = _chain(request), request.app[DATABASE]
    count = await database.write_batch(delete_instances, chain, Deletion(_now_ms(), by, rejected))
    request.app[KNOWN].forget()
    if not count:
        waiting = await database.read(find_deleted, chain) if purged else []
        if not waiting:
            await refuse_missing(database, chain)
    if purged:
        await purge_all(database, request.app[STORE], chain, _now_ms() + 1)
    return web.json_response({"deleted": count, "restorable": not purged})


async def restore(request: web.Request) -> web.Response:
    """Bring back what was deleted or rejected, as it was."""
    require_admin(request)
    return web.json_response(
        {"restored": await restore_all(request.app[DATABASE], request.app[INGEST], _chain(request))}
    )


async def restore_all(database: Database, ingest: Ingest, chain: Chain) -> int:
    """Read the blobs again and index them; how many. Raises GoneError or NotFoundError where there are none."""
    found: list[DeletedInstance] = await database.read(find_deleted, chain)
    if not found:
        await refuse_missing(database, chain)
    count = 0
    for start in range(0, len(found), RESTORED_AT_ONCE):
        batch = [
            replace(await ingest.read_again(one.digest, one.stored_by), original_digest=one.original_digest)
            for one in found[start : start + RESTORED_AT_ONCE]
        ]
        count += await database.write_batch(restore_instances, batch, _now_ms())
    return count


async def refuse_missing(database: Database, chain: Chain) -> None:
    """Raise GoneError where something was deleted, else NotFoundError."""
    if await database.keyed(lambda connection: was_deleted(Scope.everything(), connection, chain)):
        raise GoneError("This was deleted.")
    raise NotFoundError


async def keep_purging(database: Database, store: Store, undo_s: float) -> None:
    """Purge what was deleted more than `undo_s` ago, now and every few minutes; never ends."""
    while True:
        await purge_all(database, store, None, _now_ms() - int(undo_s * 1000))
        await asyncio.sleep(PURGE_EVERY_S)


async def purge_all(database: Database, store: Store, chain: Chain | None, before_ms: int) -> None:
    """Forget what was deleted before a time, and remove the blobs that nothing names any more."""

    def remove(digest: Digest) -> None:
        store.remove_derived(digest)
        try:
            is_old = store.written_s(digest) < time.time() - YOUNGEST_S
        except StoreError:
            return  # a crash came between its removal and the index
        if is_old:
            store.remove(digest)

    while await database.write_batch(purge, chain, before_ms, remove):
        pass


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


LEVELS = {
    "Study": "/studies/{study}",
    "Series": "/studies/{study}/series/{series}",
    "Instance": "/studies/{study}/series/{series}/instances/{instance}",
}
EXTENSION = "extension of Lightbox"
JSON = ("application/json",)


def _transactions(name: str, path: str) -> tuple[Transaction, ...]:
    def post(verb: str, handler: Handler) -> Transaction:
        return Transaction("POST", f"{path}/{verb}", f"{verb.title()}{name}", EXTENSION, handler, JSON)

    return (
        Transaction("DELETE", path, f"Delete{name}", EXTENSION, delete, JSON, (), ("purge",)),
        post("reject", reject),
        post("restore", restore),
    )


TRANSACTIONS = tuple(one for name, path in LEVELS.items() for one in _transactions(name, path))


def routes(root: str = "") -> list[web.RouteDef]:
    """The extensions below a DICOMweb root; a share and a ticket are refused by all of them."""
    return [transaction.route(root) for transaction in TRANSACTIONS]
