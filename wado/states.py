"""Presentation states rendered (PS3.18 §10.4.1.1.4): the first image that the state is for, drawn as it says."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web

from archive.dicomweb.payload import root_of
from archive.dicomweb.ranges import is_not_modified, quoted_etag
from archive.dicomweb.targets import InstanceTarget
from archive.errors import BadRequestError, NotFoundError, UnprocessableError
from archive.identifiers import InstanceUID, SeriesUID, is_uid
from archive.instances import FrameLayout, Instance
from archive.resources import STORE
from archive.scope import Scope
from wado.finding import require_instance, require_metadata
from wado.pixels.parameters import RenderParameters
from wado.pixels.source import StateSource
from wado.sources import PIXELS, frame_source

STATES = frozenset(f"1.2.840.10008.5.1.4.1.1.11.{kind}" for kind in (1, 2, 3, 5, 8, 11))
"""Grayscale, colour, pseudo-colour, XA/XRF, advanced blending and variable modality LUT states (PS3.4 Annex N)."""
SERIES_SEQUENCE, SERIES_UID = "00081115", "0020000E"
IMAGE_SEQUENCE, INSTANCE_UID, FRAME_NUMBERS = "00081140", "00081155", "00081160"


@dataclass(frozen=True, slots=True)
class StatedFrame:
    """A frame of an image, and the presentation state that it is drawn in."""

    state: Instance
    image: Instance
    frame_index: int


async def send_state(
    request: web.Request, scope: Scope, state: Instance, parameters: RenderParameters
) -> web.StreamResponse:
    """Send the picture. Raises NotFoundError when none of the images is there, or the scope may not see it."""
    image, frame_index = await _first_image(request, scope, state)
    path = InstanceTarget(state.study_uid, state.series_uid, state.instance_uid).path()
    return await _send(request, StatedFrame(state, image, frame_index), parameters, path)


async def require_state(request: web.Request, scope: Scope, target: InstanceTarget) -> Instance:
    """The presentation state that a request names. Raises NotFoundError, BadRequestError when it is none."""
    state = await require_instance(request, scope, target)
    if state.sop_class_uid not in STATES:
        raise BadRequestError("presentationUID names no presentation state.", parameter="presentationUID")
    return state


async def send_in_state(
    request: web.Request, scope: Scope, stated: StatedFrame, parameters: RenderParameters
) -> web.StreamResponse:
    """Send a frame that the client chose. Raises BadRequestError when the state is for other images."""
    attributes = orjson.loads(await require_metadata(request, scope, stated.state))
    image = stated.image
    if (image.series_uid, image.instance_uid) not in {(series, uid) for series, uid, _ in _referenced(attributes)}:
        message = "The presentation state is not for this image."
        raise BadRequestError(message, parameter="presentationUID")
    path = InstanceTarget(image.study_uid, image.series_uid, image.instance_uid).path()
    return await _send(request, stated, parameters, path)


async def _send(
    request: web.Request, stated: StatedFrame, parameters: RenderParameters, path: str
) -> web.StreamResponse:
    recipe = f"{stated.image.digest} {stated.frame_index} {parameters.cache_name()}"
    tag = quoted_etag(f"{stated.state.digest[:32]}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}")
    headers = {hdrs.ETAG: tag, hdrs.CONTENT_LOCATION: root_of(request).uri(f"{path}/rendered")}
    if is_not_modified(request.headers.getall(hdrs.IF_NONE_MATCH, []), tag):
        return web.Response(status=304, headers=headers)
    store = request.app[STORE]
    source = await frame_source(store, stated.image)
    state_source = StateSource(await asyncio.to_thread(store.path_of, stated.state.digest), stated.state.digest)
    picture = await request.app[PIXELS].render_in_state(source, stated.frame_index, parameters, state_source)
    return web.Response(body=picture, content_type=parameters.media_type, headers=headers)


async def _first_image(request: web.Request, scope: Scope, state: Instance) -> tuple[Instance, int]:
    attributes = orjson.loads(await require_metadata(request, scope, state))
    for series_uid, instance_uid, frame_index in _referenced(attributes):
        try:
            image = await require_instance(request, scope, InstanceTarget(state.study_uid, series_uid, instance_uid))
        except NotFoundError:
            continue
        if image.frames.layout in (FrameLayout.NONE, FrameLayout.WHOLE):
            raise UnprocessableError("The image of this presentation state has no frames that can be drawn.")
        return image, frame_index
    raise NotFoundError("None of the images of this presentation state is here.")


def _referenced(attributes: dict[str, Any]) -> Iterator[tuple[SeriesUID, InstanceUID, int]]:
    """Series, instance and frame index of each image that the state is for (PS3.3 C.11.11)."""
    for series in _values(attributes, SERIES_SEQUENCE):
        for series_uid in _values(series, SERIES_UID)[:1]:
            for image in _values(series, IMAGE_SEQUENCE):
                frames = _values(image, FRAME_NUMBERS)
                for instance_uid in _values(image, INSTANCE_UID)[:1]:
                    if is_uid(str(series_uid)) and is_uid(str(instance_uid)):
                        first = frames[0] if frames and isinstance(frames[0], int) else 1
                        yield SeriesUID(series_uid), InstanceUID(instance_uid), max(0, first - 1)


def _values(item: Any, tag: str) -> list[Any]:
    entry = item.get(tag) if isinstance(item, dict) else None
    values = entry.get("Value") if isinstance(entry, dict) else None
    return [value for value in values if value is not None] if isinstance(values, list) else []
