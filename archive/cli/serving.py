"""One server process: a listening socket, the application behind it, and the signals that end it.

The socket may be handed over by systemd, or by this very program before a restart in place: it is open all the while,
and who connects meanwhile waits in its queue. SIGTERM and SIGINT stop the server, SIGHUP restarts it in place with the
code, the settings and the certificate as they are then. Either way nothing new is taken, answers under way finish
within a limit, and each tells its client that the connection ends with it.
"""

import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import uvloop
from aiohttp import web

from archive.cli.certificate import Certificate
from archive.errors import LightboxError
from archive.operations.door import DoorRunner

BACKLOG = 1024
FIRST_HANDED = 3
"""systemd's convention: handed sockets begin at this descriptor."""


class Ending(StrEnum):
    """Why a server ended."""

    STOP = "stop"
    RESTART = "restart"


class MakeApp(Protocol):
    def __call__(self) -> web.Application: ...


@dataclass(frozen=True, slots=True)
class Serving:
    """How the application is served. Answers under way at the end have `shutdown_s`.

    A connection is closed when `keepalive_s` have passed without a whole head, however its bytes trickle in.
    """

    listener: socket.socket
    certificate: Certificate | None
    shutdown_s: float
    keepalive_s: float


def listen(host: str, port: int) -> socket.socket:
    """The socket that was handed to this process, or a new one.

    Raises
    ------
    LightboxError
        The address cannot be had.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and int(os.environ.get("LISTEN_FDS", "0")) >= 1:
        return socket.socket(fileno=FIRST_HANDED)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise LightboxError(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    return listener


def serve_until_told(make_app: MakeApp, serving: Serving) -> Ending:
    """Serve until a signal comes; returns when everything has been closed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(make_app, serving))


def restart_in_place(listener: socket.socket) -> None:
    """Become the program anew, with the listening socket. Never returns."""
    os.dup2(listener.fileno(), FIRST_HANDED, inheritable=True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the command line that this process was started with


async def _serve(make_app: MakeApp, serving: Serving) -> Ending:
    runner = DoorRunner(
        make_app(), access_log=None, shutdown_timeout=serving.shutdown_s, keepalive_timeout=serving.keepalive_s
    )
    ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
    _on_signals(ended)
    await runner.setup()
    tls = serving.certificate
    watching = asyncio.create_task(tls.watch()) if tls is not None else None
    try:
        # A copy of the descriptor: when asyncio closes its own, the socket goes on listening.
        site = web.SockSite(
            runner, serving.listener.dup(), ssl_context=tls.context if tls is not None else None, backlog=BACKLOG
        )
        await site.start()
        ending = await ended
        if ending is Ending.STOP:
            serving.listener.close()  # who connects from now on is refused at once, unless systemd holds the socket too
        return ending
    finally:
        if watching is not None:
            watching.cancel()
        await runner.cleanup()


def _on_signals(ended: "asyncio.Future[Ending]") -> None:
    def end(ending: Ending) -> None:
        if not ended.done():
            ended.set_result(ending)

    loop = asyncio.get_running_loop()
    for number, ending in (
        (signal.SIGTERM, Ending.STOP),
        (signal.SIGINT, Ending.STOP),
        (signal.SIGHUP, Ending.RESTART),
    ):
        loop.add_signal_handler(number, end, ending)
