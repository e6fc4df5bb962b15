"""WADO-URI (PS3.18 §9): one instance, named by its UIDs in the query, as a file, a picture or a document."""

from collections.abc import Mapping

from aiohttp import web

from archive.dicomweb.charset import check_charset
from archive.dicomweb.media_types import EXPLICIT_VR_LE, Negotiation, Offer
from archive.dicomweb.targets import InstanceTarget
from archive.errors import BadRequestError, NotAcceptableError, NotFoundError
from archive.identifiers import InstanceUID, SeriesUID, parse_uid
from archive.instances import FrameLayout, Instance
from archive.resources import STRICT_ACCEPT
from auth.access import scope_of
from wado.anonymized import send_anonymized
from wado.documents import document_offers, render_document
from wado.finding import require_instance
from wado.instances import send_file
from wado.offers import DICOM, object_offers
from wado.pixels.parameters import DEFAULT_QUALITY, GIF, RenderParameters, Viewport, Window
from wado.rendered import SINGLE_FRAME_OFFERS, annotated, send_picture
from wado.rendered_parameters import MAXIMUM_SIDE, parse_window
from wado.states import StatedFrame, require_state, send_in_state

UIDS = {"studyUID": "study", "seriesUID": "series", "objectUID": "instance"}
STATE_UIDS = ("presentationSeriesUID", "presentationUID")
PARAMETERS = (
    *("requestType", *UIDS, "contentType", "charset", "transferSyntax", "anonymize"),
    *("annotation", "rows", "columns", "region", "windowCenter", "windowWidth", "frameNumber", "imageQuality"),
    *STATE_UIDS,
)


async def retrieve_by_uri(request: web.Request) -> web.StreamResponse:
    """Send the instance that the query names, in the form that it asks for."""
    scope = scope_of(request)
    query = request.query
    target = parse_target(query)
    state_target = _state_target(query, target)
    _check_anonymize(query)
    check_charset(query.getall("charset", []))
    frame_number = _whole_number(query, "frameNumber")
    instance = await require_instance(request, scope, target)
    offer = _choose(request, instance)
    if query.get("anonymize") == "yes":
        if offer.media_type != DICOM:
            message = "Files are de-identified, pictures are not; ask for contentType=application/dicom."
            raise BadRequestError(message, parameter="anonymize")
        return await send_anonymized(request, scope, instance)
    if offer.media_type == DICOM:
        return await send_file(request, instance, _in_syntax(query, instance))
    if offer in document_offers(instance):
        return await render_document(request, instance, offer)
    if frame_number is not None and frame_number > instance.frames.count:
        raise NotFoundError("The instance has no such frame.", parameter="frameNumber")
    frames = [frame_number - 1] if frame_number is not None else [0]
    if offer.media_type == GIF and frame_number is None and state_target is None:
        frames = list(range(instance.frames.count))
    parameters = await annotated(request, scope, instance, parse_picture(query, offer.media_type, instance))
    if state_target is None:
        return await send_picture(request, instance, frames, parameters)
    state = await require_state(request, scope, state_target)
    return await send_in_state(request, scope, StatedFrame(state, instance, frames[0]), parameters)


def parse_target(query: Mapping[str, str]) -> InstanceTarget:
    """The instance that the query names. Raises BadRequestError naming the parameter."""
    if query.get("requestType") != "WADO":
        raise BadRequestError("requestType is WADO.", parameter="requestType")
    for name in UIDS:
        parse_uid(query.get(name, ""), name)
    return InstanceTarget.parse({variable: query[name] for name, variable in UIDS.items()})


def _check_anonymize(query: Mapping[str, str]) -> None:
    if query.get("anonymize", "no") not in ("yes", "no"):
        raise BadRequestError("anonymize is yes or left out.", parameter="anonymize")


def _state_target(query: Mapping[str, str], target: InstanceTarget) -> InstanceTarget | None:
    """The presentation state that the image is asked for in. Raises BadRequestError naming the parameter.

    Its window is the state's own, so that none can be given beside it.
    """
    if not any(name in query for name in STATE_UIDS):
        return None
    series_uid, instance_uid = (parse_uid(query.get(name, ""), name) for name in STATE_UIDS)
    for name in ("windowCenter", "windowWidth"):
        if name in query:
            raise BadRequestError(f"{name} is not given together with presentationUID.", parameter=name)
    return InstanceTarget(target.study_uid, SeriesUID(series_uid), InstanceUID(instance_uid))


