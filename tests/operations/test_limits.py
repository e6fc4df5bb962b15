"""So much at once and no more: for one client, for all, and each with a word on when to come again."""

import asyncio
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from archive.dicomweb.problems import setup_problems
from archive.errors import BusyError, TooManyRequestsError
from archive.operations.door import DOOR, Door, DoorRunner, say_goodbye
from archive.operations.limits import LIMITS, TURNSTILE, Limit, Turnstile, limits_middleware
from archive.operations.metrics import Metrics, setup_metrics
from auth.access import PRINCIPAL
from auth.principals import Kind, Principal

ROOT = "/dicom-web"


def small(name: str) -> tuple[Limit, ...]:
    """The table with one limit made small: one for each client, two for all."""
    return tuple(Limit(one.name, one.counted, 1, 2) if one.name == name else one for one in LIMITS)


class Site:
    """An application in which every request waits until it is let go; clients are told apart by a header."""

    def __init__(self, table: tuple[Limit, ...]) -> None:
        self.let_go = asyncio.Event()
        self.arrived = 0
        app = web.Application()
        setup_problems(app)
        self.metrics = Metrics()
        setup_metrics(app, self.metrics)
        app[TURNSTILE] = Turnstile(table)

        @web.middleware
        async def known(request, handler):
            request[PRINCIPAL] = Principal(Kind.MACHINE, request.headers["Client"])
            return await handler(request)

        async def wait(request):
            self.arrived += 1
            await self.let_go.wait()
            return web.Response(text="done")

        app.middlewares.extend((known, limits_middleware))
        app.router.add_route("*", "/{path:.*}", wait)
        self.app = app

    async def until_arrived(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.arrived < count:
                await asyncio.sleep(0.005)


REQUESTS = {
    "requests": ("GET", f"{ROOT}/studies", {}),
    "stores": ("POST", f"{ROOT}/studies", {"Content-Type": "application/dicom"}),
    "metadata_stores": (
        "POST",
        f"{ROOT}/studies/1.2",
        {"Content-Type": 'multipart/related; type="application/dicom+json"'},
    ),
    "drawings": ("GET", f"{ROOT}/studies/1/series/2/instances/3/frames/1/rendered", {}),
    "bundles": ("GET", f"/s/abc{ROOT}/studies/1/bundle", {}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_each_limit_holds_for_one_client_and_for_all(name):
    site = Site(small(name))
    method, path, headers = REQUESTS[name]
    async with TestClient(TestServer(site.app)) as client:

        def ask(who):
            return client.request(method, path, headers={**headers, "Client": who})

        running = [asyncio.create_task(ask(who)) for who in ("a", "b")]
        await site.until_arrived(2)
        mine, others = await ask("a"), await ask("c")
        assert (mine.status, (await mine.json())["code"]) == (429, "too-many-requests")
        assert (others.status, (await others.json())["code"]) == (503, "busy")
        assert int(mine.headers["Retry-After"]) >= 1
        assert int(others.headers["Retry-After"]) >= 1
        site.let_go.set()
        assert [(await one).status for one in running] == [200, 200]
        assert (await ask("a")).status == 200  # what has ended does not count any more
        assert (await client.get("/health/live", headers={"Client": "a"})).status == 200


def test_the_table_has_a_test_for_every_limit():
    assert {limit.name for limit in LIMITS} == {*REQUESTS, "connections"}


def test_every_limit_for_one_is_smaller_than_that_for_all():
    assert all(0 < limit.one < limit.together for limit in LIMITS)


def test_a_turnstile_forgets_clients_that_have_nothing_under_way():
    turnstile = Turnstile((Limit("requests", "", 1, 2),))
    for number in range(1000):
        with turnstile.passed("requests", str(number)):
            pass
    assert not turnstile._each
    with turnstile.passed("requests", "a"), pytest.raises(TooManyRequestsError):
        turnstile.passed("requests", "a").__enter__()
    with turnstile.passed("requests", "a"), turnstile.passed("requests", "b"), pytest.raises(BusyError):
        turnstile.passed("requests", "c").__enter__()


@pytest.fixture
async def door():
    """A site that takes four connections, one of each network once two are open."""
    app = web.Application()
    app[DOOR] = Door(Limit("connections", "", 1, 4))
    app.on_response_prepare.append(say_goodbye)

    async def hello(request):
        return web.Response(text="hello")

    app.add_routes([web.get("/", hello)])
    runner = DoorRunner(app, shutdown_timeout=1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    site = web.SockSite(runner, listener)
    await site.start()
    yield app[DOOR], listener.getsockname()[1], runner
    await runner.cleanup()


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return reader, writer


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    return int(head.split()[1]), head


async def test_connections_beyond_the_limit_are_answered_503_and_closed_and_later_ones_are_taken(door):
    _, port, _ = door
    taken = [await connect(port) for _ in range(2)]
    assert [(await answer(reader))[0] for reader, _ in taken] == [200, 200]
    reader, writer = await connect(port)
    status, head = await answer(reader)
    assert status == 503
    assert b"Retry-After: " in head
    assert await asyncio.wait_for(reader.read(), 20) == b"The server has too many connections; try again."
    writer.close()
    taken.pop()[1].close()
    async with asyncio.timeout(20):
        while True:
            reader, writer = await connect(port)
            status, _ = await answer(reader)
            writer.close()
            if status == 200:
                break
    taken.pop()[1].close()


async def test_a_proxy_that_is_trusted_may_open_as_many_as_all_together(door):
    own, port, _ = door
    own._trusted = frozenset({"127.0.0.1"})
    taken = [await connect(port) for _ in range(4)]
    assert [(await answer(reader))[0] for reader, _ in taken] == [200] * 4
    reader, writer = await connect(port)
    assert (await answer(reader))[0] == 503
    for _, one in (*taken, (reader, writer)):
        one.close()


async def test_when_the_server_stops_busy_connections_are_told_that_this_was_the_last_answer(door):
    _, port, runner = door
    reader, writer = await connect(port)
    assert b"Connection: close" not in (await answer(reader))[1]
    await reader.readexactly(5)
    stopping = asyncio.create_task(runner.cleanup())
    await asyncio.sleep(0)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    status, head = await answer(reader)
    assert status == 200
    assert b"Connection: close" in head
    await stopping
    writer.close()
