"""Ranges of files as clients read them, however slowly."""

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme
import uvloop
from aiohttp import ClientError, ClientSession, TCPConnector, web
from aiohttp.test_utils import TestServer

from archive.dicomweb.file_sending import FileRange, send_part
from archive.dicomweb.multipart_response import Envelope, PartHead
from archive.dicomweb.problems import setup_problems

OFFSET = 1_234
Loops = Callable[[], asyncio.AbstractEventLoop]
Ask = Callable[[ClientSession, str], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest) -> Loops:
    found: Loops = request.param
    return found


def asked(loops: Loops, path: Path, length_bytes: int, ask: Ask, authority: trustme.CA | None = None) -> None:
    """Serve a range of a file, over TLS if there is an authority, and ask for it on one connection."""

    async def send(request: web.Request) -> web.StreamResponse:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            head = PartHead("text/plain", "http://a/1", length_bytes)
            content = FileRange(descriptor, OFFSET, length_bytes)
            return await send_part(request, Envelope("text/plain", boundary="b"), head, content)
        finally:
            os.close(descriptor)

    async def run() -> None:
        app = web.Application()
        setup_problems(app)
        app.router.add_get("/", send)
        own = trusted = None
        if authority is not None:
            own, trusted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
            authority.issue_cert("127.0.0.1").configure_cert(own)
            authority.configure_trust(trusted)
        connector = TCPConnector(limit=1, ssl=trusted if trusted is not None else True)
        async with TestServer(app, ssl=own) as server, ClientSession(connector=connector) as session:
            await ask(session, str(server.make_url("/")))

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(run())


def body_of(content: bytes) -> bytes:
    head = f"--b\r\nContent-Type: text/plain\r\nContent-Location: http://a/1\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + b"\r\n--b--\r\n"


@pytest.fixture
def content() -> bytes:
    """More than sockets take at once."""
    return random.Random(1).randbytes(12 << 20)


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(OFFSET) + content + bytes(99))
    return path


@pytest.mark.parametrize("length_bytes", [1, 200_000, 12 << 20])
def test_a_range_arrives_between_its_framing_time_after_time(
    loops: Loops, path: Path, content: bytes, length_bytes: int
) -> None:
    async def ask(session: ClientSession, url: str) -> None:
        for _ in range(3):
            response = await session.get(url)
            assert await response.read() == body_of(content[:length_bytes])
            assert response.headers["Content-Type"] == 'multipart/related; type="text/plain"; boundary=b'

    asked(loops, path, length_bytes, ask)


def test_a_client_that_reads_later_gets_every_byte(loops: Loops, path: Path, content: bytes) -> None:
    async def ask(session: ClientSession, url: str) -> None:
        first, body = await session.get(url), b""
        while chunk := await first.content.read(70_001):
            body += chunk
            await asyncio.sleep(0)
        assert body == body_of(content)

    asked(loops, path, len(content), ask)


def test_a_range_is_encrypted_like_any_other_body(loops: Loops, path: Path, content: bytes) -> None:
    async def ask(session: ClientSession, url: str) -> None:
        assert await (await session.get(url)).read() == body_of(content[:500_000])

    asked(loops, path, 500_000, ask, trustme.CA())


def test_a_file_that_is_too_short_is_told_before_anything_is_sent(loops: Loops, path: Path, content: bytes) -> None:
    async def ask(session: ClientSession, url: str) -> None:
        response = await session.get(url)
        assert (response.status, response.headers["Content-Type"]) == (500, "application/problem+json")

    asked(loops, path, len(content) + 100, ask)


def test_a_file_that_is_cut_while_it_is_sent_makes_no_whole_answer(
    loops: Loops, path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileRange, "require_whole", lambda _: None)

    async def ask(session: ClientSession, url: str) -> None:
        with pytest.raises(ClientError):
            await (await session.get(url)).read()

    asked(loops, path, len(content) + 100, ask)
