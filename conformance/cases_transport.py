"""HTTP below DICOM: lengths, content codings, entity tags, HEAD (RFC 9110, PS3.18 §8.4)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import partial

from conformance.cases_common import resource
from conformance.dataset_json import datasets
from conformance.model import Case, Level, NotOffered, Service
from conformance.probe import DICOM, JSON, Probe, expect, expect_status, query_of
from conformance.wire import Request, Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


def _length(path: str, probe: Probe) -> None:
    response = probe.get(resource(probe, path), "*/*")
    expect_status(response, 200)
    length = response.header("Content-Length")
    expect(
        length is not None or (response.header("Transfer-Encoding") or "").lower() == "chunked",
        "neither Content-Length nor Transfer-Encoding: chunked",
    )
    expect(length is None or int(length) == len(response.body), f"Content-Length {length}, body {len(response.body)}")


def _gzip(path: str, probe: Probe) -> None:
    plain = probe.get(resource(probe, path), JSON, headers={"Accept-Encoding": "identity"})
    packed = probe.get(resource(probe, path), JSON, headers={"Accept-Encoding": "gzip"})
    expect_status(packed, 200)
    if (packed.header("Content-Encoding") or "identity") == "identity":
        raise NotOffered("the answer is not compressed")
    expect(packed.header("Content-Encoding") == "gzip", f"Content-Encoding {packed.header('Content-Encoding')}")
    unpacked = Response(packed.status, packed.reason, (), gzip.decompress(packed.body))
    expect(datasets(unpacked) == datasets(plain), "the compressed answer differs from the plain one")


def _no_gzip(probe: Probe) -> None:
    response = probe.get(resource(probe, "{series}/metadata"), JSON, headers={"Accept-Encoding": "gzip;q=0, identity"})
    expect_status(response, 200)
    expect((response.header("Content-Encoding") or "identity") == "identity", "gzip was sent though it was refused")


def _etag(path: str, accept: str, probe: Probe) -> None:
    target = resource(probe, path)
    response = probe.get(target, accept)
    expect_status(response, 200)
    etag = response.header("ETag")
    if etag is None:
        raise NotOffered("no ETag")
    expect(etag.startswith(('"', 'W/"')) and etag.endswith('"'), f"not an entity tag: {etag}")
    again = probe.get(target, accept, headers={"If-None-Match": etag})
    expect_status(again, 304)
    expect(not again.body, "304 with a body")
    other = probe.get(target, accept, headers={"If-None-Match": '"another"'})
    expect_status(other, 200)


def _head(path: str, accept: str, probe: Probe) -> None:
    target = probe.target(resource(probe, path))
    response = probe.send(Request("HEAD", target, (("Accept", accept),)))
    expect_status(response, 200)
    got = probe.get(resource(probe, path), accept)
    expect(
        response.media_type.essence == got.media_type.essence,
        f"HEAD says {response.header('Content-Type')}, GET says {got.header('Content-Type')}",
    )


def _deflate(probe: Probe) -> None:
    response = probe.get(resource(probe, "{series}/metadata"), JSON, headers={"Accept-Encoding": "deflate"})
    expect_status(response, 200)
    if response.header("Content-Encoding") == "deflate":
        zlib.decompress(response.body)


def _head_search(probe: Probe) -> None:
    query = query_of({"StudyInstanceUID": probe.sample("ct1").study_uid})
    response = probe.send(Request("HEAD", probe.target("/studies", query), (("Accept", JSON),)))
    expect_status(response, 200)


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.COMMON, section, level, requires, check)


CASES = (
    *(
        _case(
            f"C19-length-{name}",
            "8.4.3",
            REQ,
            "An answer tells its length or is chunked; the length is true.",
            partial(_length, path),
        )
        for name, path in (("metadata", "{series}/metadata"), ("instance", "{instance}"), ("series", "{series}"))
    ),
    *(
        _case(
            f"C18-gzip-{name}",
            "8.4.2",
            OPT,
            "With Accept-Encoding: gzip the same JSON may come compressed.",
            partial(_gzip, path),
        )
        for name, path in (("metadata", "{series}/metadata"), ("search", "{study}/instances"))
    ),
    _case("C18-gzip-refused", "RFC 9110 12.5.3", REQ, "gzip;q=0 forbids gzip.", _no_gzip),
    _case("C18-deflate", "RFC 9110 8.4.1", REC, "A coding that is named in Content-Encoding decodes.", _deflate),
    *(
        _case(
            f"C22-etag-{name}",
            "RFC 9110 13.1.2",
            OPT,
            "An entity tag given back as If-None-Match gives 304.",
            partial(_etag, path, accept),
        )
        for name, path, accept in (
            ("metadata", "{series}/metadata", JSON),
            ("instance", "{instance}", DICOM),
            ("search", "{study}/instances", JSON),
            ("frame", "{instance}/frames/1", 'multipart/related; type="application/octet-stream"'),
        )
    ),
    *(
        _case(
            f"C22-head-{name}",
            "RFC 9110 9.3.2",
            REC,
            "HEAD answers as GET does, without the body.",
            partial(_head, path, accept),
        )
        for name, path, accept in (
            ("metadata", "{series}/metadata", JSON),
            ("instance", "{instance}", DICOM),
            ("rendered", "{instance}/rendered", "image/jpeg"),
        )
    ),
    _case("C22-head-search", "RFC 9110 9.3.2", REC, "HEAD on a search answers as GET does.", _head_search),
)
