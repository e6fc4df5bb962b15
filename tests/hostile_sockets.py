"""What no HTTP client sends, each under a name: heads, lengths and chunks that two servers would read in two ways."""

from collections.abc import Iterator

from hostile_requests import Raw

HOST = b"Host: x\r\n"
TOKEN = b"Authorization: Bearer {token}\r\n"
STORE = b"POST /dicom-web/studies HTTP/1.1\r\n" + HOST + TOKEN + b"Content-Type: application/dicom\r\n"
SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: y\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n"


def smuggling() -> Iterator[tuple[str, Raw]]:
    """Bodies whose end is told in two ways (RFC 9112 §6)."""
    for name, fields, refused in (
        ("length-and-chunks", b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
        ("chunks-and-length", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", (400,)),
        ("two-lengths", b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n", (400,)),
        ("two-equal-lengths", b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", (400,)),
        ("length-list", b"Content-Length: 0, 44\r\n\r\n", (400,)),
        ("length-signed", b"Content-Length: +0\r\n\r\n", (400,)),
        ("length-negative", b"Content-Length: -1\r\n\r\n", (400,)),
        ("length-hexadecimal", b"Content-Length: 0x0\r\n\r\n", (400,)),
        ("length-underscored", b"Content-Length: 0_0\r\n\r\n", (400,)),
        ("length-foreign-digits", "Content-Length: \u0660\r\n\r\n".encode(), (400,)),
        ("length-empty", b"Content-Length: \r\n\r\n", (400,)),
        ("length-4000-digits", b"Content-Length: " + b"9" * 4000 + b"\r\n\r\n", (400, 413)),
        ("length-2-to-64", b"Content-Length: 18446744073709551616\r\n\r\n", (400, 413)),
        ("length-with-tab", b"Content-Length :\t0\r\n\r\n", (400,)),
        ("coding-unknown", b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
        ("coding-gzip-last", b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", (400, 501)),
        ("coding-twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 501)),
        ("coding-identity", b"Transfer-Encoding: identity\r\n\r\n", (400, 501)),
        ("coding-folded", b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", (400, 501)),
        ("coding-vertical-tab", b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ):
        yield f"smuggle-{name}", Raw(STORE + fields + SMUGGLED, refused)
    old = STORE.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield "smuggle-chunks-of-http-1.0", Raw(old + SMUGGLED, (400, 501))
    for name, chunks in (
        ("size-odd", b"zz\r\nabc\r\n0\r\n\r\n"),
        ("size-signed", b"+3\r\nabc\r\n0\r\n\r\n"),
        ("size-hexadecimal-mark", b"0x3\r\nabc\r\n0\r\n\r\n"),
        ("size-negative", b"-1\r\nabc\r\n0\r\n\r\n"),
        ("size-huge", b"f" * 40 + b"\r\nabc\r\n0\r\n\r\n"),
        ("size-blank", b" 3\r\nabc\r\n0\r\n\r\n"),
        ("longer-than-said", b"3\r\nabcdef\r\n0\r\n\r\n"),
        ("bare-newlines", b"3\nabc\n0\n\n"),
        ("trailer-flood", b"0\r\n" + b"A: b\r\n" * 5000 + b"\r\n"),
    ):
        yield f"chunk-{name}", Raw(STORE + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + SMUGGLED)
    extended = b"3;" + b"a" * 100_000 + b"\r\nabc\r\n0\r\n\r\n"
    yield "chunk-extension-long", Raw(STORE + b"Transfer-Encoding: chunked\r\n\r\n" + extended + SMUGGLED, is_one=False)


def heads() -> Iterator[tuple[str, Raw]]:
    for name, sent, refused in (
        ("no-host", LIVE + b"\r\n", (400,)),
        ("two-hosts", LIVE + b"Host: a\r\nHost: b\r\n\r\n", (400,)),
        ("host-with-blank", LIVE + b"Host: a b/<>\r\n\r\n", (400,)),
        ("host-with-path", LIVE + b"Host: a/../b\r\n\r\n", (400,)),
        ("host-with-user", LIVE + b"Host: user@evil\r\n\r\n", (400,)),
        ("host-with-port-odd", LIVE + b"Host: a:99999999\r\n\r\n", (400,)),
        ("field-without-colon", LIVE + HOST + b"rubbish\r\n\r\n", (400,)),
        ("field-name-with-blank", LIVE + HOST + b"A b: c\r\n\r\n", (400,)),
        ("field-with-nul", LIVE + HOST + b"A: \0\r\n\r\n", (400,)),
        ("field-with-bare-return", LIVE + HOST + b"A: b\rX-Injected: 1\r\n\r\n", (400,)),
        ("field-64-kb", LIVE + HOST + b"A: " + b"a" * 65536 + b"\r\n\r\n", (400, 431)),
        ("fields-1000", LIVE + HOST + b"A: b\r\n" * 1000 + b"\r\n", (400, 431)),
        ("fields-endless", LIVE + HOST + b"A: b\r\n" * 20_000, (400, 431)),
        ("line-64-kb", b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (400, 414)),
        ("line-of-two-words", b"GET /health/live\r\n" + HOST + b"\r\n", (400,)),
        ("line-of-one-word", b"GET\r\n\r\n", (400,)),
        ("line-of-garbage", b"\xff\xfe\x00\x01\r\n\r\n", (400,)),
        ("line-of-tls", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"a" * 200, (400,)),
        ("line-of-dicom", b"\x01\0\0\0\0\xcd\0\1\0\0" + b"LIGHTBOX        " + b"\0" * 80 + b"\r\n\r\n", (400,)),
        ("version-9", b"GET /health/live HTTP/9.9\r\n" + HOST + b"\r\n", (400, 505)),
        ("version-long", b"GET /health/live HTTP/1.1.1\r\n" + HOST + b"\r\n", (400, 505)),
        ("version-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 405, 505)),
        ("method-odd", b"G(T /health/live HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
        ("method-long", b"A" * 5000 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", (400, 405, 501)),
        ("target-elsewhere", b"GET http://evil.example/x HTTP/1.1\r\n" + HOST + b"\r\n", (400, 404, 421)),
        ("target-with-nul", b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
        ("target-of-connect", b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", (400, 404, 405)),
        ("target-star", b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", (400, 404)),
        ("bare-newlines", b"GET /health/live HTTP/1.1\nHost: x\n\n", (400, 200)),
        ("folded", LIVE + HOST + b"A: b\r\n c\r\n\r\n", (400,)),
        ("expect-odd", STORE + b"Expect: the-unexpected\r\nContent-Length: 4\r\n\r\nabcd", (417,)),
    ):
        yield f"head-{name}", Raw(sent, refused)
    upgrade = LIVE + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    yield "head-upgrade", Raw(upgrade + b"\xff" * 200, (200, 400), is_one=False)
    many = LIVE + HOST + TOKEN + b"\r\n"
    yield "head-pipelined-500", Raw(many * 500, (200,), is_one=False)
    length = b"Content-Length: 4000000000\r\n\r\nabc"
    yield "body-announced-and-missing", Raw(STORE + length, (0, 400, 408), is_one=False)


SETS = (smuggling, heads)
