"""Requests that lie, each under a name: bodies, XML, JSON, searches, paths, numbers, tokens.

`{study}`, `{series}` and `{instance}` in a path are those of an image that is there.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from hostile_files import small

DICOM = 'multipart/related; type="application/dicom"; boundary=B'
JSON = 'multipart/related; type="application/dicom+json"; boundary=B'
XML = 'multipart/related; type="application/dicom+xml"; boundary=B'
IMAGE = "/dicom-web/studies/{study}/series/{series}/instances/{instance}"


@dataclass(frozen=True, slots=True)
class Hostile:
    """A request. `refused`: the statuses that are due; empty: any that is no 5xx."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    refused: tuple[int, ...] = ()
    token: str | None = None
    """In place of the good one; "" for none."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes for a socket; `{token}` is a good one. `refused` are the statuses that are due, 0 a closed connection."""

    sent: bytes
    refused: tuple[int, ...] = (400,)
    is_one: bool = True
    """One answer at most: what follows the first message must not be taken for another."""


Named = tuple[str, Hostile | Raw]


def store(content_type: str, body: bytes, *refused: int, **headers: str) -> Hostile:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Hostile("POST", "/dicom-web/studies", {"Content-Type": content_type, **headers}, body, refused)


def part(value: bytes, kind: str = "application/dicom", more: str = "") -> bytes:
    return f"--B\r\nContent-Type: {kind}\r\n{more}\r\n".encode() + value + b"\r\n"


def bodies() -> Iterator[Named]:
    """multipart/related that is not what it says."""
    good = small("multipart")
    whole = part(good) + b"--B--\r\n"
    yield "multipart-no-boundary", store('multipart/related; type="application/dicom"', whole, 400)
    long = f'multipart/related; type="application/dicom"; boundary={"x" * 4000}'
    yield "multipart-boundary-4000-long", store(long, whole, 400)
    yield "multipart-boundary-empty", store('multipart/related; type="application/dicom"; boundary=""', whole, 400)
    yield "multipart-boundary-with-newline", store(f'{DICOM[:-1]}"a\\\r\n b"', whole, 400)
    yield "multipart-boundary-elsewhere", store(DICOM.replace("=B", "=C"), whole, 400)
    yield "multipart-no-end", store(DICOM, part(good), 400)
    yield "multipart-end-alone", store(DICOM, b"--B--\r\n", 400)
    yield "multipart-nothing", store(DICOM, b"", 400)
    yield "multipart-no-parts-but-preamble", store(DICOM, b"x" * 200_000, 400)
    yield "multipart-empty-part", store(DICOM, b"--B\r\n\r\n\r\n--B--\r\n", 400)
    yield "multipart-20000-parts", store(DICOM, part(b"x") * 20_000 + b"--B--\r\n", 400, 413)
    yield "multipart-header-flood", store(DICOM, part(b"x", more="X-A: b\r\n" * 5000) + b"--B--\r\n", 400)
    yield "multipart-header-endless", store(DICOM, b"--B\r\nX-A: " + b"a" * 300_000, 400)
    yield "multipart-header-without-colon", store(DICOM, b"--B\r\nrubbish\r\n\r\nx\r\n--B--\r\n", 400)
    yield "multipart-header-with-nul", store(DICOM, b"--B\r\nA: \0\r\n\r\nx\r\n--B--\r\n", 400)
    yield "multipart-bare-newlines", store(DICOM, whole.replace(b"\r\n", b"\n"), 400)
    yield (
        "multipart-in-multipart",
        store(DICOM, part(whole.replace(b"--B", b"--C"), "multipart/mixed; boundary=C") + b"--B--\r\n", 400, 409),
    )
    yield "multipart-part-in-base64", store(DICOM, part(good, more="Content-Transfer-Encoding: base64\r\n") + b"--B--")
    where = "Content-Location: file:///etc/passwd\r\nContent-Disposition: form-data; filename=../../x\r\n"
    yield "multipart-part-with-a-path", store(DICOM, part(small("part-with-a-path"), more=where) + b"--B--\r\n")
    yield "multipart-type-html", store(DICOM.replace("application/dicom", "text/html"), whole, 415)
    yield "multipart-type-missing", store("multipart/related; boundary=B", whole, 415)
    yield "multipart-form-data", store("multipart/form-data; boundary=B", whole, 415)
    yield "coding-gzip", store("application/dicom", gzip.compress(bytes(50 << 20)), 415, Content_Encoding="gzip")
    yield (
        "coding-gzip-of-json",
        Hostile(
            "POST",
            "/api/s/ABC/open",
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            gzip.compress(bytes(200 << 20)),
            (400, 413, 415),
        ),
    )
    yield "coding-stacked", store("application/dicom", good, 415, Content_Encoding="gzip, gzip, gzip, gzip, br")
    twice = gzip.compress(gzip.compress(good))
    yield "coding-gzip-twice", store("application/dicom", twice, 415, Content_Encoding="gzip")
    yield "coding-unknown", store("application/dicom", good, 415, Content_Encoding="x-compress")
    yield "coding-lie", store("application/dicom", good, 400, 415, Content_Encoding="deflate")
    yield "type-of-garbage", store("\x7f;;==", good, 415, 400)
    yield "type-10000-parameters", store("application/dicom" + ";a=b" * 1000, small("type-10000-parameters"))