def _choose(request: web.Request, instance: Instance) -> Offer:
    """What `contentType` names, in its order, else what Accept prefers; the default is the first that there is."""
    offers = uri_offers(instance)
    asked = request.query.getall("contentType", [])
    if asked:
        return Negotiation.parse([], asked).choose(offers)
    return Negotiation.parse(request.headers.getall("Accept", []), strict=request.app[STRICT_ACCEPT]).choose(offers)


def uri_offers(instance: Instance) -> list[Offer]:
    """Pictures of an image, documents as text, anything as a file."""
    drawable = instance.frames.layout not in (FrameLayout.NONE, FrameLayout.WHOLE)
    return [*(SINGLE_FRAME_OFFERS if drawable else document_offers(instance)), Offer(DICOM)]


def _in_syntax(query: Mapping[str, str], instance: Instance) -> Offer:
    """The file in the syntax of `transferSyntax`, else Explicit VR Little Endian where it can be had (§9.4.1)."""
    offers = [offer for offer in object_offers(instance, single=True) if not offer.multipart]
    if "transferSyntax" in query:
        asked = parse_uid(query["transferSyntax"], "transferSyntax")
        found = next((offer for offer in offers if offer.transfer_syntax_uid == asked), None)
        if found is None:
            raise NotAcceptableError(tuple(str(offer) for offer in offers))
        return found
    return next((offer for offer in offers if offer.transfer_syntax_uid == EXPLICIT_VR_LE), offers[0])


def parse_picture(query: Mapping[str, str], media_type: str, instance: Instance) -> RenderParameters:
    """How the picture is asked for. Raises BadRequestError naming the parameter at fault."""
    quality = _whole_number(query, "imageQuality")
    if quality is not None and quality > 100:
        raise BadRequestError("imageQuality is a whole number from 1 to 100.", parameter="imageQuality")
    return RenderParameters(
        media_type,
        viewport=_viewport(query, instance),
        window=_window(query),
        quality=DEFAULT_QUALITY if quality is None else quality,
    )


def _window(query: Mapping[str, str]) -> Window | None:
    names = ("windowCenter", "windowWidth")
    given = [name for name in names if name in query]
    if not given:
        return None
    if len(given) == 1:
        missing = next(name for name in names if name not in query)
        raise BadRequestError("windowCenter and windowWidth are given together.", parameter=missing)
    if "," in query["windowCenter"] + query["windowWidth"]:
        raise BadRequestError("windowCenter and windowWidth are one number each.", parameter="windowCenter")
    try:
        return parse_window(f"{query['windowCenter']},{query['windowWidth']}")
    except BadRequestError as error:
        message = "windowCenter is a number, windowWidth one from 1."
        raise BadRequestError(message, parameter="windowWidth") from error


def _viewport(query: Mapping[str, str], instance: Instance) -> Viewport | None:
    rows, columns = _whole_number(query, "rows"), _whole_number(query, "columns")
    for name, side in (("rows", rows), ("columns", columns)):
        if side is not None and side > MAXIMUM_SIDE:
            raise BadRequestError(f"{name} is at most {MAXIMUM_SIDE}.", parameter=name)
    region = _region(query, instance)
    if rows is None and columns is None:
        if region is None:
            return None
        return Viewport(max(1, round(region[2])), max(1, round(region[3])), region)
    return Viewport(columns or MAXIMUM_SIDE, rows or MAXIMUM_SIDE, region)


def _region(query: Mapping[str, str], instance: Instance) -> tuple[float, float, float, float] | None:
    """`left,top,right,bottom` as parts of the image from 0 to 1 → left, top, width, height in pixels."""
    if "region" not in query or instance.pixels is None:
        return None
    parts = query["region"].split(",")
    try:
        left, top, right, bottom = (float(part) for part in parts)
    except ValueError:
        left = top = right = bottom = 0.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        message = "region is left,top,right,bottom: four numbers from 0 to 1, the latter two larger."
        raise BadRequestError(message, parameter="region")
    columns, rows = instance.pixels.columns, instance.pixels.rows
    return (left * columns, top * rows, (right - left) * columns, (bottom - top) * rows)


def _whole_number(query: Mapping[str, str], name: str) -> int | None:
    """A whole number from 1; None where the query has none."""
    if name not in query:
        return None
    text = query[name]
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise BadRequestError(f"{name} is a whole number from 1.", parameter=name)
    return int(text)
