"""Rendered resources and thumbnails (PS3.18 §10.4.1.1.4, §10.4.3.3.4): pictures for people."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from archive.dicomweb.media_types import Offer
from archive.dicomweb.payload import root_of
from archive.dicomweb.ranges import is_not_modified, quoted_etag
from archive.dicomweb.targets import FramesTarget, InstanceTarget, SeriesTarget, StudyTarget
from archive.errors import NotFoundError
from archive.instances import FrameLayout, Instance
from archive.resources import STORE
from archive.scope import Scope
from auth.access import scope_of
from wado.ahead import FORESIGHT, Place
from wado.annotations import annotation_lines, is_free_of_identity
from wado.documents import document_offers, render_document
from wado.finding import negotiation_of, require_instance, require_instances, require_metadata
from wado.pixels.parameters import GIF, JP2, JPEG, PNG, RenderParameters, Viewport
from wado.rendered_parameters import parse_annotation, parse_rendering, parse_viewport
from wado.sources import PIXELS, frame_source
from wado.states import STATES, send_state

THUMBNAIL = Viewport(128, 128)
SINGLE_FRAME_OFFERS = (Offer(JPEG), Offer(PNG), Offer(GIF), Offer(JP2))
MULTI_FRAME_OFFERS = (Offer(GIF), Offer(JPEG), Offer(PNG), Offer(JP2))
MAXIMUM_ANIMATED = 300
"""Frames of one animation."""


async def retrieve_rendered_study(request: web.Request) -> web.StreamResponse:
    """One picture that stands for the study; its first document where it has no image."""
    return await _render_first(request, StudyTarget.parse(request.match_info))


async def retrieve_rendered_series(request: web.Request) -> web.StreamResponse:
    """One picture that stands for the series; its first document where it has no image."""
    return await _render_first(request, SeriesTarget.parse(request.match_info))


async def retrieve_rendered_instance(request: web.Request) -> web.StreamResponse:
    """The instance's picture; of several frames an animation, or the middle one where the client wants a still.

    A report is given as text, a document as it is, a presentation state as the image that it is for.
    """
    scope = scope_of(request)
    instance = await require_instance(request, scope, InstanceTarget.parse(request.match_info))
    if document_offers(instance):
        return await _render_document(request, instance)
    if instance.sop_class_uid in STATES:
        offer = negotiation_of(request).choose(SINGLE_FRAME_OFFERS)
        parameters = await annotated(request, scope, instance, parse_rendering(request.query, offer.media_type))
        return await send_state(request, scope, instance, parameters)
    return await _render(request, scope, instance, range(instance.frames.count))


async def retrieve_rendered_frames(request: web.Request) -> web.StreamResponse:
    """One frame's picture, or an animation of several."""
    scope = scope_of(request)
    target = FramesTarget.parse(request.match_info)
    instance = await require_instance(request, scope, target.instance)
    frames = [number - 1 for number in target.frame_numbers if number <= instance.frames.count]
    if not frames:
        raise NotFoundError("The instance has no such frame.", parameter="frames")
    return await _render(request, scope, instance, frames)


async def retrieve_thumbnail(request: web.Request) -> web.StreamResponse:
    """A small picture without anything that says whose it is."""
    scope = scope_of(request)
    negotiation_of(request).choose((Offer(JPEG),))
    frame_index = 0
    if "frames" in request.match_info:
        target = FramesTarget.parse(request.match_info)
        instance = await require_instance(request, scope, target.instance)
        frame_index = target.frame_numbers[0] - 1
    elif "instance" in request.match_info:
        instance = await require_instance(request, scope, InstanceTarget.parse(request.match_info))
    else:
        kind = SeriesTarget if "series" in request.match_info else StudyTarget
        instance = _middle(await require_instances(request, scope, kind.parse(request.match_info)))
    viewport = parse_viewport(request.query["viewport"]) if "viewport" in request.query else THUMBNAIL
    if not is_free_of_identity(await require_metadata(request, scope, instance)):
        raise NotFoundError("There is no picture of this instance that is free of identity.")
    return await send_picture(request, instance, [frame_index], RenderParameters(viewport=viewport))