def entities() -> Iterator[Named]:
    """XML with what an archive's XML must not have."""
    model = b'<?xml version="1.0"?>%b<NativeDicomModel>%b</NativeDicomModel>'
    value = b'<DicomAttribute tag="00100020" vr="LO"><Value number="1">%b</Value></DicomAttribute>'
    laughs = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    doctypes = {
        "entity-of-a-file": (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', value % b"&x;"),
        "entity-of-an-address": (b'<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:1/">]>', value % b"&x;"),
        "entity-laughs": (b'<!DOCTYPE a [<!ENTITY l0 "lol">' + laughs + b"]>", value % b"&l9;"),
        "entity-parameter": (b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x.dtd"> %x;]>', value % b"1"),
        "dtd-elsewhere": (b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd">', value % b"1"),
        "dtd-alone": (b"<!DOCTYPE a>", value % b"1"),
        "include": (b"", b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'),
        "deep": (b"", b"<a>" * 100_000 + b"</a>" * 100_000),
        "wide": (b"", value % b"1" * 20_000),
        "many-attributes": (b"", b"<a " + b" ".join(b'a%d="1"' % n for n in range(20_000)) + b"/>"),
        "not-closed": (b"", b"<DicomAttribute"),
        "unknown-entity": (b"", value % b"&nosuch;"),
        "utf-7": (b"", value % b"+ADw-script+AD4-"),
    }
    for name, (doctype, content) in doctypes.items():
        body = part(model.replace(b"%b", doctype, 1).replace(b"%b", content), "application/dicom+xml") + b"--B--\r\n"
        yield f"xml-{name}", store(XML, body, 400, 409, 413)


def objects() -> Iterator[Named]:
    """JSON bombs, and metadata that points elsewhere."""
    uids = '"00080016":{"vr":"UI","Value":["1.2"]},"00080018":{"vr":"UI","Value":["1.2.66.5"]}'
    for name, content in {
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "deep-objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "wide": b"[" + b"{}," * 300_000 + b"{}]",
        "number-huge": b"[" + b"9" * 1_000_000 + b"]",
        "exponent-huge": b'[{"00280010":{"vr":"US","Value":[1e400]}}]',
        "nan": b'[{"00186012":{"vr":"FD","Value":[NaN]}}]',
        "surrogate": b'[{"00100010":{"vr":"PN","Value":[{"Alphabetic":"\\ud800"}]}}]',
        "invalid-utf-8": b'[{"00100020":{"vr":"LO","Value":["\xff\xfe"]}}]',
        "same-key-twice": b'[{"00080018":{"vr":"UI","Value":["1.2"]},"00080018":{"vr":"UI","Value":["1.3"]}}]',
        "no-object": b"17",
        "keys-are-paths": b'[{"../../x":{"vr":"LO","Value":["x"]}}]',
        "bulk-of-a-file": f'[{{{uids},"00420011":{{"vr":"OB","BulkDataURI":"file:///etc/passwd"}}}}]'.encode(),
        "bulk-of-an-address": f'[{{{uids},"00420011":{{"vr":"OB","BulkDataURI":"http://127.0.0.1:1/"}}}}]'.encode(),
        "prototype": b'[{"__proto__":{"admin":true}}]',
        "binary-of-no-base64": f'[{{{uids},"00420011":{{"vr":"OB","InlineBinary":"***"}}}}]'.encode(),
    }.items():
        yield f"json-{name}", store(JSON, part(content, "application/dicom+json") + b"--B--\r\n", 400, 409, 413)


def searches() -> Iterator[Named]:
    for name, query, *refused in (
        ("limit-huge", f"limit={10**30}", 400),
        ("limit-negative", "limit=-1", 400),
        ("limit-foreign-digits", "limit=%D9%A1", 400),
        ("offset-huge", f"offset={2**63}", 400),
        ("offset-words", "offset=abc", 400),
        ("sql", "PatientID=" + quote("' OR 1=1; DROP TABLE studies;--")),
        ("sql-in-name", quote("PatientID' OR '1'='1") + "=x"),
        ("wildcards", "PatientName=" + "*a" * 60),
        ("wildcards-and-fuzzy", "fuzzymatching=true&PatientName=" + "*%3F" * 60),
        ("markup", "PatientName=" + quote("<script>alert(1)</script>")),
        ("nul", "PatientID=%00", 400),
        ("not-utf-8", "PatientID=%ff%fe", 400),
        ("surrogate", "PatientID=%ED%A0%80", 400),
        ("range-backwards", "StudyDate=20300101-20000101"),
        ("date-odd", "StudyDate=99999999", 400),
        ("range-endless", "StudyDate=" + "-" * 50, 400),
        ("uid-list-20000", "StudyInstanceUID=" + ",".join(["1.2"] * 5000), 400, 414),
        ("parameters-2000", "&".join(f"a{n}=1" for n in range(900)), 400, 414),
        ("include-20000", "includefield=" + ",".join(["00100010"] * 800), 400, 414, 200),
        ("value-70000-long", "PatientName=" + "a" * 7000, 400, 414),
        ("key-of-300-sequences", ".".join(["00081110"] * 300) + "=1", 400, 200),
        ("same-key-twice", "PatientID=1&PatientID=2", 400),
        ("header-injection", "PatientID=%0d%0aX-Injected:%201", 400),
        ("header-injection-in-key", "a%0d%0aX-Injected:%201=2", 400),
        ("percent-half", "PatientID=%", 400, 200),
    ):
        yield f"search-{name}", Hostile("GET", f"/dicom-web/studies?{query}", refused=tuple(map(int, refused)))


def numbers() -> Iterator[Named]:
    for name, what, *refused in (
        ("viewport-huge", "/rendered?viewport=1000000000,1000000000", 400, 200),
        ("viewport-10000-digits", "/rendered?viewport=" + "9" * 4000 + ",1", 400),
        ("viewport-negative", "/rendered?viewport=-1,-1", 400),
        ("viewport-nan", "/rendered?viewport=nan,inf", 400),
        ("viewport-of-nothing", "/rendered?viewport=10,10,0,0,0,0", 400),
        ("viewport-far-away", "/rendered?viewport=10,10,1e9,1e9,1e9,1e9", 400, 422),
        ("window-nan", "/rendered?window=nan,nan,linear", 400),
        ("window-infinite", "/rendered?window=1e999,1,linear", 400),
        ("window-of-none", "/rendered?window=0,0,linear", 400, 200),
        ("quality-huge", "/rendered?quality=99999999999999999999", 400),
        ("frames-2000-times", "/frames/" + ",".join(["1"] * 2000), 200, 400, 404, 414),
        ("frame-0", "/frames/0", 400, 404),
        ("frame-huge", f"/frames/{10**40}", 400, 404),
        ("frame-negative", "/frames/-1", 400, 404),
        ("frames-rendered-2000", "/frames/" + ",".join(["1"] * 2000) + "/rendered", 400, 404, 406, 414, 200),
        ("bulk-elsewhere", "/bulkdata/../../../../etc/passwd", 400, 404),
        ("bulk-tag-odd", "/bulkdata/7FE0001G", 400, 404),
        ("iccprofile-odd", "/rendered?iccprofile=../../etc/passwd", 400),
        ("accept-parameter-odd", "/rendered?accept=image/jpeg%0d%0aX-Injected:1", 400, 406),
        ("presentation-elsewhere", "/rendered?annotation=" + "patient," * 500, 400, 200),
    ):
        yield f"number-{name}", Hostile("GET", IMAGE + what, refused=tuple(map(int, refused)))
    for name, value in (
        ("1000-ranges", "bytes=" + ",".join(f"{n}-{n}" for n in range(1000))),
        ("overlapping", "bytes=" + ",".join(["0-"] * 500)),
        ("huge", f"bytes={10**30}-"),
        ("backwards", "bytes=9-1"),
        ("foreign-digits", "bytes=\u0661-\u0662"),
        ("of-lines", "lines=1-2"),
        ("negative-huge", f"bytes=-{10**30}"),
    ):
        headers = {"Range": value, "Accept": "application/dicom; transfer-syntax=*"}
        yield f"range-{name}", Hostile("GET", IMAGE, headers, refused=(200, 206, 400, 416))


def paths() -> Iterator[Named]:
    for name, path in (
        ("dots", "/../../../../etc/passwd"),
        ("dots-encoded", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
        ("dots-twice-encoded", "/viewer/%252e%252e/%252e%252e/etc/passwd"),
        ("static-dots", "/static/../../../../etc/passwd"),
        ("static-dots-encoded", "/static/..%2f..%2f..%2fetc%2fpasswd"),
        ("static-backslashes", "/static/..%5c..%5cwindows"),
        ("static-nul", "/static/lightbox.css%00.js"),
        ("static-absolute", "/static//etc/passwd"),
        ("viewer-dots", "/viewer/..%2f..%2flightbox.sqlite"),
        ("share-dots", "/s/..%2f..%2fetc/viewer/x"),
        ("study-dots", "/dicom-web/studies/..%2f..%2f/metadata"),
        ("study-nul", "/dicom-web/studies/1.2%00/metadata"),
        ("study-newline", "/dicom-web/studies/1.2%0d%0aX-Injected:%201/metadata"),
        ("study-10000-long", "/dicom-web/studies/" + "1" * 7000 + "/metadata"),
        ("study-not-utf-8", "/dicom-web/studies/%ff%fe/metadata"),
        ("secrets", "/secrets.key"),
        ("database", "/data/lightbox.sqlite"),
        ("redirect-elsewhere", "//evil.example/%2f.."),
        ("path-of-slashes", "/" * 3000),
        ("segments-3000", "/a" * 3000),
    ):
        yield f"path-{name}", Hostile("GET", path, refused=(400, 404, 414, 503))  # 503: no viewer is installed
    for name, path in (
        ("another-study", "/dicom-web/studies/1.2.999/series/{series}/instances/{instance}"),
        ("another-series", "/dicom-web/studies/{study}/series/1.2.999/instances/{instance}"),
        ("another-instance", "/dicom-web/studies/{study}/series/{series}/instances/1.2.999"),
    ):
        yield f"chain-of-{name}", Hostile("GET", path, refused=(404,))
    wado = "/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"
    for name, query in (
        ("rows-huge", "&rows=999999999&columns=999999999"),
        ("region-odd", "&region=nan,nan,nan,nan"),
        ("frame-huge", f"&frameNumber={10**30}"),
        ("type-injected", "&contentType=image/jpeg%0d%0aX-Injected:%201"),
        ("object-path", "&objectUID=../../etc/passwd"),
    ):
        yield f"wado-uri-{name}", Hostile("GET", wado + query, refused=(400, 404, 406, 200))
    yield "method-post-to-the-root", Hostile("POST", "/dicom-web", refused=(404, 405))
    for method in ("PUT", "PATCH", "TRACE", "DELETE", "PROPFIND"):
        path = "/dicom-web/studies/1.2.999/metadata"
        yield f"method-{method.lower()}", Hostile(method, path, refused=(405, 404, 501))


def tokens() -> Iterator[Named]:
    none = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ."
    for name, token in (
        ("missing", ""),
        ("wrong", "Bearer wrong"),
        ("prefix", "Bearer {token:.10}"),
        ("longer", "Bearer {token}0"),
        ("of-no-algorithm", f"Bearer {none}"),
        ("basic", "Basic YWRtaW46YWRtaW4="),
        ("bearer-of-nothing", "Bearer "),
        ("twice", "Bearer {token}, Bearer {token}"),
        ("10000-long", "Bearer " + "A" * 7000),
        ("of-sql", "Bearer ' OR '1'='1"),
    ):
        yield f"token-{name}", Hostile("GET", "/dicom-web/studies", refused=(400, 401), token=token)
    yield "token-in-the-address", Hostile("GET", "/dicom-web/studies?access_token={token}", refused=(401,), token="")
    forwarded = {"X-Forwarded-For": "127.0.0.1"}
    yield "token-and-forwarded", Hostile("GET", "/metrics", forwarded, refused=(401, 404), token="")
    yield "cookie-flood", Hostile("GET", "/dicom-web/studies", {"Cookie": "a=b; " * 1000}, refused=(400, 401), token="")
    yield "cookie-odd", Hostile("GET", "/", {"Cookie": "__Host-x=\x01\x7f; =; ;;=\xff"})
    yield "ticket-guess", Hostile("GET", "/t/AAAAAAAAAAAAAAAA/dicom-web/studies", refused=(400, 401, 404), token="")
    yield "share-guess", Hostile("GET", "/s/AAAAAAAA/dicom-web/studies", refused=(401, 404), token="")


SETS = (bodies, entities, objects, searches, numbers, paths, tokens)
