"""Store transaction: POST /studies and /studies/{study} (PS3.18 §10.5)."""

from collections.abc import Callable
from http import HTTPStatus

import orjson
from aiohttp import hdrs, web

from archive.dicom.xml_model import parse_xml
from archive.dicomweb.header_values import MediaType
from archive.dicomweb.media_types import Offer, negotiate
from archive.dicomweb.multipart import IncomingPart, MultipartLimits, MultipartReader, RelatedType
from archive.dicomweb.payload import JSON, TO_XML, XML, Answer, root_of, send_answer
from archive.dicomweb.targets import PublicRoot, StudyTarget
from archive.dicomweb.transactions import Transaction
from archive.errors import (
    BadRequestError,
    BusyError,
    PayloadTooLargeError,
    RefusedInstanceError,
    UnsupportedMediaTypeError,
)
from archive.identifiers import StudyUID
from archive.resources import INGEST, STRICT_ACCEPT
from auth.access import require_store
from auth.gate import store_event
from stow.metadata_parts import MetadataLimits, take_metadata
from stow.outcome import CANNOT_UNDERSTAND, Outcome
from stow.parts import Intake, Sender, StowLimits, expect_later, read_body
from stow.response import response_headers, response_module, response_warnings

AUTHORIZE: web.AppKey[Callable[[web.Request], str]] = web.AppKey("authorize")
"""Who may store, where it is not `auth.access.require_store` that says so."""
LIMITS = web.AppKey("stow_limits", StowLimits)
METADATA_LIMITS = web.AppKey("metadata_limits", MetadataLimits)

DICOM = "application/dicom"
RESPONSE_OFFERS = (Offer(JSON), Offer(XML, rank=1), Offer("application/json", rank=2))


async def store_instances(request: web.Request) -> web.StreamResponse:
    """Store what the body holds, each instance for itself; answer when all of it is durable and indexed."""
    by = request.config_dict.get(AUTHORIZE, require_store)(request)
    study_uid = StudyTarget.parse(request.match_info).study_uid if "study" in request.match_info else None
    offer = _negotiate_response(request)
    _refuse_coding(request)
    intake = Intake(request.config_dict[INGEST], study_uid, Sender(by, store_event(request)), _limits(request))
    try:
        await _read_request(request, intake)
    except BaseException:
        await intake.give_up()
        raise
    outcome = await intake.index()
    return await _respond(request, outcome, study_uid, offer)


def _negotiate_response(request: web.Request) -> Offer:
    """The form of the answer, settled before anything is stored."""
    accept, query = request.headers.getall(hdrs.ACCEPT, []), request.query.getall("accept", [])
    return negotiate(accept, query, RESPONSE_OFFERS, strict=request.config_dict.get(STRICT_ACCEPT, False))


def _limits(request: web.Request) -> StowLimits:
    return request.config_dict.get(LIMITS) or StowLimits()


def _refuse_coding(request: web.Request) -> None:
    """Raise UnsupportedMediaTypeError for a compressed body: its size would be told too late."""
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMediaTypeError("The body must come without Content-Encoding.", parameter="Content-Encoding")


async def _read_request(request: web.Request, intake: Intake) -> None:
    """Take in every part up to the end of the body.

    Raises BadRequestError, PayloadTooLargeError or UnsupportedMediaTypeError; then nothing must be indexed.
    """
    limits = _limits(request)
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    if _name_of(content_type) == DICOM:
        await intake.take(1, read_body(request, limits))
        return
    related = RelatedType.parse(content_type)
    if related.type not in (DICOM, JSON, XML):
        message = f"Instances are stored from {DICOM}, or from multipart/related of {DICOM}, {JSON} or {XML}."
        raise UnsupportedMediaTypeError(message, parameter="Content-Type")
    reader = MultipartReader(read_body(request, limits), related.boundary, MultipartLimits(parts=limits.parts))
    if related.type != DICOM:
        metadata_limits = request.config_dict.get(METADATA_LIMITS) or MetadataLimits()
        await take_metadata(reader, intake, metadata_limits, parse_xml)
        return
    async for part in reader:
        await _take_part(intake, part)
    if intake.is_empty:
        raise BadRequestError("The request holds no instance.", parameter="body")


def _name_of(content_type: str) -> str:
    try:
        return MediaType.parse(content_type).name
    except ValueError:
        return ""


async def _take_part(intake: Intake, part: IncomingPart) -> None:
    """A part that says it is something else than DICOM fails alone; one that says nothing is taken for DICOM."""
    text = part.headers.get("content-type", DICOM)
    if _name_of(text) != DICOM:
        intake.refuse(part.position, RefusedInstanceError(CANNOT_UNDERSTAND, "The part is not application/dicom."))
        return
    encoding = part.headers.get("content-transfer-encoding", "binary").lower()
    if encoding not in ("binary", "8bit") or "content-encoding" in part.headers:
        message = "The part is encoded; it must come as binary, without coding."
        intake.refuse(part.position, RefusedInstanceError(CANNOT_UNDERSTAND, message))
        return
    await intake.take(part.position, part.chunks())


async def _respond(
    request: web.Request, outcome: Outcome, study_uid: StudyUID | None, offer: Offer
) -> web.StreamResponse:
    root: PublicRoot = root_of(request)
    if outcome.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        failure = outcome.failed[0]
        raise PayloadTooLargeError(failure.message, limit_bytes=failure.limit_bytes or 0)
    if outcome.status == HTTPStatus.SERVICE_UNAVAILABLE:
        failure = outcome.failed[0]
        raise BusyError(failure.message, retry_after_s=failure.retry_after_s or 1)
    module = response_module(outcome, root, study_uid)
    body = request.config_dict[TO_XML](module) if offer.media_type == XML else orjson.dumps(module)
    answer = Answer(
        body,
        media_type=offer.media_type,
        status=int(outcome.status),
        headers=response_headers(outcome, root, study_uid),
        warnings=response_warnings(outcome, root),
    )
    return await send_answer(request, answer)


def _post(path: str, name: str) -> Transaction:
    consumes = (
        f'multipart/related; type="{DICOM}"',
        DICOM,
        *(f'multipart/related; type="{kind}"' for kind in (JSON, XML)),
    )
    return Transaction("POST", path, name, "PS3.18 §10.5", store_instances, (JSON, XML), consumes, ("accept",))


TRANSACTIONS = (_post("/studies", "StoreInstances"), _post("/studies/{study}", "StoreInstancesOfStudy"))


def routes(root: str = "") -> list[web.RouteDef]:
    """The store resources below a DICOMweb root; what is expected with `Expect` is answered when the body is read."""
    return [web.post(root + one.path, one.handler, expect_handler=expect_later) for one in TRANSACTIONS]
