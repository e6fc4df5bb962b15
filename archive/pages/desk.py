"""What the desk sees: new requests, the list, one request. No secret after it was made, nor whom a patient named."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from archive.audit import Action, Event
from archive.errors import NotFoundError
from archive.index.texts import readable_name
from archive.languages import Language
from archive.pages.reading import write_reading_down
from archive.pages.recipient import read_lacks
from archive.pages.rendering import PAGES
from auth.access import ACCESS, principal_of, require_staff
from auth.desk import desk_row
from auth.matching import Candidate, find_candidates
from auth.permits import may_import
from auth.principals import Kind
from auth.qr import qr_svg
from auth.requests import find_request, list_requests, parse_request_id
from auth.staff import StaffRole

DESK = (StaffRole.DESK, StaffRole.ADMIN)
LISTED_MS = 14 * 86_400_000
"""Requests that changed within this time are listed, and all that are open."""


def routes() -> list[web.RouteDef]:
    return [
        web.get("/staff", get_sign_in),
        web.get("/desk", get_desk),
        web.get("/desk/requests/{request_id}", get_request),
    ]


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A study that may be meant, in the words of the page."""

    study_uid: str
    name: str
    patient_id: str
    accession_number: str
    date: str
    description: str
    modalities: str
    image_count: int

    @classmethod
    def of(cls, found: Candidate, language: Language) -> "CandidateRow":
        return cls(
            found.study_uid,
            readable_name(found.patient_name),
            found.patient_id,
            found.accession_number,
            language.day(found.study_date),
            found.description,
            found.modalities.replace("\\", ", "),
            found.image_count,
        )


async def get_sign_in(request: web.Request) -> web.Response:
    """Where staff sign in."""
    return request.app[PAGES].respond(
        request, "sign-in.html", {"has_provider": request.app[ACCESS].provider is not None}
    )


async def get_desk(request: web.Request) -> web.StreamResponse:
    """The form for a new request, and the list."""
    if principal_of(request).kind is not Kind.STAFF:
        raise web.HTTPSeeOther("/staff")
    if not principal_of(request).roles & frozenset(DESK):
        raise web.HTTPSeeOther("/admin")  # whoever signs in comes here first
    access = request.app[ACCESS]
    listed = await access.database.read(list_requests, access.vault, access.clock() - LISTED_MS)
    rows = [await access.database.read(desk_row, one) for one in listed]
    await write_reading_down(request, [])
    form_url = f"{access.public_base}/request"
    context: dict[str, Any] = {
        "rows": rows,
        "at_desk": True,
        "patient_id": request.query.get("patient_id", "")[:64],
        "accession_number": request.query.get("accession_number", "")[:64],
        "channels": access.outbox.channels.available,
        "public_base": access.public_base,
        "form_url": form_url,
        "form_qr": qr_svg(form_url),
    }
    return request.app[PAGES].respond(request, "desk.html", context)


async def get_request(request: web.Request) -> web.StreamResponse:
    """One request and what can be done with it."""
    if principal_of(request).kind is not Kind.STAFF:
        raise web.HTTPSeeOther("/staff")
    principal, access, pages = require_staff(request, *DESK), request.app[ACCESS], request.app[PAGES]
    request_id = parse_request_id(request.match_info["request_id"])
    found = await access.database.keyed(find_request, access.vault, request_id)
    if found is None:
        raise NotFoundError
    candidates = await access.database.read(find_candidates, found.accession_number, found.patient_id)
    language = pages.language(request)
    await write_reading_down(request, found.study_uids, request_id)
    for one in candidates:
        seen = Event(Action.SEARCH, "staff", principal.label, study_uid=one.study_uid, detail={"request": request_id})
        await access.audit.read(seen)
    context: dict[str, Any] = {
        "row": await access.database.read(desk_row, found),
        "lacks": await read_lacks(access, found.study_uids),
        "candidates": [CandidateRow.of(one, language) for one in candidates],
        "channels": access.outbox.channels.available,
        "public_base": access.public_base,
        "may_import": await access.database.keyed(may_import, request_id),
    }
    return pages.respond(request, "desk-request.html", context)