async def _render_first(request: web.Request, target: StudyTarget | SeriesTarget) -> web.StreamResponse:
    scope = scope_of(request)
    instances = await require_instances(request, scope, target)
    if not any(_is_drawable(one) for one in instances):
        document = next((one for one in instances if document_offers(one)), None)
        if document is not None:
            return await _render_document(request, document)
    instance = _middle(instances)
    return await _render(request, scope, instance, [instance.frames.count // 2])


async def _render_document(request: web.Request, instance: Instance) -> web.StreamResponse:
    return await render_document(request, instance, negotiation_of(request).choose(document_offers(instance)))


def _is_drawable(instance: Instance) -> bool:
    return instance.frames.layout not in (FrameLayout.NONE, FrameLayout.WHOLE)


def _middle(instances: Sequence[Instance]) -> Instance:
    """The instance in the middle of those that have pictures: it shows more than the first.

    Raises NotFoundError when none has one.
    """
    drawable = [one for one in instances if _is_drawable(one)]
    if not drawable:
        raise NotFoundError("There is no picture of this.")
    return drawable[len(drawable) // 2]


async def _render(request: web.Request, scope: Scope, instance: Instance, frames: Sequence[int]) -> web.StreamResponse:
    if instance.frames.layout is FrameLayout.NONE or not frames:
        raise NotFoundError("There is no picture of this instance.")
    offers = SINGLE_FRAME_OFFERS if len(frames) == 1 else MULTI_FRAME_OFFERS
    offer = negotiation_of(request).choose(offers)
    parameters = parse_rendering(request.query, offer.media_type)
    parameters = await annotated(request, scope, instance, parameters)
    if len(frames) == 1 and not parameters.annotation:
        _look_ahead(request, Place(scope, instance, frames[0], parameters.cache_name()), parameters)
    return await send_picture(request, instance, frames, parameters)


def _look_ahead(request: web.Request, place: Place, parameters: RenderParameters) -> None:
    pool = request.app[PIXELS]
    request.app[FORESIGHT].note(
        request, place, lambda source, frame_index: pool.foresee_picture(source, frame_index, parameters)
    )


async def annotated(
    request: web.Request, scope: Scope, instance: Instance, parameters: RenderParameters
) -> RenderParameters:
    """The same picture with the words that `annotation` asks for."""
    asked = parse_annotation(request.query.get("annotation", ""))
    if not asked:
        return parameters
    lines = annotation_lines(await require_metadata(request, scope, instance), asked)
    return replace(parameters, annotation=lines)


async def send_picture(
    request: web.Request, instance: Instance, frames: Sequence[int], parameters: RenderParameters
) -> web.StreamResponse:
    """Send a frame, or the animation of several where it is a GIF that is asked for."""
    tag = quoted_etag(f"{instance.digest[:32]}-{_name(frames, parameters)}")
    path = InstanceTarget(instance.study_uid, instance.series_uid, instance.instance_uid).path()
    headers = {"ETag": tag, "Content-Location": root_of(request).uri(f"{path}/rendered")}
    if is_not_modified(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers=headers)
    source = await frame_source(request.app[STORE], instance)
    pool = request.app[PIXELS]
    if parameters.media_type == GIF and len(frames) > 1:
        picture = await pool.animate(source, tuple(frames[:MAXIMUM_ANIMATED]), parameters)
    else:
        picture = await pool.render(source, frames[len(frames) // 2], parameters)
    return web.Response(body=picture, content_type=parameters.media_type, headers=headers)


def _name(frames: Sequence[int], parameters: RenderParameters) -> str:
    """Tells apart every two pictures of one instance."""
    listed = frames if isinstance(frames, range) else list(frames)  # a range may be long
    return hashlib.sha256(f"{listed} {parameters.cache_name()}".encode()).hexdigest()[:16]
