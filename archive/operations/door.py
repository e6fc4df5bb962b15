"""The way in for connections: so many and no more, and none when the server is about to stop.

aiohttp takes every connection that comes. Here each is looked at before it is handed on: beyond the limits of
`limits.CONNECTIONS` it gets a 503 and is closed, whatever it was about to ask. What cannot be read as HTTP is refused
in the form of all refusals.
"""

import asyncio
import gc
import logging
import re
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast
from uuid import uuid4

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

from archive.dicomweb.problems import Problem, describe_error
from archive.errors import BadRequestError
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
_HOST = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:.]+\])(:[0-9]{0,5})?", re.ASCII)
LAST = web.RequestKey("last", bool)
"""Set where nothing more is to be read from the request's connection."""
log = logging.getLogger("lightbox.door")


class Door:
    """Counts connections by network. `closing` makes every further answer the last on its connection."""

    def __init__(
        self, limit: Limit = CONNECTIONS, trusted: frozenset[str] = frozenset(), send_idle_s: float = 120.0
    ) -> None:
        self.limit, self._trusted, self.send_idle_s = limit, trusted, send_idle_s
        self.closing = False
        self.lingering = 0
        self.server: web.Server | None = None
        self.options: Mapping[str, Any] = {}
        """Of each connection, as aiohttp's RequestHandler takes them."""

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
        return Greeter(self, partial(Conversation, self.server, loop=asyncio.get_running_loop(), **self.options))


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
            end_when_nothing_is_taken(transport, self._door.send_idle_s)
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


def end_when_nothing_is_taken(transport: asyncio.BaseTransport, idle_s: float) -> None:
    """Have the system end a connection whose client takes nothing of what was sent for so long (tcp(7)).

    No time limit of ours sees it: the answer may have been handed to the system whole, and its handler may be done.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(idle_s * 1000))


class Conversation(RequestHandler):
    """A connection. What HTTP's reader refuses is answered by a problem with an id, which repeats nothing of it."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun already.")
        problem, request_id = Problem.of(exc if isinstance(exc, Exception) else RuntimeError()), uuid4().hex
        told = {"request_id": request_id, "code": problem.code, **describe_error(exc or RuntimeError())}
        log.log(logging.ERROR if problem.status >= 500 else logging.INFO, "A message could not be served.", extra=told)
        response = problem.to_response(request_id)
        response.force_close()
        return response


class DoorRunner(web.AppRunner):
    """An application's runner whose connections come through its door; `options` are those of each connection."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float = 60.0, **options: Any) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._options = options

    async def setup(self) -> None:
        await super().setup()
        self.app[DOOR].server, self.app[DOOR].options = super().server, self._options
        gc.collect()
        gc.freeze()  # what is there by now stays: to look through it again and again stops every request for 0.15 s

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


@web.middleware
async def host_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what is no host (RFC 9112 §3.2): whoever stands between might read it as another one than we do."""
    if _HOST.fullmatch(request.headers.get(hdrs.HOST, "")) is None:
        request[LAST] = True
        raise BadRequestError("Host names no host.", parameter="Host")
    return await handler(request)


async def say_goodbye(request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp's signal: when the server is about to stop, this is the last answer on its connection."""
    if request.app[DOOR].closing or LAST in request:
        response.force_close()
        response.headers["Connection"] = "close"  # aiohttp has decided on this header already
