"""Multipart answers as clients read them."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from archive.dicomweb.multipart import MultipartReader, RelatedType
from archive.dicomweb.multipart_response import (
    Envelope,
    FramedResponse,
    MultipartResponse,
    PartHead,
    multipart_response,
)

SYNTAX = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"


async def drops(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def parts_of(body: bytes, content_type: str) -> list[tuple[dict[str, str], bytes]]:
    related = RelatedType.parse(content_type)
    assert related.type == "application/dicom"
    reader = MultipartReader(drops(body, 1000), related.boundary)
    return [(dict(part.headers), b"".join([chunk async for chunk in part.chunks()])) async for part in reader]


CONTENTS = [b"one", b"", b"x" * 300_000, b"\r\n--"]


@pytest.mark.parametrize("known", [True, False])
async def test_what_is_sent_part_by_part_is_what_a_client_reads(aiohttp_client: AiohttpClient, known: bool) -> None:
    heads = [PartHead(SYNTAX, f"http://a/{i}", len(content) if known else None) for i, content in enumerate(CONTENTS)]

    async def send(request: web.Request) -> web.StreamResponse:
        envelope = Envelope("application/dicom", 206, {"Warning": "299 a: b"})
        async with MultipartResponse(request, envelope, heads) as body:
            for head, content in zip(heads, CONTENTS, strict=True):
                await body.part(head, content if len(content) < 10 else drops(content, 100_001))
        return body.response

    app = web.Application()
    app.router.add_get("/", send)
    client = await aiohttp_client(app)
    response = await client.get("/")
    body = await response.read()
    assert response.status == 206
    assert response.headers["Warning"] == "299 a: b"
    assert ("Content-Length" in response.headers) is known
    parts = await parts_of(body, response.headers["Content-Type"])
    assert [content for _, content in parts] == CONTENTS
    assert [part["content-location"] for part, _ in parts] == [f"http://a/{i}" for i in range(4)]
    assert {part["content-type"] for part, _ in parts} == {SYNTAX}
    head_answer = await client.head("/")
    assert head_answer.status == 206
    assert head_answer.headers.get("Content-Length") == response.headers.get("Content-Length")


async def test_an_answer_filled_in_one_buffer_is_what_a_client_reads(aiohttp_client: AiohttpClient) -> None:
    async def send(request: web.Request) -> web.StreamResponse:
        heads = [PartHead(SYNTAX, f"http://a/{i}", len(content)) for i, content in enumerate(CONTENTS)]
        response = FramedResponse(request, Envelope("application/dicom", 206), heads)
        for gap, content in zip(response.gaps, CONTENTS, strict=True):
            gap[:] = content
        return await response.send()

    app = web.Application()
    app.router.add_get("/", send)
    response = await (await aiohttp_client(app)).get("/")
    body = await response.read()
    assert (response.status, int(response.headers["Content-Length"])) == (206, len(body))
    parts = await parts_of(body, response.headers["Content-Type"])
    assert [(part["content-location"], content) for part, content in parts] == [
        (f"http://a/{i}", content) for i, content in enumerate(CONTENTS)
    ]


async def test_an_answer_of_parts_in_memory_is_one_response_of_known_length(aiohttp_client: AiohttpClient) -> None:
    async def send(request: web.Request) -> web.StreamResponse:
        return multipart_response(Envelope("application/dicom"), [(PartHead(SYNTAX), content) for content in CONTENTS])

    app = web.Application()
    app.router.add_get("/", send)
    response = await (await aiohttp_client(app)).get("/")
    body = await response.read()
    assert int(response.headers["Content-Length"]) == len(body)
    parts = await parts_of(body, response.headers["Content-Type"])
    assert [(part["content-length"], content) for part, content in parts] == [(str(len(c)), c) for c in CONTENTS]


async def test_two_answers_have_two_boundaries() -> None:
    first, second = (multipart_response(Envelope("application/dicom"), []) for _ in range(2))
    assert first.headers["Content-Type"] != second.headers["Content-Type"]
