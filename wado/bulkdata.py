"""Bulk data (PS3.18 §10.4.1.1.5): the values that metadata gives as BulkDataURI, at every level.

A value is found by walking the stored file's head again: 0.3 ms for a CT, and nothing has to be kept for it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from aiohttp import web

from archive.dicom.bulkdata import BulkData, find_bulk_data, read_bulk_data
from archive.dicomweb.media_types import EXPLICIT_VR_LE, MEDIA_TYPE_OF_SYNTAX, Offer
from archive.dicomweb.multipart_response import Envelope, MultipartResponse, PartHead
from archive.dicomweb.payload import root_of
from archive.dicomweb.ranges import applies, is_not_modified, parse_range, quoted_etag
from archive.dicomweb.targets import BulkdataTarget, InstanceTarget, SeriesTarget, StudyTarget
from archive.errors import NotFoundError
from archive.instances import Buffer, Instance, Span
from archive.resources import STORE
from auth.access import scope_of
from wado.blobs import span_chunks
from wado.finding import negotiation_of, require_instance, require_instances

T = TypeVar("T")
OCTET_STREAM = "application/octet-stream"
PIXEL_PATHS = frozenset(("7FE00010", "7FE00008", "7FE00009"))


def bulk_offer(*, multipart: bool = True) -> Offer:
    """Bulk data as octets, in little endian order."""
    return Offer(OCTET_STREAM, EXPLICIT_VR_LE, multipart=multipart)


async def retrieve_bulk_value(request: web.Request) -> web.StreamResponse:
    """Send the value that a BulkDataURI names, as one part or as the whole body; ranges of it too."""
    scope = scope_of(request)
    target = BulkdataTarget.parse(request.match_info)
    instance = await require_instance(request, scope, target.instance)
    found = await asyncio.to_thread(
        _with_contents, request, instance, lambda data: find_bulk_data(data, target.element_path)
    )
    offers = _value_offers(instance, found)
    offer = negotiation_of(request).choose(offers)
    location = root_of(request).uri(target.path())
    if offer.multipart:
        head = PartHead(offer.part_content_type, location, found.length_bytes)
        async with MultipartResponse(request, Envelope(offer.media_type), [head]) as body:
            await body.part(head, b"" if body.head_only else _chunks(request, instance, found))
        return body.response
    return await _send_value(request, instance, found, (offer.part_content_type, location))


async def retrieve_bulk_data(request: web.Request) -> web.StreamResponse:
    """Send all bulk values of a study, series or instance (…/bulkdata)."""
    return await _retrieve_all(request, lambda path: True)


async def retrieve_pixel_data(request: web.Request) -> web.StreamResponse:
    """Send the pixel data of a study, series or instance (…/pixeldata)."""
    return await _retrieve_all(request, lambda path: path in PIXEL_PATHS)


async def _retrieve_all(request: web.Request, wanted: Callable[[str], bool]) -> web.StreamResponse:
    scope = scope_of(request)
    if "instance" in request.match_info:
        instances: Sequence[Instance] = [
            await require_instance(request, scope, InstanceTarget.parse(request.match_info))
        ]
    elif "series" in request.match_info:
        instances = await require_instances(request, scope, SeriesTarget.parse(request.match_info))
    else:
        instances = await require_instances(request, scope, StudyTarget.parse(request.match_info))
    negotiation_of(request).choose([bulk_offer()])
    return await send_bulk_data(request, instances, wanted)


async def send_bulk_data(
    request: web.Request, instances: Sequence[Instance], wanted: Callable[[str], bool] = lambda path: True
) -> web.StreamResponse:
    """Send the bulk values of instances as parts, each with the Content-Location that its metadata gives.

    Raises NotFoundError when none of the instances has one.
    """
    root = root_of(request)
    any_sent = False
    async with MultipartResponse(request, Envelope(OCTET_STREAM)) as body:
        for instance in instances:
            for found in await asyncio.to_thread(_with_contents, request, instance, read_bulk_data):
                if not wanted(found.value.path):
                    continue
                any_sent = True
                path = InstanceTarget(instance.study_uid, instance.series_uid, instance.instance_uid).path()
                content_type = _value_offers(instance, found)[0].part_content_type
                location = root.uri(f"{path}/bulkdata/{found.value.path}")
                head = PartHead(content_type, location, found.length_bytes)
                await body.part(head, b"" if body.head_only else _chunks(request, instance, found))
        if not any_sent:
            raise NotFoundError("There is no bulk data.")
    return body.response


def _with_contents(request: web.Request, instance: Instance, work: Callable[[Buffer], T]) -> T:
    contents: AbstractContextManager[Buffer] = request.app[STORE].contents(instance.digest)
    with contents as data:
        return work(data)


def _value_offers(instance: Instance, found: BulkData) -> list[Offer]:
    """A compressed image in its own media type; everything else as octets in little endian order."""
    media_type, syntax = OCTET_STREAM, EXPLICIT_VR_LE
    if found.value.encapsulated:
        syntax = instance.transfer_syntax_uid
        media_type = MEDIA_TYPE_OF_SYNTAX.get(syntax, OCTET_STREAM)
    offers = [Offer(media_type, syntax, multipart=True), Offer(media_type, syntax, multipart=False)]
    if media_type != OCTET_STREAM:
        offers += [Offer(OCTET_STREAM, syntax, multipart=True, rank=1), Offer(OCTET_STREAM, syntax, rank=1)]
    if found.document_type:
        offers += [Offer(found.document_type, multipart=True), Offer(found.document_type, multipart=False)]
    return offers


async def _send_value(
    request: web.Request, instance: Instance, found: BulkData, head: tuple[str, str]
) -> web.StreamResponse:
    tag = quoted_etag(f"{instance.digest}-{hashlib.sha256(found.value.path.encode()).hexdigest()[:16]}")
    headers = {"Content-Type": head[0], "Content-Location": head[1], "ETag": tag, "Accept-Ranges": "bytes"}
    if is_not_modified(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers={"ETag": tag})
    span, status = Span(0, found.length_bytes), 200
    if applies(request.headers.get("If-Range"), tag):
        asked = parse_range(request.headers.get("Range"), found.length_bytes)
        if asked is not None:
            span, status = Span(asked.start, asked.length_bytes), 206
            headers["Content-Range"] = asked.content_range
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = span.length_bytes
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in _chunks(request, instance, found, span):
            await response.write(chunk)
        await response.write_eof()
    return response


async def _chunks(
    request: web.Request, instance: Instance, found: BulkData, part: Span | None = None
) -> AsyncIterator[bytes]:
    """The value, or a part of it: straight from the file where it lies there as it is sent."""
    if found.in_file:
        async for chunk in span_chunks(request.app[STORE], instance.digest, found.spans_within(part)):
            yield chunk
        return
    position, start, end = (
        0,
        part.offset if part else 0,
        (part.offset + part.length_bytes) if part else found.length_bytes,
    )
    for block in found.blocks():
        if position + len(block) > start and position < end:
            yield block[max(0, start - position) : end - position]
        position += len(block)
