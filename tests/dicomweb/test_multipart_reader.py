"""Multipart bodies in any split, whole and broken."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.dicomweb.multipart import MultipartLimits, MultipartReader, RelatedType
from archive.errors import BadRequestError, UnsupportedMediaTypeError

BOUNDARY = "b'x"
D = b"--b'x"


async def arriving(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read_all(
    chunks: Sequence[bytes], limits: MultipartLimits | None = None
) -> list[tuple[dict[str, str], bytes]]:
    parts = []
    async for part in MultipartReader(arriving(chunks), BOUNDARY, limits):
        pieces = [chunk async for chunk in part.chunks()]
        assert all(pieces)
        parts.append((dict(part.headers), b"".join(pieces)))
    return parts


def read(*chunks: bytes, limits: MultipartLimits | None = None) -> list[tuple[dict[str, str], bytes]]:
    return asyncio.run(read_all(chunks, limits))


def encode(contents: Sequence[bytes], *, preamble: bytes = b"", epilogue: bytes = b"", padding: bytes = b"") -> bytes:
    body = preamble
    for content in contents:
        body += D + padding + b"\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
    return body + D + b"--" + padding + epilogue


def drip(body: bytes) -> list[bytes]:
    return [body[i : i + 1] for i in range(len(body))]


LOOKALIKES = [
    b"",
    b"\r\n",
    b"\r",
    b"\n",
    b"-",
    b"--",
    b"\r\n--",
    b"\r\n--b",
    b"\r\n--b'x\r",
    b"\r\n--b'xy",
    b"\r\n--b'x--z",
    b"x" * 50,
]
CONTENTS = st.lists(st.lists(st.sampled_from(LOOKALIKES), max_size=8).map(b"".join), max_size=4).filter(
    lambda contents: not any(holds_a_delimiter(content) for content in contents)
)


def holds_a_delimiter(content: bytes) -> bool:
    """Whether the pieces happened to join into a true delimiter line, also with the line end that follows."""
    text = b"\r\n" + content + b"\r\n--"
    return any(line.rstrip(b" \t") in (D, D + b"--") for line in text.split(b"\r\n")[1:-1])


@given(
    CONTENTS,
    st.lists(st.integers(0, 600), max_size=12),
    st.sampled_from([b"", b" ", b"\t  "]),
    st.sampled_from([b"", b"\r\n", b"\r\nbye"]),
)
@settings(max_examples=300, deadline=None)
def test_any_split_of_a_body_gives_the_same_parts(
    contents: list[bytes], cuts: list[int], padding: bytes, epilogue: bytes
) -> None:
    body = encode(contents, preamble=b"ignored\r\n", epilogue=epilogue, padding=padding)
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:end] for start, end in itertools.pairwise(edges)]
    expected = [({"content-type": "application/dicom"}, content) for content in contents]
    assert read(*pieces) == expected
    assert read(*drip(body)) == expected


@given(st.binary(max_size=300), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_bytes_that_are_no_multipart_body_are_a_bad_request_and_nothing_else(junk: bytes, size: int) -> None:
    for body in (junk, D + junk, D + b"\r\n" + junk, D + b"\r\n\r\n" + junk):
        with contextlib.suppress(BadRequestError):
            read(*(body[i : i + size] for i in range(0, len(body), size)))


@given(st.integers(0, 200))
@settings(max_examples=100, deadline=None)
def test_a_body_cut_before_its_closing_delimiter_is_a_bad_request(length: int) -> None:
    body = encode([b"one", b"two" * 20])
    for chunks in ([body[: min(length, len(body) - 1)]], drip(body[: min(length, len(body) - 1)])):
        with pytest.raises(BadRequestError):
            read(*chunks)


def test_the_body_of_dicomweb_client_is_read() -> None:
    body = b"\r\n--b'x\r\nContent-Type: application/dicom\r\n\r\nabc\r\n--b'x--"
    assert read(body) == [({"content-type": "application/dicom"}, b"abc")]


def test_a_body_without_parts_has_none() -> None:
    assert read(D + b"--\r\n") == []
    assert read(D + b"--") == []


def test_a_part_without_header_and_content_is_a_part() -> None:
    assert read(D + b"\r\n\r\n" + D + b"\r\n\r\n\r\n" + D + b"--") == [({}, b""), ({}, b"")]


def test_header_names_are_lower_case_and_folded_lines_are_one() -> None:
    body = (
        D
        + b"\r\nCONTENT-Type:application/dicom;\r\n transfer-syntax=1.2\r\nContent-Location: /a\r\n\r\nx\r\n"
        + D
        + b"--"
    )
    headers, content = read(body)[0]
    assert headers == {"content-type": "application/dicom; transfer-syntax=1.2", "content-location": "/a"}
    assert content == b"x"


@pytest.mark.parametrize(
    "body",
    [
        D + b"\nContent-Type: a/b\n\nx\n" + D + b"--\n",
        D + b"\r\nContent-Type: a/b\n\nx\r\n" + D + b"--",
        D + b"\r\nno colon\r\n\r\nx\r\n" + D + b"--",
        D + b"\r\n: empty name\r\n\r\nx\r\n" + D + b"--",
        D + b"\r\nA: \x00\r\n\r\nx\r\n" + D + b"--",
        D + b"\r\n" + D + b"--\r\n",
        b"--other\r\n\r\nx\r\n--other--",
        b"",
        D,
        D + b"-",
    ],
)
def test_a_malformed_body_is_a_bad_request(body: bytes) -> None:
    for chunks in ([body], drip(body)):
        with pytest.raises(BadRequestError):
            read(*chunks)


def test_a_part_nobody_reads_is_passed_over() -> None:
    async def positions() -> list[int]:
        body = encode([b"x" * 1000, b"y", b"z"])
        return [
            part.position
            async for part in MultipartReader(arriving([body[i : i + 7] for i in range(0, len(body), 7)]), BOUNDARY)
        ]

    assert asyncio.run(positions()) == [1, 2, 3]


def test_a_part_kept_for_later_yields_nothing_of_the_next_one() -> None:
    async def late() -> list[bytes]:
        parts = [part async for part in MultipartReader(arriving([encode([b"x", b"y"])]), BOUNDARY)]
        return [chunk async for chunk in parts[0].chunks()]

    assert asyncio.run(late()) == []


def test_too_many_parts_or_headers_and_too_long_headers_or_preambles_are_bad_requests() -> None:
    limits = MultipartLimits(parts=2, header_bytes=200, header_count=3, preamble_bytes=100)
    assert len(read(encode([b"", b""]), limits=limits)) == 2
    for body in (
        encode([b"", b"", b""]),
        D + b"\r\nA: " + b"x" * 300 + b"\r\n\r\n\r\n" + D + b"--",
        D + b"\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n\r\n" + D + b"--",
        D + b"\r\n" + b"A" * 5000,
        encode([b""], preamble=b"p" * 300 + b"\r\n"),
    ):
        for chunks in ([body], drip(body)):
            with pytest.raises(BadRequestError):
                read(*chunks, limits=limits)


def test_what_is_held_does_not_grow_with_the_part() -> None:
    async def most_held() -> int:
        chunk = (b"\r\n--b'" * 11_000)[:65_536]
        body = [D + b"\r\n\r\n", *([chunk] * 200), b"\r\n" + D + b"--"]
        reader, most = MultipartReader(arriving(body), BOUNDARY), 0
        async for part in reader:
            async for _ in part.chunks():
                most = max(most, len(reader._buffer))
        return most

    assert asyncio.run(most_held()) < 1000


def test_a_part_full_of_near_delimiters_is_read_in_reasonable_time() -> None:
    chunk = b"\r\n--b'x y" * 8_000
    started = time.perf_counter()
    parts = read(D + b"\r\n\r\n", *([chunk] * 100), b"\r\n" + D + b"--")
    assert len(parts[0][1]) == 100 * len(chunk)
    assert time.perf_counter() - started < 5  # 6.4 MB; a second or less here


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/related; type="application/dicom"; boundary="b\'x"',
        "multipart/related;type=application/dicom;boundary=b'x",
        'Multipart/Related ; Boundary=b\'x ; TYPE=Application/Dicom ; start="<a@b>"; foo=bar',
        'multipart/related; type="application/dicom; transfer-syntax=1.2"; boundary=b\'x',
    ],
)
def test_the_content_type_is_read_in_every_legal_quoting(content_type: str) -> None:
    assert RelatedType.parse(content_type) == RelatedType("application/dicom", "b'x")


@pytest.mark.parametrize(
    "content_type", ["", "nonsense", "multipart/mixed; boundary=x", "multipart/related; boundary=x", "application/json"]
)
def test_another_content_type_is_unsupported(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        RelatedType.parse(content_type)


@pytest.mark.parametrize("boundary", ["", '""', '"' + "x" * 71 + '"', '"a\u00e9"', '"ends in a blank "', '"a\\"b"'])
def test_what_is_no_boundary_is_a_bad_request(boundary: str) -> None:
    suffix = f"; boundary={boundary}" if boundary else ""
    with pytest.raises(BadRequestError):
        RelatedType.parse(f"multipart/related; type=application/dicom{suffix}")
