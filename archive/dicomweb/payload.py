"""What DICOM JSON and XML answers have in common: their root, their coding, their entity tag (PS3.18 §8.4.2)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import hdrs, web

from archive.dicomweb.content_coding import CODINGS, IDENTITY, choose_coding, compress
from archive.dicomweb.multipart_response import Envelope, PartHead, multipart_response
from archive.dicomweb.ranges import is_not_modified, quoted_etag
from archive.dicomweb.targets import ROOT_SEGMENT, PublicRoot, origin_of

JSON = "application/dicom+json"
XML = "application/dicom+xml"
COMPRESS_FROM_BYTES = 1 << 10
COMPRESS_IN_LOOP_BYTES = 32 << 10
"""What is larger is compressed in a thread."""

APART_FROM_BYTES = 256 << 10
"""What is larger is sent apart from its head: aiohttp joins the two, and so copies them."""

PUBLIC_BASE = web.AppKey("public_base", str)
"""Scheme, host and perhaps a path under which the outside reaches this server; empty: what the request says."""
TO_XML: web.AppKey[Callable[[dict[str, Any]], bytes]] = web.AppKey("to_xml")
"""One DICOM JSON object as the Native DICOM Model's XML (PS3.19 A.1)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished body. `etag` is the opaque tag, without quotes.

    `encoded` holds codings made beforehand, and is given those made now: whoever keeps it pays once.
    """

    body: bytes
    media_type: str = JSON
    status: int = 200
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    encoded: dict[str, bytes] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def root_of(request: web.Request) -> PublicRoot:
    """The DICOMweb root this request came by, as the outside sees it."""
    base = request.config_dict.get(PUBLIC_BASE, "") or origin_of(request.scheme, request.host)
    # WADO-URI is also found beside the root, at /wado; what its answers name lies below the root.
    return PublicRoot.of(ROOT_SEGMENT if request.path == "/wado" else request.path, base)


async def send_answer(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Answer with a body in the coding the client prefers; 304 where it has it already."""
    coding = IDENTITY
    if len(answer.body) >= COMPRESS_FROM_BYTES or answer.encoded:
        coding = choose_coding(request.headers.getall(hdrs.ACCEPT_ENCODING, []), CODINGS)
    headers = {hdrs.VARY: "Accept, Accept-Encoding", **answer.headers}
    if answer.etag is not None:
        headers[hdrs.ETAG] = quoted_etag(answer.etag, coding)
        if answer.status == 200 and is_not_modified(request.headers.getall(hdrs.IF_NONE_MATCH, []), headers[hdrs.ETAG]):
            return web.Response(status=304, headers=headers)
    body = answer.body
    if coding != IDENTITY:
        headers[hdrs.CONTENT_ENCODING] = coding
        body = await _encode(answer, coding)
    is_apart = len(body) >= APART_FROM_BYTES and request.method != hdrs.METH_HEAD
    status = answer.status
    response = web.StreamResponse(status=status) if is_apart else web.Response(status=status, body=body)
    response.headers.update(headers)
    response.headers[hdrs.CONTENT_TYPE] = answer.media_type
    for warning in answer.warnings:
        response.headers.add(hdrs.WARNING, warning)
    if is_apart:
        response.content_length = len(body)
        await response.prepare(request)
        await response.write_eof(body)
    return response


async def _encode(answer: Answer, coding: str) -> bytes:
    ready = answer.encoded.get(coding)
    if ready is not None:
        return ready
    if len(answer.body) <= COMPRESS_IN_LOOP_BYTES:
        made = compress(answer.body, coding)
    else:
        made = await asyncio.to_thread(compress, answer.body, coding)
    answer.encoded[coding] = made
    return made


def xml_response(documents: Sequence[bytes], envelope: Envelope) -> web.Response:
    """`multipart/related; type="application/dicom+xml"`, one part for each object (PS3.18 §8.7.3.2)."""
    return multipart_response(envelope, [(PartHead(XML), document) for document in documents])
