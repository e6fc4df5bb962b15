"""Range, If-None-Match, Accept-Encoding, and answers that use them."""

import gzip
import zlib

import brotli
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from archive.dicomweb.content_coding import choose_coding, compress
from archive.dicomweb.multipart_response import Envelope
from archive.dicomweb.payload import XML, Answer, root_of, send_answer, xml_response
from archive.dicomweb.ranges import ByteRange, applies, is_not_modified, parse_range, quoted_etag
from archive.errors import RangeNotSatisfiableError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("Bytes = 10-19 ", (10, 20)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=99-9999999999999999999", (99, 100)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
        ("bytes=+1-2", None),
        ("bytes=0-1" + "0" * 30, None),
    ],
)
def test_one_range_is_read_and_the_rest_ignored(value: str | None, expected: tuple[int, int] | None) -> None:
    found = parse_range(value, 100)
    assert (found and (found.start, found.end)) == expected


@pytest.mark.parametrize(
    ("value", "total"), [("bytes=100-", 100), ("bytes=500-600", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_range_outside_is_not_satisfiable_and_tells_the_length(value: str, total: int) -> None:
    with pytest.raises(RangeNotSatisfiableError) as caught:
        parse_range(value, total)
    assert caught.value.length_bytes == total


def test_a_range_says_itself_in_content_range() -> None:
    assert ByteRange(10, 20, 100).content_range == "bytes 10-19/100"
    assert ByteRange(10, 20, 100).length_bytes == 10


@given(st.text(max_size=30), st.integers(0, 1000))
def test_no_range_text_raises_anything_but_its_error(text: str, total: int) -> None:
    for value in (text, f"bytes={text}"):
        try:
            found = parse_range(value, total)
        except RangeNotSatisfiableError:
            continue
        assert found is None or 0 <= found.start < found.end <= total


def test_if_range_must_name_this_very_representation() -> None:
    assert applies(None, '"a"')
    assert applies('"a"', '"a"')
    assert not applies('"b"', '"a"')
    assert not applies('W/"a"', '"a"')


def test_a_known_tag_is_found_in_any_list() -> None:
    assert is_not_modified(['"x", W/"a" , "b"'], '"a"')
    assert is_not_modified(['"x"', '"a"'], '"a"')
    assert is_not_modified(["*"], '"a"')
    assert not is_not_modified(['"x", "ab"'], '"a"')
    assert not is_not_modified([], '"a"')
    assert quoted_etag("a") == '"a"'
    assert quoted_etag("a", "gzip") == '"a.gzip"'


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ([], "identity"),
        (["gzip, deflate, br, zstd"], "gzip"),
        (["br"], "br"),
        (["br;q=1.0, gzip;q=0.8"], "br"),
        (["gzip;q=0.8", "br"], "br"),
        (["*"], "gzip"),
        (["gzip;q=0, *;q=0.5"], "br"),
        (["gzip;q=0"], "identity"),
        (["identity"], "identity"),
        (["identity;q=1, gzip;q=0.5"], "identity"),
        (["identity;q=0.5, gzip"], "gzip"),
        (["x-gzip"], "gzip"),
        (["GZIP;Q=1"], "gzip"),
        (["gzip;q=nonsense, deflate"], "identity"),
        ([";;,, =", '"'], "identity"),
    ],
)
def test_the_coding_the_client_prefers_is_taken(header: list[str], coding: str) -> None:
    assert choose_coding(header, ("gzip", "br")) == coding


@given(st.text(max_size=60))
def test_any_accept_encoding_gets_a_coding_there_is(header: str) -> None:
    assert choose_coding([header], ("gzip", "br")) in ("identity", "gzip", "br")


def test_what_is_compressed_comes_back() -> None:
    data = b"metadata " * 1000
    assert gzip.decompress(compress(data, "gzip")) == data
    assert brotli.decompress(compress(data, "br")) == data
    with pytest.raises(ValueError, match="deflate"):
        compress(data, "deflate")


BODY = b'[{"00080005":{"vr":"CS"}}]' * 100


@pytest.mark.parametrize("body", [BODY, BODY * 100])
async def test_an_answer_is_compressed_and_tagged_and_not_sent_twice(
    aiohttp_client: AiohttpClient, body: bytes
) -> None:
    async def send(request: web.Request) -> web.StreamResponse:
        return await send_answer(
            request, Answer(body, etag="abc", headers={"X": "y"}, warnings=("299 a: b", "299 a: c"))
        )

    app = web.Application()
    app.router.add_get("/", send)
    client = await aiohttp_client(app, auto_decompress=False)
    plain = await client.get("/", headers={"Accept-Encoding": "identity"})
    zipped = await client.get("/", headers={"Accept-Encoding": "gzip"})
    assert await plain.read() == body
    assert zlib.decompress(await zipped.read(), 31) == body
    assert (plain.headers["ETag"], zipped.headers["ETag"]) == ('"abc"', '"abc.gzip"')
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.headers["Vary"] == "Accept, Accept-Encoding"
    assert zipped.headers["Content-Type"] == "application/dicom+json"
    assert zipped.headers.getall("Warning") == ["299 a: b", "299 a: c"]
    head = await client.head("/", headers={"Accept-Encoding": "identity"})
    assert (await head.read(), head.headers["Content-Length"]) == (b"", str(len(body)))
    again = await client.get("/", headers={"Accept-Encoding": "gzip", "If-None-Match": '"abc.gzip"'})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == '"abc.gzip"'
    other = await client.get("/", headers={"Accept-Encoding": "gzip", "If-None-Match": '"abc"'})
    assert other.status == 200


async def test_a_coding_made_beforehand_is_sent_as_it_is(aiohttp_client: AiohttpClient) -> None:
    async def send(request: web.Request) -> web.StreamResponse:
        return await send_answer(request, Answer(b"[]", encoded={"gzip": b"ready"}))

    app = web.Application()
    app.router.add_get("/", send)
    client = await aiohttp_client(app, auto_decompress=False)
    assert await (await client.get("/", headers={"Accept-Encoding": "gzip"})).read() == b"ready"
    assert await (await client.get("/", headers={"Accept-Encoding": "identity"})).read() == b"[]"


async def test_the_root_of_a_request_follows_its_host_where_no_base_is_set(aiohttp_client: AiohttpClient) -> None:
    async def root(request: web.Request) -> web.StreamResponse:
        return web.Response(text=str(root_of(request)))

    app = web.Application()
    app.router.add_get("/s/x/dicom-web/studies", root)
    client = await aiohttp_client(app)
    for host, expected in (("a.example:8042", "http://a.example:8042/s/x/dicom-web"), ("a b/<>", "/s/x/dicom-web")):
        response = await client.get("/s/x/dicom-web/studies", headers={"Host": host})
        assert await response.text() == expected


def test_xml_objects_are_parts_of_their_own() -> None:
    response = xml_response([b"<a/>", b"<b/>"], Envelope(XML))
    assert response.content_type == "multipart/related"
    assert isinstance(response.body, bytes)
    assert response.body.count(b"Content-Type: application/dicom+xml") == 2
