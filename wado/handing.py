"""Handing a whole stored file to the nginx in front, which sends it in our name (X-Accel-Redirect).

The archive has authorised and written down; nginx reads the blob itself, with ranges. So that damaged bytes are never
sent that way, the blob is hashed before it is handed over, and again when it was touched or an hour has passed.
"""

import asyncio
import os
from collections import OrderedDict
from dataclasses import dataclass, field

from aiohttp import web

from archive.identifiers import Digest
from archive.instances import Instance
from archive.resources import STORE
from archive.store.contract import Store

CHECK_AGAIN_S = 3600.0
MAXIMUM_CHECKED = 20_000

_Identity = tuple[int, int, int, int]


@dataclass(slots=True)
class HandedFiles:
    """Which blobs were found sound, and how their files looked then. One for each process; `prefix` is nginx's."""

    prefix: str
    _checked: OrderedDict[Digest, tuple[_Identity, float]] = field(default_factory=OrderedDict)

    async def require_sound(self, store: Store, digest: Digest) -> None:
        """Raises StoreError when the blob is missing or its bytes are not those that were saved."""
        now_s = asyncio.get_running_loop().time()
        status = os.stat(store.path_of(digest))  # noqa: PTH116 - for each answer
        identity = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._checked.get(digest)
        if known is not None and known[0] == identity and now_s < known[1]:
            return
        await asyncio.to_thread(store.check, digest)
        self._checked[digest] = (identity, now_s + CHECK_AGAIN_S)
        if len(self._checked) > MAXIMUM_CHECKED:
            self._checked.popitem(last=False)

    def path_of(self, digest: Digest) -> str:
        """Where nginx finds the blob: below its internal location, as in `store/blobs` (FORMAT.md)."""
        return f"{self.prefix}/{digest[:2]}/{digest}"


HANDED: web.AppKey[HandedFiles] = web.AppKey("HANDED", HandedFiles)


async def hand_over(
    request: web.Request, instance: Instance, handed: HandedFiles, headers: dict[str, str]
) -> web.Response:
    """An answer without a body that tells nginx which file is the body. Raises StoreError."""
    await handed.require_sound(request.app[STORE], instance.digest)
    return web.Response(headers={**headers, "X-Accel-Redirect": handed.path_of(instance.digest)})
