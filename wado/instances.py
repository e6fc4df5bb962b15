"""Whole studies, series and instances (PS3.18 §10.4.1.1.1 to .3), as files or as their bulk data."""

import hashlib
from collections.abc import AsyncIterable, Sequence

from aiohttp import web

from archive.dicomweb.media_types import EXPLICIT_VR_LE, Offer
from archive.dicomweb.multipart_response import Envelope, MultipartResponse, PartHead
from archive.dicomweb.payload import root_of
from archive.dicomweb.ranges import is_not_modified, quoted_etag
from archive.dicomweb.targets import InstanceTarget, SeriesTarget, StudyTarget
from archive.dicomweb.warnings import warning_value
from archive.errors import NotAcceptableError
from archive.instances import Instance
from archive.resources import STORE
from auth.access import scope_of
from wado.blobs import verified_chunks
from wado.bulkdata import bulk_offer, send_bulk_data
from wado.containers import ZIP_OFFER, send_zip
from wado.encoded import encoded_file
from wado.explicit import explicit_file
from wado.finding import negotiation_of, require_instance, require_instances
from wado.handing import HANDED, hand_over
from wado.offers import DICOM, ZIP, object_offers

BESIDE_FILES = (bulk_offer(), ZIP_OFFER)
SOME_MISSING = "Some of the instances cannot be given in an acceptable transfer syntax."


async def retrieve_study(request: web.Request) -> web.StreamResponse:
    """Send every instance of a study that the scope may see."""
    scope = scope_of(request)
    target = StudyTarget.parse(request.match_info)
    instances = await require_instances(request, scope, target)
    return await _retrieve(request, instances, target)


async def retrieve_series(request: web.Request) -> web.StreamResponse:
    """Send every instance of a series that the scope may see."""
    scope = scope_of(request)
    target = SeriesTarget.parse(request.match_info)
    instances = await require_instances(request, scope, target)
    return await _retrieve(request, instances, target)


async def retrieve_instance(request: web.Request) -> web.StreamResponse:
    """Send one instance, in one part or as the whole body."""
    scope = scope_of(request)
    target = InstanceTarget.parse(request.match_info)
    return await _retrieve(request, [await require_instance(request, scope, target)], target)


async def _retrieve(
    request: web.Request, instances: Sequence[Instance], target: StudyTarget | SeriesTarget | InstanceTarget
) -> web.StreamResponse:
    single = isinstance(target, InstanceTarget)
    chosen = negotiation_of(request).choose_each(
        object_offers(instance, single=single, beside=BESIDE_FILES) for instance in instances
    )
    pairs = [(instance, offer) for instance, offer in zip(instances, chosen, strict=True) if offer is not None]
    if pairs[0][1].media_type == ZIP:
        return await send_zip(request, instances, target.path())
    if pairs[0][1].media_type != DICOM:
        return await send_bulk_data(request, [instance for instance, _ in pairs])
    if not pairs[0][1].multipart:
        return await send_file(request, *pairs[0])
    return await _send_files(request, pairs, complete=len(pairs) == len(instances))


async def _send_files(
    request: web.Request, pairs: Sequence[tuple[Instance, Offer]], *, complete: bool
) -> web.StreamResponse:
    root = root_of(request)
    tag = _tag_of(pairs)
    if complete and is_not_modified(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers={"ETag": f"W/{tag}"})
    heads = [_head(request, instance, offer) for instance, offer in pairs]
    # Weak: the boundary is another one each time.
    headers = {"ETag": f"W/{tag}"} if complete else {"Warning": warning_value(str(root), SOME_MISSING)}
    envelope = Envelope(DICOM, 200 if complete else 206, headers)
    known = all(_is_stored(instance, offer) for instance, offer in pairs)
    async with MultipartResponse(request, envelope, heads if known else None) as body:
        for (instance, offer), head in zip(pairs, heads, strict=True):
            await body.part(head, b"" if body.head_only else await _content(request, instance, offer))
    return body.response


def _tag_of(pairs: Sequence[tuple[Instance, Offer]]) -> str:
    hasher = hashlib.sha256()
    for instance, offer in pairs:
        hasher.update(f"{instance.digest} {offer.transfer_syntax_uid}\n".encode())
    return quoted_etag(hasher.hexdigest()[:40])


def _is_stored(instance: Instance, offer: Offer) -> bool:
    return offer.transfer_syntax_uid == instance.transfer_syntax_uid


def _head(request: web.Request, instance: Instance, offer: Offer) -> PartHead:
    path = InstanceTarget(instance.study_uid, instance.series_uid, instance.instance_uid).path()
    length_bytes = instance.length_bytes if _is_stored(instance, offer) else None
    return PartHead(offer.part_content_type, root_of(request).uri(path), length_bytes)


async def _content(request: web.Request, instance: Instance, offer: Offer) -> bytes | AsyncIterable[bytes]:
    if _is_stored(instance, offer):
        return verified_chunks(request.app[STORE], instance)
    if offer.transfer_syntax_uid is None:
        raise NotAcceptableError
    if offer.transfer_syntax_uid != EXPLICIT_VR_LE:
        return encoded_file(request, instance, offer.transfer_syntax_uid)
    return explicit_file(request, instance)


async def send_file(request: web.Request, instance: Instance, offer: Offer) -> web.StreamResponse:
    """Send one instance as the whole body."""
    tag = quoted_etag(instance.digest if _is_stored(instance, offer) else f"{instance.digest}-{_form_of(offer)}")
    headers = {
        "Content-Type": offer.part_content_type,
        "Content-Location": _head(request, instance, offer).content_location or "",
        "ETag": tag,
    }
    if is_not_modified(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers={"ETag": tag})
    handed = request.app.get(HANDED)
    if handed is not None and _is_stored(instance, offer):
        return await hand_over(request, instance, handed, headers)
    response = web.StreamResponse(headers=headers)
    if _is_stored(instance, offer):
        response.content_length = instance.length_bytes
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    content = await _content(request, instance, offer)
    async for chunk in content if not isinstance(content, bytes) else _once(content):
        if not response.prepared:
            await response.prepare(request)
        await response.write(chunk)
    await response.write_eof()
    return response


def _form_of(offer: Offer) -> str:
    syntax = offer.transfer_syntax_uid
    return "explicit" if syntax == EXPLICIT_VR_LE or syntax is None else syntax


async def _once(content: bytes) -> AsyncIterable[bytes]:
    yield content
