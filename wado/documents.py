"""Text for people (PS3.18 §8.7.4): structured reports as HTML, encapsulated PDF as it is.

Neither can run anything: the HTML is made of escaped text and comes in a sandbox, the PDF in a page of ours only.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web

from archive.dicom.bulkdata import ENCAPSULATED_DOCUMENT, BulkData, find_bulk_data
from archive.dicomweb.media_types import Offer
from archive.dicomweb.payload import root_of
from archive.dicomweb.ranges import is_not_modified, quoted_etag
from archive.dicomweb.targets import InstanceTarget
from archive.errors import UnprocessableError
from archive.instances import Instance, Span
from archive.resources import STORE
from archive.store.contract import Store
from auth.access import scope_of
from wado.blobs import span_chunks
from wado.finding import require_metadata
from wado.reports import report_html

HTML, PDF = "text/html", "application/pdf"
STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
DOCUMENT_LENGTH = "00420015"
HTML_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'; sandbox"
PDF_POLICY = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; base-uri 'none'; frame-ancestors 'self'"


def document_offers(instance: Instance) -> list[Offer]:
    """What a document is rendered as; empty where the instance is none."""
    if instance.sop_class_uid.startswith(STRUCTURED_REPORTS):
        return [Offer(HTML)]
    return [Offer(PDF)] if instance.sop_class_uid == ENCAPSULATED_PDF else []


async def render_document(request: web.Request, instance: Instance, offer: Offer) -> web.StreamResponse:
    """Send a report or a document as the offer says. Raises UnprocessableError where it holds none."""
    tag = quoted_etag(f"{instance.digest}-{offer.media_type.rpartition('/')[2]}")
    path = InstanceTarget(instance.study_uid, instance.series_uid, instance.instance_uid).path()
    headers = {
        hdrs.ETAG: tag,
        hdrs.CONTENT_LOCATION: root_of(request).uri(f"{path}/rendered"),
        "Content-Security-Policy": HTML_POLICY if offer.media_type == HTML else PDF_POLICY,
    }
    if is_not_modified(request.headers.getall(hdrs.IF_NONE_MATCH, []), tag):
        return web.Response(status=304, headers=headers)
    attributes: dict[str, Any] = orjson.loads(await require_metadata(request, scope_of(request), instance))
    if offer.media_type == HTML:
        body = await asyncio.to_thread(report_html, attributes)
        return web.Response(text=body, content_type=HTML, charset="utf-8", headers=headers)
    return await _send_pdf(request, instance, attributes, headers)


async def _send_pdf(
    request: web.Request, instance: Instance, attributes: dict[str, Any], headers: dict[str, str]
) -> web.StreamResponse:
    headers = {**headers, hdrs.CONTENT_TYPE: PDF, hdrs.CONTENT_DISPOSITION: 'inline; filename="document.pdf"'}
    document = await open_document(request.app[STORE], instance, attributes)
    response = web.StreamResponse(headers=headers)
    response.content_length = document.length_bytes
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        async for chunk in document.chunks:
            await response.write(chunk)
        await response.write_eof()
    return response


@dataclass(frozen=True, slots=True)
class Document:
    """An encapsulated document, without what pads it to an even length."""

    length_bytes: int
    chunks: AsyncIterator[bytes]


async def open_document(store: Store, instance: Instance, attributes: Mapping[str, Any]) -> Document:
    """The document that an instance encapsulates. Raises UnprocessableError where it holds none."""
    element = attributes.get(ENCAPSULATED_DOCUMENT, {})
    said = next(iter(attributes.get(DOCUMENT_LENGTH, {}).get("Value", ())), None)
    if "InlineBinary" in element:
        content = base64.b64decode(element["InlineBinary"])
        content = content[: _length(said, len(content), content[-1:])]
        return Document(len(content), _once(content))
    if "BulkDataURI" not in element:
        raise UnprocessableError("The instance holds no document.")

    def find() -> tuple[BulkData, bytes]:
        with store.contents(instance.digest) as data:
            found = find_bulk_data(data, ENCAPSULATED_DOCUMENT)
            last = found.value.spans[-1]
            return found, bytes(found.data[last.offset + last.length_bytes - 1 : last.offset + last.length_bytes])

    found, last_byte = await asyncio.to_thread(find)
    length_bytes = _length(said, found.length_bytes, last_byte)
    return Document(length_bytes, _document_chunks(store, instance, found, length_bytes))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _document_chunks(
    store: Store, instance: Instance, found: BulkData, length_bytes: int
) -> AsyncIterator[bytes]:
    if found.in_file:
        spans = found.spans_within(Span(0, length_bytes))
        async for chunk in span_chunks(store, instance.digest, spans):
            yield chunk
        return
    for block in found.blocks():
        yield block[:length_bytes]
        length_bytes -= min(len(block), length_bytes)


def _length(said: object, length_bytes: int, last_byte: bytes) -> int:
    """Length of the document without the octet that pads it to an even length."""
    if isinstance(said, int) and 0 <= length_bytes - said <= 1:
        return said
    return length_bytes - 1 if last_byte == b"\0" else length_bytes
