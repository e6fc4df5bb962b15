"""Frames (PS3.18 §10.4.1.1.6): a range of the stored file where the syntax is the stored one, else decoded."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache

from aiohttp import hdrs, web

from archive.dicomweb.file_sending import FROM_BYTES, FileRange, send_part
from archive.dicomweb.media_types import EXPLICIT_VR_LE, Negotiation, Offer
from archive.dicomweb.multipart_response import Envelope, FramedResponse, MultipartResponse, PartHead
from archive.dicomweb.payload import root_of
from archive.dicomweb.ranges import applies, is_not_modified, parse_range, quoted_etag
from archive.dicomweb.targets import FramesTarget
from archive.dicomweb.warnings import warning_value
from archive.errors import NotAcceptableError, NotFoundError, UnprocessableError
from archive.instances import FrameLayout, Instance
from archive.resources import STORE
from auth.access import scope_of
from wado.ahead import FORESIGHT, Place
from wado.blobs import read_span
from wado.finding import negotiation_of, require_instance
from wado.offers import frame_offers, offers_of_copied
from wado.pixels.pool import is_worth_keeping
from wado.sources import COPIES, PIXELS, copied_frame, frame_source

STORED_IS_NATIVE_LE = frozenset(("1.2.840.10008.1.2", EXPLICIT_VR_LE))


async def retrieve_frames(request: web.Request) -> web.StreamResponse:
    """Send frames in the order asked for, in the transfer syntax that the client prefers.

    Frames past the end are left out with 206 and a Warning when others are there; 404 when none is.
    """
    scope = scope_of(request)
    target = FramesTarget.parse(request.match_info)
    instance = await require_instance(request, scope, target.instance)
    offer = _choose(request, instance, single=len(target.frame_numbers) == 1)
    numbers = [number for number in target.frame_numbers if number <= instance.frames.count]
    if not numbers:
        raise NotFoundError("The instance has no such frame.", parameter="frames")
    complete = len(numbers) == len(target.frame_numbers)
    root = root_of(request)
    tag = _tag(instance, offer, numbers)
    if complete and is_not_modified(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers={"ETag": tag if not offer.multipart else f"W/{tag}"})
    made = None
    if len(numbers) == 1 and not is_stored_range(instance, offer):
        made = await copied_frame(request, instance, numbers[0] - 1, offer.transfer_syntax_uid)
        syntax = str(offer.transfer_syntax_uid)
        if made is None and is_worth_keeping(instance.transfer_syntax_uid, syntax):
            _look_ahead(request, Place(scope, instance, numbers[0] - 1, syntax))
    if not offer.multipart:
        location = root.uri(target.frame_path(numbers[0]))
        headers = {"Content-Type": offer.part_content_type, "Content-Location": location, "ETag": tag}
        content = made if made is not None else await frame_bytes(request, instance, numbers[0] - 1, offer)
        return _single(request, content, headers)
    # Weak: the boundary is another one each time.
    headers = {"ETag": f"W/{tag}"}
    if not complete:
        headers = {"Warning": warning_value(str(root), "Some of the frames do not exist.")}
    envelope = Envelope(offer.media_type, 200 if complete else 206, headers)
    if made is not None and request.method != hdrs.METH_HEAD:
        head = PartHead(offer.part_content_type, root.uri(target.frame_path(numbers[0])), len(made))
        framed = FramedResponse(request, envelope, [head])
        framed.gaps[0][:] = made
        return await framed.send()
    heads = _heads(request, instance, offer, target, numbers)
    is_quick = heads is not None and _total(heads) <= request.app[STORE].quick_bytes
    if heads is not None and is_quick and request.method != hdrs.METH_HEAD:
        return await _send_stored(request, instance, numbers, (envelope, heads))
    async with MultipartResponse(request, envelope, heads) as body:
        for number in numbers:
            content = b"" if body.head_only else await frame_bytes(request, instance, number - 1, offer)
            location = root.uri(target.frame_path(number))
            await body.part(PartHead(offer.part_content_type, location, len(content)), content)
    return body.response


def _look_ahead(request: web.Request, place: Place) -> None:
    pool = request.app[PIXELS]
    request.app[FORESIGHT].note(
        request, place, lambda source, frame_index: pool.foresee_frame(source, frame_index, place.form)
    )


async def _send_stored(
    request: web.Request, instance: Instance, numbers: Sequence[int], answer: tuple[Envelope, Sequence[PartHead]]
) -> web.StreamResponse:
    """Send stored ranges: one large one from its file, others read into their places in one buffer.

    Both without a thread: from the page cache that is quicker than a hop.
    """
    store = request.app[STORE]
    envelope, heads = answer
    spans = [instance.frames.spans_of(number - 1) for number in numbers]
    if len(spans) == 1 and len(spans[0]) == 1 and spans[0][0].length_bytes >= FROM_BYTES:
        descriptor = store.descriptor(instance.digest)
        if descriptor is not None:
            try:
                content = FileRange(descriptor, spans[0][0].offset, spans[0][0].length_bytes)
                return await send_part(request, envelope, heads[0], content)
            finally:
                os.close(descriptor)
    response = FramedResponse(request, envelope, heads)
    for of_frame, gap in zip(spans, response.gaps, strict=True):
        position = 0
        for span in of_frame:
            store.read_into(instance.digest, span.offset, gap[position : position + span.length_bytes])
            position += span.length_bytes
    return await response.send()


def _total(heads: Sequence[PartHead]) -> int:
    return sum(head.length_bytes or 0 for head in heads)


def _choose(request: web.Request, instance: Instance, *, single: bool) -> Offer:
    if instance.pixels is None or not (offers := frame_offers(instance)):
        if instance.frames.layout is FrameLayout.WHOLE:
            raise UnprocessableError(instance.frames.reason)
        raise NotFoundError("This instance has no frames.")
    negotiation = negotiation_of(request)
    chosen = _chosen(negotiation, offers, single)
    if copied := offers_of_copied(instance.transfer_syntax_uid, instance.pixels):
        better = _chosen(negotiation, copied, single)
        if better.transfer_syntax_uid != chosen.transfer_syntax_uid and request.app[COPIES].is_there(instance.digest):
            return better
    return chosen


@lru_cache(maxsize=1024)
def _chosen(negotiation: Negotiation, offers: tuple[Offer, ...], single: bool) -> Offer:
    """A viewer says the same for each frame of a series. What is refused is not kept."""
    return negotiation.choose([offer for offer in offers if single or offer.multipart])


def _heads(
    request: web.Request, instance: Instance, offer: Offer, target: FramesTarget, numbers: Sequence[int]
) -> list[PartHead] | None:
    """Heads of all parts where the stored ranges are sent as they lie; None where lengths are known only later."""
    if not is_stored_range(instance, offer):
        return None
    root = root_of(request)
    return [
        PartHead(
            offer.part_content_type,
            root.uri(target.frame_path(number)),
            sum(span.length_bytes for span in instance.frames.spans_of(number - 1)),
        )
        for number in numbers
    ]


def _tag(instance: Instance, offer: Offer, numbers: Sequence[int]) -> str:
    """Names these frames in this syntax: by the content of the instance, so that it never has to be asked for."""
    named = hashlib.sha256(f"{offer.part_content_type} {numbers}".encode()).hexdigest()
    return quoted_etag(f"{instance.digest[:32]}-{named[:16]}")


def _single(request: web.Request, content: bytes, headers: dict[str, str]) -> web.Response:
    """One frame as the whole body, or a range of it."""
    headers = {**headers, "Accept-Ranges": "bytes"}
    asked = None
    if applies(request.headers.get("If-Range"), headers["ETag"]):
        asked = parse_range(request.headers.get("Range"), len(content))
    if asked is None:
        return web.Response(body=content, headers=headers)
    headers["Content-Range"] = asked.content_range
    return web.Response(status=206, body=content[asked.start : asked.end], headers=headers)


def is_stored_range(instance: Instance, offer: Offer) -> bool:
    """Whether the frame, as offered, is just a range of the blob."""
    stored = instance.transfer_syntax_uid
    if instance.frames.layout is FrameLayout.FRAGMENTS:
        return offer.transfer_syntax_uid == stored
    if offer.transfer_syntax_uid != EXPLICIT_VR_LE:
        return False
    return stored in STORED_IS_NATIVE_LE


async def frame_bytes(request: web.Request, instance: Instance, frame_index: int, offer: Offer) -> bytes:
    """One frame as the offer describes it. Raises UnprocessableError, BusyError, StoreError."""
    if is_stored_range(instance, offer):
        spans = instance.frames.spans_of(frame_index)
        store = request.app[STORE]
        if len(spans) == 1:
            return await read_span(store, instance.digest, spans[0])
        return b"".join([await read_span(store, instance.digest, span) for span in spans])
    source = await frame_source(request.app[STORE], instance)
    syntax = offer.transfer_syntax_uid
    if syntax is None:
        raise NotAcceptableError
    copied = await copied_frame(request, instance, frame_index, syntax)
    return copied if copied is not None else await request.app[PIXELS].transcode_frame(source, frame_index, syntax)
