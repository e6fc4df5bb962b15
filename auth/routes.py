"""URL table of the API by which a link is opened and its tickets are made (`/api/s/{share_id}/…`)."""

from typing import Any

from aiohttp import web

from archive.errors import ForbiddenError, NotFoundError, UnauthorizedError
from auth import elsewhere_routes, owner_routes, staff_routes
from auth.access import ACCESS, principal_of, require_read
from auth.bodies import read_body
from auth.elsewhere import ways
from auth.opening import Step, close_session, give_password, open_link
from auth.people import NewPerson, give_code, give_passkey, give_totp, passkey_options, send_code
from auth.principals import Kind, Principal
from auth.qr import qr_svg
from auth.sessions import SessionKind
from auth.shares import parse_share_id
from auth.sharing import ask_for_access
from auth.tickets import DEFAULT_TTL_S, NewTicket, Ticket, create_ticket, end_ticket, list_tickets


def routes() -> list[web.RouteDef]:
    """All URLs of the API."""
    return [*share_routes(), *owner_routes.routes(), *staff_routes.routes(), *elsewhere_routes.routes()]


def share_routes() -> list[web.RouteDef]:
    return [
        web.post("/api/s/{share_id}/open", post_open),
        web.post("/api/s/{share_id}/password", post_password),
        web.post("/api/s/{share_id}/code/send", post_send_code),
        web.post("/api/s/{share_id}/code", post_code),
        web.post("/api/s/{share_id}/totp", post_totp),
        web.post("/api/s/{share_id}/passkey/options", post_passkey_options),
        web.post("/api/s/{share_id}/passkey", post_passkey),
        web.post("/api/s/{share_id}/ask", post_ask),
        web.get("/api/s/{share_id}/session", get_session),
        web.delete("/api/s/{share_id}/session", delete_session),
        web.post("/api/s/{share_id}/tickets", post_ticket),
        web.get("/api/s/{share_id}/tickets", get_tickets),
        web.delete("/api/s/{share_id}/tickets/{ticket_id:[0-9]{1,15}}", delete_ticket),
    ]


async def post_open(request: web.Request) -> web.Response:
    """Take the link's secret; answer what is asked next."""
    access, body = request.app[ACCESS], await read_body(request)
    step = await open_link(access, request.match_info["share_id"], body.text("secret"), access.visitor(request))
    return step_response(request, step)


async def post_password(request: web.Request) -> web.Response:
    """Take the password of a link whose secret was right."""
    access, half_open = request.app[ACCESS], half_open_cookie(request)
    body = await read_body(request)
    step = await give_password(access, *half_open, body.text("password"), access.visitor(request))
    return step_response(request, step)


async def post_send_code(request: web.Request) -> web.Response:
    """Send the code of a person's own link."""
    half_open = half_open_cookie(request)
    body = await read_body(request)
    contact = await send_code(request.app[ACCESS], *half_open, body.text("language", ""))
    return web.json_response({"sent_to": contact}, status=202)


async def post_code(request: web.Request) -> web.Response:
    """Take the code of a person's own link."""
    access, half_open = request.app[ACCESS], half_open_cookie(request)
    body = await read_body(request)
    step = await give_code(access, *half_open, body.text("code"), access.visitor(request))
    return step_response(request, step)


async def post_totp(request: web.Request) -> web.Response:
    """Take an authenticator app's code."""
    access, half_open = request.app[ACCESS], half_open_cookie(request)
    body = await read_body(request)
    step = await give_totp(access, *half_open, body.text("code"), access.visitor(request))
    return step_response(request, step)


async def post_passkey_options(request: web.Request) -> web.Response:
    """What the browser asks the authenticator."""
    half_open = half_open_cookie(request)
    await read_body(request)
    return web.json_response(await passkey_options(request.app[ACCESS], *half_open))


