"""What a client sees when something fails, over a real connection."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientPayloadError, ClientResponse, web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from archive import errors
from archive.dicomweb.multipart_response import Envelope, MultipartResponse, PartHead
from archive.dicomweb.problems import Problem, setup_problems


def app_with(handler: Callable[[web.Request], object], **options: object) -> web.Application:
    app = web.Application()
    app.router.add_route("GET", "/x", handler)  # type: ignore[arg-type]  # handlers here are all coroutines
    setup_problems(app, **options)  # type: ignore[arg-type]  # only the presenter is passed on
    return app


async def answer_to(aiohttp_client: AiohttpClient, error: Exception) -> tuple[ClientResponse, dict[str, object]]:
    async def fail(request: web.Request) -> web.StreamResponse:
        raise error

    client = await aiohttp_client(app_with(fail))
    response = await client.get("/x")
    return response, json.loads(await response.text())


@pytest.mark.parametrize(
    ("error", "status", "code", "members", "headers"),
    [
        (errors.BadRequestError("No.", parameter="limit"), 400, "bad-request", {"parameter": "limit"}, {}),
        (errors.UnauthorizedError("Who?"), 401, "unauthorized", {}, {"WWW-Authenticate": 'Bearer realm="lightbox"'}),
        (errors.ForbiddenError("No."), 403, "forbidden", {}, {}),
        (errors.NotFoundError(), 404, "not-found", {}, {}),
        (errors.NotAcceptableError(("a/b", "a/b", "c/d")), 406, "not-acceptable", {"available": ["a/b", "c/d"]}, {}),
        (errors.ConflictError("No."), 409, "conflict", {}, {}),
        (errors.GoneError("Ended."), 410, "gone", {}, {}),
        (errors.PayloadTooLargeError("Big.", limit_bytes=9), 413, "payload-too-large", {"limit_bytes": 9}, {}),
        (errors.UnsupportedMediaTypeError("No."), 415, "unsupported-media-type", {}, {}),
        (errors.RangeNotSatisfiableError(7), 416, "range-not-satisfiable", {}, {"Content-Range": "bytes */7"}),
        (errors.UnprocessableError("No."), 422, "unprocessable", {}, {}),
        (errors.TooManyRequestsError("Later.", retry_after_s=30), 429, "too-many-requests", {}, {"Retry-After": "30"}),
        (errors.UnsupportedServiceError("No."), 501, "unsupported-service", {}, {}),
        (errors.BusyError("Later."), 503, "busy", {}, {"Retry-After": "2"}),
        (errors.StorageFullError("Full."), 507, "storage-full", {}, {}),
        (errors.StoreError("Damaged."), 500, "store-error", {}, {}),
        (web.HTTPNotFound(), 404, "not-found", {}, {}),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "request-entity-too-large", {}, {}),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), 400, "bad-request", {}, {}),
    ],
)
async def test_each_error_has_its_status_code_and_particulars(
    aiohttp_client: AiohttpClient,
    error: Exception,
    status: int,
    code: str,
    members: dict[str, object],
    headers: dict[str, str],
) -> None:
    response, body = await answer_to(aiohttp_client, error)
    assert response.status == status
    assert response.content_type == "application/problem+json"
    assert body.items() >= {"status": status, "code": code, **members}.items()
    assert body["message"]
    assert len(str(body["request_id"])) == 32
    for name, value in headers.items():
        assert response.headers[name] == value


async def test_an_unexpected_error_tells_the_client_an_id_and_the_log_where_but_neither_its_text(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response, body = await answer_to(aiohttp_client, KeyError("Doe^Jane"))
    assert response.status == 500
    assert body["code"] == "internal-error"
    (record,) = caplog.records
    assert record.__dict__["request_id"] == body["request_id"]
    assert record.__dict__["error"] == "KeyError"
    assert "test_problems.py" in record.__dict__["lines"][-1]
    assert "Doe" not in json.dumps(body) + str(record.__dict__)


async def test_another_method_is_answered_with_the_methods_there_are(aiohttp_client: AiohttpClient) -> None:
    async def ok(request: web.Request) -> web.StreamResponse:
        return web.Response()

    client = await aiohttp_client(app_with(ok))
    response = await client.delete("/x")
    assert response.status == 405
    assert response.headers["Allow"] == "GET"
    assert (await response.json(content_type=None))["available"] == ["GET"]
    assert (await client.get("/nowhere")).status == 404


async def test_a_redirect_passes_untouched(aiohttp_client: AiohttpClient) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/y")

    client = await aiohttp_client(app_with(elsewhere))
    response = await client.get("/x", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "/y")


async def test_a_presenter_may_answer_with_a_page(aiohttp_client: AiohttpClient) -> None:
    async def gone(request: web.Request) -> web.StreamResponse:
        raise errors.GoneError("The link has ended.")

    def page(request: web.Request, problem: Problem) -> web.StreamResponse | None:
        return web.Response(status=problem.status, text=f"<p>{problem.message}") if "a" in request.query else None

    client = await aiohttp_client(app_with(gone, presenter=page))
    assert await (await client.get("/x?a")).text() == "<p>The link has ended."
    assert (await client.get("/x")).content_type == "application/problem+json"


async def failing_after(*chunks: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if error is not None:
        raise error


def sending(error: Exception | None, *chunks: bytes, head: PartHead) -> Callable[[web.Request], object]:
    async def send(request: web.Request) -> web.StreamResponse:
        heads = [head] if head.length_bytes is not None else None
        async with MultipartResponse(request, Envelope("application/dicom"), heads) as body:
            await body.part(head, failing_after(*chunks, error=error))
        return body.response

    return send


async def what_arrives(client: TestClient[web.Request, web.Application]) -> tuple[bytes, bool]:
    """The bytes of the answer that arrive, and whether it broke off."""
    received = b""
    try:
        response = await client.get("/x")
        async for chunk in response.content.iter_any():
            received += chunk
    except (ClientPayloadError, ConnectionError):
        return received, True
    return received, False


@pytest.mark.parametrize("length", [None, 200_002])
@pytest.mark.parametrize("error", [errors.StoreError("Damaged."), KeyError("x")])
async def test_what_fails_after_the_first_byte_breaks_the_connection(
    aiohttp_client: AiohttpClient, error: Exception, length: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    head = PartHead("application/dicom", length_bytes=length)
    client = await aiohttp_client(app_with(sending(error, b"a" * 100_000, b"b" * 2, head=head)))
    received, broken = await what_arrives(client)
    assert broken
    assert b"HTTP/1.1" not in received
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["An answer broke off."]


async def test_what_fails_before_the_first_byte_is_still_a_status(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(app_with(sending(errors.UnprocessableError("Undecodable."), head=PartHead("a/b"))))
    assert (await client.get("/x")).status == 422


@pytest.mark.parametrize("length", [9, 11])
async def test_a_part_of_another_length_than_announced_breaks_the_connection(
    aiohttp_client: AiohttpClient, length: int
) -> None:
    client = await aiohttp_client(
        app_with(sending(None, b"12345", b"67890", head=PartHead("a/b", length_bytes=length)))
    )
    _, broken = await what_arrives(client)
    assert broken


async def test_a_plain_stream_that_fails_is_broken_off_too(aiohttp_client: AiohttpClient) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * 10)
        raise errors.StoreError("Damaged.")

    client = await aiohttp_client(app_with(stream))
    _, broken = await what_arrives(client)
    assert broken


async def test_a_client_that_goes_away_leaves_no_error_in_the_log(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            ended.set()

    async def send(request: web.Request) -> web.StreamResponse:
        async with MultipartResponse(request, Envelope("application/dicom")) as body:
            await body.part(PartHead("a/b"), endless())
        return body.response

    client = await aiohttp_client(app_with(send))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    async with asyncio.timeout(10):
        await ended.wait()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
