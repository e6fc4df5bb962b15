"""Bodies of the JSON API have to come within a time."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from archive.dicomweb.problems import setup_problems
from auth import bodies


async def test_a_small_body_that_trickles_is_given_up(monkeypatch):
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.2)
    app = web.Application()
    setup_problems(app)

    async def read(request):
        await bodies.read_body(request)
        pytest.fail("The body never came.")

    app.router.add_post("/", read)

    async def trickle():
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    async with TestClient(TestServer(app)) as client:
        answer = await client.post("/", data=trickle(), headers={"Content-Type": "application/json"})
        assert answer.status == 400
        assert (await answer.json())["message"] == "The body came too slowly."
        assert answer.headers["X-Request-Id"] == (await answer.json())["request_id"]