async def post_passkey(request: web.Request) -> web.Response:
    """Take the authenticator's answer."""
    access, half_open = request.app[ACCESS], half_open_cookie(request)
    answer = (await read_body(request)).document("credential")
    step = await give_passkey(access, *half_open, answer, access.visitor(request))
    return step_response(request, step)


async def post_ask(request: web.Request) -> web.Response:
    """Ask the patient for access, by a link that is for named people."""
    half_open = half_open_cookie(request)
    body = await read_body(request)
    person = NewPerson(body.text("name"), body.text("contact"))
    await ask_for_access(request.app[ACCESS], *half_open, person)
    return web.json_response({"asked": True}, status=202)


async def get_session(request: web.Request) -> web.Response:
    """Whether this browser has the share open."""
    return web.json_response({"open": principal_of(request).kind is Kind.SHARE})


async def delete_session(request: web.Request) -> web.Response:
    """End this browser's session ("Done")."""
    access, share_id = request.app[ACCESS], parse_share_id(request.match_info["share_id"])
    await close_session(access, share_id, cookie_of(request, share_id))
    response = web.Response(status=204)
    access.cookies.take(response, SessionKind.SHARE, share_id)
    return response


async def post_ticket(request: web.Request) -> web.Response:
    """Make a ticket for another viewer; only a session can, and only where files may be taken."""
    principal, access = require_session(request), request.app[ACCESS]
    if not principal.may_download:
        raise ForbiddenError("This link is for looking at the images here; it cannot be given to another viewer.")
    body = await read_body(request)
    new = NewTicket(principal.share_id, body.text("label", ""), body.number("ttl_s", DEFAULT_TTL_S) or 0)
    new.check()
    ticket_id, ticket = await access.database.write(create_ticket, new, access.clock())
    told = {
        "id": ticket_id,
        "ticket": ticket,
        "root": f"/t/{ticket}/dicom-web",
        "root_url": f"{access.public_base}/t/{ticket}/dicom-web",
        "ways": ways(access.public_base, ticket, sorted(principal.scope.study_uids or ())),
    }
    return web.json_response(told, status=201)


async def get_tickets(request: web.Request) -> web.Response:
    """The living tickets of this share; never the tickets themselves."""
    principal, access = require_session(request), request.app[ACCESS]
    tickets = await access.database.keyed(list_tickets, principal.share_id, access.clock())
    return web.json_response([_ticket_json(ticket) for ticket in tickets])


async def delete_ticket(request: web.Request) -> web.Response:
    """Switch a ticket off."""
    principal, access = require_session(request), request.app[ACCESS]
    number = int(request.match_info["ticket_id"])
    await access.database.write(end_ticket, principal.share_id, number, access.clock())
    access.forget()
    return web.Response(status=204)


def require_session(request: web.Request) -> Principal:
    """The visitor of the share that the path names."""
    principal = require_read(request)
    if principal.kind is not Kind.SHARE or principal.share_id != parse_share_id(request.match_info["share_id"]):
        raise NotFoundError
    return principal


def half_open_cookie(request: web.Request) -> tuple[str, str]:
    """The share that the path names, and this browser's cookie for it; UnauthorizedError when there is none."""
    share_id = parse_share_id(request.match_info["share_id"])
    cookie = cookie_of(request, share_id)
    if cookie is None:
        raise UnauthorizedError("Open the link first.")
    return share_id, cookie


def cookie_of(request: web.Request, share_id: str) -> str | None:
    return request.cookies.get(request.app[ACCESS].cookies.name(SessionKind.SHARE, share_id))


def step_response(request: web.Request, step: Step) -> web.Response:
    told = {"next": step.next, **step.data}
    if "uri" in step.data:
        told["qr"] = qr_svg(str(step.data["uri"]))
    response = web.json_response(told)
    request.app[ACCESS].cookies.give(response, SessionKind.SHARE, step.share_id, step.cookie)
    return response


def _ticket_json(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.ticket_id,
        "label": ticket.label,
        "created_ms": ticket.created_ms,
        "expires_ms": ticket.expires_ms,
        "used_ms": ticket.used_ms,
    }
