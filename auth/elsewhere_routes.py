"""URL table of what other viewers and apps ask: `/t/{ticket}/ohif.json`, `/t/{ticket}/fhir/…`, SMART Health Links."""

import functools
import json

from aiohttp import web

from archive.audit import Action, Event
from archive.errors import BadRequestError, ForbiddenError, NotFoundError
from archive.index.reader import StudyOverview, find_study_overview
from archive.scope import Scope
from auth.access import ACCESS, Access, require_read
from auth.bodies import read_body
from auth.elsewhere import ohif_configuration
from auth.fhir import PATIENT_ID, bundle
from auth.gate import CORS_HEADERS
from auth.health_links import encrypt_file, make_health_link, open_health_link
from auth.principals import Kind, Principal
from auth.qr import qr_svg
from auth.shares import find_share, parse_share_id
from auth.tickets import NewTicket, create_ticket

FHIR_JSON = "application/fhir+json"


def routes() -> list[web.RouteDef]:
    return [
        web.get("/t/{ticket}/ohif.json", get_ohif_configuration),
        web.get("/t/{ticket}/fhir/ImagingStudy", get_imaging_studies),
        web.post("/api/s/{share_id}/health-links", post_health_link),
        web.post("/shl/{manifest}", post_manifest),
    ]


async def get_ohif_configuration(request: web.Request) -> web.Response:
    """Where OHIF's dicomwebproxy asks; served without redirect and to any site, as it fetches without credentials."""
    require_read(request)
    root = f"{request.app[ACCESS].public_base}/t/{request.match_info['ticket']}/dicom-web"
    return web.json_response(ohif_configuration(root))


async def get_imaging_studies(request: web.Request) -> web.Response:
    """The ticket's studies as FHIR; a search for another patient is refused, as SMART Imaging Access asks."""
    principal, access = require_read(request), request.app[ACCESS]
    patient = request.query.get("patient", PATIENT_ID).removeprefix("Patient/")
    if patient != PATIENT_ID:
        raise ForbiddenError("This ticket is for one patient.", parameter="patient")
    root = f"{access.public_base}/t/{request.match_info['ticket']}/dicom-web"
    overviews = await _overviews(access, principal.scope)
    asked = request.query.get("identifier", "").rpartition("urn:oid:")[2]
    chosen = [one for one in overviews if not asked or one.study_uid == asked]
    await _write_down(request, principal, chosen)
    return web.json_response(bundle(chosen, root), content_type=FHIR_JSON)


async def post_health_link(request: web.Request) -> web.Response:
    """Make a SMART Health Link; only a session can, and only where files may be taken."""
    principal, access = require_read(request), request.app[ACCESS]
    share_id = parse_share_id(request.match_info["share_id"])
    share = await access.database.keyed(find_share, share_id, access.clock())
    if principal.kind is not Kind.SHARE or principal.share_id != share_id or share is None:
        raise NotFoundError
    if not share.may_download:
        raise ForbiddenError("This link is for looking at the images here.")
    url = await make_health_link(access, share, (await read_body(request)).text("passcode"))
    return web.json_response({"url": url, "qr": qr_svg(url)}, status=201)


async def post_manifest(request: web.Request) -> web.Response:
    """The manifest of a SMART Health Link: one encrypted file, against the passcode."""
    access, body = request.app[ACCESS], await read_body(request)
    if not body.text("recipient", ""):
        raise BadRequestError("recipient is required.", parameter="recipient")
    opened = await open_health_link(access, request.match_info["manifest"], body.text("passcode", ""))
    if isinstance(opened, int):
        text = json.dumps({"remainingAttempts": opened})
        return web.Response(status=401, text=text, content_type="application/json", headers=CORS_HEADERS)
    share, key = opened
    new = NewTicket(share.share_id, f"SMART Health Link: {_printable(body.text('recipient'))}"[:60])
    _, ticket = await access.database.write(create_ticket, new, access.clock())
    overviews = await _overviews(access, share.scope)
    document = bundle(overviews, f"{access.public_base}/t/{ticket}/dicom-web", "collection")
    principal = Principal(Kind.TICKET, f"health link of share {share.share_id}", share_id=share.share_id)
    await _write_down(request, principal, overviews)
    file = {"contentType": FHIR_JSON, "embedded": encrypt_file(document, key)}
    return web.json_response({"status": "finalized", "files": [file]}, headers=CORS_HEADERS)


async def _overviews(access: Access, scope: Scope) -> list[StudyOverview]:
    work = functools.partial(find_study_overview, scope)
    found = [await access.database.read(work, study_uid) for study_uid in sorted(scope.study_uids or ())]
    return [one for one in found if one is not None]


async def _write_down(request: web.Request, principal: Principal, overviews: list[StudyOverview]) -> None:
    access = request.app[ACCESS]
    for one in overviews:
        event = Event(
            Action.METADATA,
            str(principal.kind),
            principal.label,
            share_id=principal.share_id,
            study_uid=one.study_uid,
            address=access.address_of(request),
        )
        await access.audit.read(event)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
