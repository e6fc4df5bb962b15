"""POST /studies over raw connections: expectations, broken framing, clients that stop or go away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from stow.parts import StowLimits

StowClient = TestClient[web.Request, web.Application]
FakeIngest = Any  # the one of conftest.py, which cannot be imported by name
RELATED = 'multipart/related; type="application/dicom"; boundary=XX'
ONE, TWO, OTHER = b"1.1/1.2/1.3/1.9", b"1.1/1.2/1.4/1.9", b"2.1/2.2/2.3/1.9"


def body_of(contents: list[bytes]) -> bytes:
    return b"".join(b"--XX\r\n\r\n" + content + b"\r\n" for content in contents) + b"--XX--\r\n"


@contextlib.asynccontextmanager
async def connected(stow: StowClient) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", stow.port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def raw(stow: StowClient, request: bytes) -> bytes:
    async with connected(stow) as (reader, writer):
        writer.write(request)
        return await reader.readuntil(b"\r\n\r\n")


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /dicom-web/studies HTTP/1.1", "Host: x", *lines, "", ""]).encode()


async def test_a_client_that_expects_100_continue_is_invited_and_then_answered(stow: StowClient) -> None:
    body = body_of([ONE])
    async with connected(stow) as (reader, writer):
        writer.write(head(f"Content-Type: {RELATED}", f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Type: text/plain", "Content-Length: 9"], 415),
        ([f"Content-Type: {RELATED}", f"Content-Length: {1 << 50}"], 413),
        ([f"Content-Type: {RELATED}", "Content-Length: 9", "Authorization: Bearer reader"], 403),
        ([f"Content-Type: {RELATED}", "Content-Length: 9", "Accept: text/csv"], 406),
    ],
)
async def test_what_will_be_refused_is_refused_before_the_body_is_sent(
    stow: StowClient, lines: list[str], status: int
) -> None:
    answer = await raw(stow, head(*lines, "Expect: 100-continue"))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


async def test_another_expectation_is_417(stow: StowClient) -> None:
    answer = await raw(stow, head(f"Content-Type: {RELATED}", "Content-Length: 3", "Expect: tea") + b"abc")
    assert answer.startswith(b"HTTP/1.1 417")


@pytest.mark.parametrize("sent", [b"zz\r\nabc", b"5\r\nabc\r\n0\r\n\r\n"])
async def test_a_broken_chunk_is_400(stow: StowClient, ingest: FakeIngest, sent: bytes) -> None:
    request = head(f"Content-Type: {RELATED}", "Transfer-Encoding: chunked")
    answer = await raw(stow, request + sent)
    assert answer.split()[1] == b"400"
    assert ingest.open == 0


async def test_a_body_that_stops_arriving_is_given_up(
    stow_with: Callable[[StowLimits], Awaitable[StowClient]], ingest: FakeIngest
) -> None:
    stow = await stow_with(StowLimits(idle_s=0.1))
    body = body_of([ONE, TWO])
    request = head(f"Content-Type: {RELATED}", f"Content-Length: {len(body)}")
    answer = await raw(stow, request + body[:40])
    assert answer.startswith(b"HTTP/1.1 400")
    assert ingest.indexed == {}
    assert ingest.open == 0


async def test_a_bad_chunk_size_in_a_later_packet_does_not_hang(
    stow_with: Callable[[StowLimits], Awaitable[StowClient]],
) -> None:
    stow = await stow_with(StowLimits(idle_s=0.5))
    async with connected(stow) as (reader, writer):
        writer.write(head(f"Content-Type: {RELATED}", "Transfer-Encoding: chunked", "Expect: 100-continue"))
        await reader.readuntil(b"100 Continue\r\n\r\n")
        writer.write(b"xyz\r\nabc\r\n")
        assert (await reader.read(12)) in (b"HTTP/1.1 400", b"")


async def test_a_client_that_goes_away_in_its_upload_leaves_nothing(stow: StowClient, ingest: FakeIngest) -> None:
    async with connected(stow) as (reader, writer):
        body = body_of([ONE, TWO])
        writer.write(head(f"Content-Type: {RELATED}", f"Content-Length: {len(body)}", "Expect: 100-continue"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(body[:40])
        await writer.drain()
    answer = await stow.post("/dicom-web/studies", data=body_of([OTHER]), headers={"Content-Type": RELATED})
    assert answer.status == 200
    async with asyncio.timeout(20):
        while ingest.open:
            await asyncio.sleep(0.01)
    assert set(ingest.indexed) == {"2.3"}
