"""`/metrics`: for tokens with the role read or admin, and for the addresses that the settings name."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from archive.errors import ForbiddenError
from archive.operations.door import DOOR
from archive.operations.figures import FiguresReader
from archive.operations.heap import Heap
from archive.operations.metrics import METRICS
from auth.access import ACCESS, principal_of, require_read
from auth.principals import Kind

OBSERVE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Operations:
    """Where figures come from. `queued` frames wait for a decoder; `open_to` may read the metrics without a token."""

    reader: FiguresReader
    queued: Callable[[], int]
    version: str = ""
    open_to: frozenset[str] = frozenset()


OPERATIONS: web.AppKey[Operations] = web.AppKey("OPERATIONS", Operations)


def routes() -> list[web.RouteDef]:
    return [web.get("/metrics", get_metrics)]


async def get_metrics(request: web.Request) -> web.Response:
    """Figures of the server in Prometheus' text format; needs a token with the role read or admin."""
    operations = request.app[OPERATIONS]
    if request.app[ACCESS].address_of(request) not in operations.open_to:
        require_read(request)
        if principal_of(request).kind is not Kind.MACHINE:
            raise ForbiddenError("This needs a token with the role read or admin.")
    observe(request.app)
    body = request.app[METRICS].text(await operations.reader.read())
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def observe(app: web.Application) -> None:
    """Put down the state of this process."""
    app[METRICS].observe(app[DOOR].open_connections, app[OPERATIONS].queued())


async def keep_observing(app: web.Application) -> None:
    """Put it down again and again: another process may be the one that is asked. Gives memory back beside that."""
    heap = Heap()
    while True:
        observe(app)
        await asyncio.to_thread(heap.look)
        await asyncio.sleep(OBSERVE_EVERY_S)
