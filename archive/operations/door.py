"""The way in for connections: so many and no more, and none when the server is about to stop.

aiohttp takes every connection that comes. Here each is looked at before it is handed on: beyond the limits of
`limits.CONNECTIONS` it gets a 503 and is closed, whatever it was about to ask.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from archive.operations.limits import CONNECTIONS, RETRY_AFTER_S, Limit
from auth.limits import network_of

_REFUSED = b"The server has too many connections; try again."
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nRetry-After: %d\r\nConnection: close\r\n\r\n" % (len(_REFUSED), RETRY_AFTER_S)
) + _REFUSED
LINGER_S = 1.0
"""A refused client has this long to take its answer."""
MOST_LINGERING = 64
LAST_ANSWERS_S = 1.0
"""Connections that are kept open have this long to bring their next request and be told that it is the last."""
LOOK_EVERY_S = 0.02


class Door:
    """Counts connections by network. `closing` makes every further answer the last on its connection."""

    def __init__(self, limit: Limit = CONNECTIONS, trusted: frozenset[str] = frozenset()) -> None:
        self.limit, self._trusted = limit, trusted
        self.closing = False
        self.lingering = 0
        self.server: web.Server | None = None

    @property
    def open_connections(self) -> int:
        return len(self.server.connections) if self.server is not None else 0

    def has_room_for(self, address: str) -> bool:
        """Whether one more connection from there is taken. Proxies that are trusted speak for many."""
        assert self.server is not None
        others = self.server.connections
        if len(others) >= self.limit.together:
            return False
        if len(others) < self.limit.together // 2 or address in self._trusted:
            return True
        network = network_of(address)
        same = sum(network_of(address_of(other.transport)) == network for other in others)
        return same < self.limit.one

    async def close(self) -> None:
        """Each answer is the last on its connection from now on; returns when none is left, or after a moment.

        A connection that is closed without that word may be closed under a request that is just on its way.
        """
        self.closing = True
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + LAST_ANSWERS_S
        while self.open_connections and loop.time() < deadline_s:  # noqa: ASYNC110 - aiohttp tells nobody of their end
            await asyncio.sleep(LOOK_EVERY_S)

    def greet(self) -> "Greeter":
        """A protocol for a new connection; asyncio calls this."""
        assert self.server is not None
        return Greeter(self, cast("Callable[[], asyncio.Protocol]", self.server))


DOOR: web.AppKey[Door] = web.AppKey("DOOR", Door)


class Greeter(asyncio.Protocol):
    """The first to see a connection: hands it to aiohttp, or refuses it."""

    def __init__(self, door: Door, make: Callable[[], asyncio.Protocol]) -> None:
        self._door, self._make = door, make
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        if self._door.has_room_for(address_of(transport)):
            protocol = self._make()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)  # counted from here on
            return
        self._transport = transport
        self._door.lingering += 1
        if self._door.lingering > MOST_LINGERING:
            transport.abort()
            return
        transport.write(REFUSAL)
        asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """What a refused client still sends is not looked at; closing before it was taken would lose the answer."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._door.lingering -= 1


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """Where a connection comes from; "" for a socket in the file system."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""


class DoorRunner(web.AppRunner):
    """An application's runner whose connections come through its door."""

    async def setup(self) -> None:
        await super().setup()
        self.app[DOOR].server = super().server

    async def cleanup(self) -> None:
        """Take nothing new, let busy clients hear that their connection ends, finish what is under way, close."""
        for site in self.sites:
            await site.stop()
        if DOOR in self.app:
            await self.app[DOOR].close()
        await super().cleanup()

    @property
    def server(self) -> Any:
        """What sites make protocols with, and gunicorn's worker asks for the number of requests."""
        server = super().server
        return None if server is None else _Way(self.app[DOOR], server)


class _Way:
    def __init__(self, door: Door, server: web.Server) -> None:
        self._door, self._server = door, server

    def __call__(self) -> Greeter:
        return self._door.greet()

    @property
    def requests_count(self) -> int:
        return self._server.requests_count


async def say_goodbye(request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp's signal: when the server is about to stop, this is the last answer on its connection."""
    if request.app[DOOR].closing:
        response.force_close()
        response.headers["Connection"] = "close"  # aiohttp has decided on this header already
