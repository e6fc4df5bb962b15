"""URL table of staff: sign-in, accounts, the desk's work (`/api/staff/…`, `/api/desk/…`), and the patient's form."""

import base64
from typing import Any

from aiohttp import web

from archive.delivery.handout import Handout, handout_pdf
from archive.delivery.outbox import Channel
from archive.errors import BadRequestError, UnauthorizedError
from auth.access import ACCESS, require_staff
from auth.bodies import Body, read_body
from auth.desk import (
    Made,
    Sending,
    attach_studies,
    confirm_request,
    renew_link,
    take_patients_request,
    take_request,
    withdraw_consent,
)
from auth.identity_provider import ProviderError
from auth.qr import qr_svg
from auth.requests import LIFE_MS, NewRequest, parse_request_id
from auth.sessions import SessionKind
from auth.single_sign_on import CALLBACK, Answer, begin_sign_in, finish_sign_in, sign_out_url
from auth.staff import (
    StaffRole,
    StaffStep,
    change_password,
    create_staff,
    end_staff,
    give_staff_passkey,
    give_staff_totp,
    parse_staff_roles,
    reset_staff,
    sign_in_by_password,
    sign_out,
    staff_passkey_options,
)

DESK = (StaffRole.DESK, StaffRole.ADMIN)
_REQUEST = "/api/desk/requests/{request_id}"


def routes() -> list[web.RouteDef]:
    return [
        web.post("/api/staff/sign-in", post_sign_in),
        web.post("/api/staff/password", post_password),
        web.post("/api/staff/totp", post_totp),
        web.post("/api/staff/passkey/options", post_passkey_options),
        web.post("/api/staff/passkey", post_passkey),
        web.delete("/api/staff/session", delete_session),
        web.post("/api/staff/sso", post_single_sign_on),
        web.get(CALLBACK, get_callback),
        web.post("/api/staff/accounts", post_account),
        web.post("/api/staff/accounts/{staff_id}/reset", post_reset),
        web.delete("/api/staff/accounts/{staff_id}", delete_account),
        web.post("/api/desk/requests", post_request),
        web.post(f"{_REQUEST}/confirm", post_confirm),
        web.post(f"{_REQUEST}/attach", post_attach),
        web.post(f"{_REQUEST}/renew", post_renew),
        web.post(f"{_REQUEST}/withdraw", post_withdraw),
        web.post("/api/requests", post_patients_request),
    ]


async def post_sign_in(request: web.Request) -> web.Response:
    """Name and password."""
    access, body = request.app[ACCESS], await read_body(request)
    visitor = access.visitor(request)
    return _step_response(request, await sign_in_by_password(access, body.text("id"), body.text("password"), visitor))


async def post_password(request: web.Request) -> web.Response:
    """An own password at the first sign-in."""
    access, cookie = request.app[ACCESS], _cookie(request)
    body = await read_body(request)
    return _step_response(request, await change_password(access, cookie, body.text("password")))


async def post_totp(request: web.Request) -> web.Response:
    """The authenticator app's code."""
    access, cookie = request.app[ACCESS], _cookie(request)
    body = await read_body(request)
    step = await give_staff_totp(access, cookie, body.text("code"), access.visitor(request))
    return _step_response(request, step)


async def post_passkey_options(request: web.Request) -> web.Response:
    """What the browser asks the authenticator."""
    cookie = _cookie(request)
    await read_body(request)
    return web.json_response(await staff_passkey_options(request.app[ACCESS], cookie))


async def post_passkey(request: web.Request) -> web.Response:
    """The authenticator's answer."""
    access, cookie = request.app[ACCESS], _cookie(request)
    answer = (await read_body(request)).document("credential")
    return _step_response(request, await give_staff_passkey(access, cookie, answer, access.visitor(request)))


async def delete_session(request: web.Request) -> web.Response:
    """Sign out."""
    access, cookie = request.app[ACCESS], _cookie(request)
    try:
        url = await sign_out_url(access, cookie)
    except ProviderError:
        url = "/staff"  # the session here ends all the same
    await sign_out(access, cookie)
    response = web.json_response({"url": url})
    access.cookies.take(response, SessionKind.STAFF, "")
    return response


async def post_single_sign_on(request: web.Request) -> web.Response:
    """Begin a sign-in at the identity provider."""
    access = request.app[ACCESS]
    await read_body(request)
    begun = await begin_sign_in(access, access.visitor(request))
    response = web.json_response({"url": begun.url})
    access.cookies.give_sign_in(response, begun.cookie)
    return response


async def get_callback(request: web.Request) -> web.Response:
    """The identity provider sends the browser back."""
    access = request.app[ACCESS]
    answer = Answer(*(request.query.get(name, "") for name in ("state", "code", "iss")))
    cookie = request.cookies.get(access.cookies.sign_in_name)
    token = await finish_sign_in(access, cookie, answer, access.visitor(request))
    response = web.Response(status=303, headers={"Location": "/desk"})
    access.cookies.give(response, SessionKind.STAFF, "", token)
    response.del_cookie(
        access.cookies.sign_in_name, path="/", httponly=True, secure=access.cookies.https, samesite="Lax"
    )
    return response


async def post_account(request: web.Request) -> web.Response:
    """Make an account; its first password is to be seen this once."""
    require_staff(request, StaffRole.ADMIN)
    access, body = request.app[ACCESS], await read_body(request)
    member = (body.text("id"), body.text("name"), parse_staff_roles(body.texts("roles")))
    password = await create_staff(access.database, access.passwords, member, access.clock())
    return web.json_response({"id": member[0].strip().lower(), "password": password}, status=201)


async def post_reset(request: web.Request) -> web.Response:
    """A new first password for who lost password or app."""
    require_staff(request, StaffRole.ADMIN)
    access, staff_id = request.app[ACCESS], request.match_info["staff_id"]
    password = await reset_staff(access.database, access.passwords, staff_id, access.clock())
    access.forget()
    return web.json_response({"id": staff_id, "password": password})


async def delete_account(request: web.Request) -> web.Response:
    """Close an account."""
    require_staff(request, StaffRole.ADMIN)
    access = request.app[ACCESS]
    await end_staff(access.database, request.match_info["staff_id"], access.clock())
    access.forget()
    return web.Response(status=204)


async def post_request(request: web.Request) -> web.Response:
    """A request entered at the desk."""
    principal = require_staff(request, *DESK)
    body = await read_body(request)
    made = await take_request(request.app[ACCESS], _new_request(body, principal.label), _sending(body))
    return _made_response(request, made, body.text("language", "en"))


async def post_confirm(request: web.Request) -> web.Response:
    """The desk stands behind a request from a patient's telephone."""
    principal, body = require_staff(request, *DESK), await read_body(request)
    request_id = parse_request_id(request.match_info["request_id"])
    numbers = (body.text("patient_id", ""), body.text("accession_number", ""))
    made = await confirm_request(request.app[ACCESS], request_id, numbers, _sending(body), principal.label)
    return _made_response(request, made, body.text("language", "en"))


async def post_attach(request: web.Request) -> web.Response:
    """Say which studies are meant."""
    principal, body = require_staff(request, *DESK), await read_body(request)
    request_id = parse_request_id(request.match_info["request_id"])
    await attach_studies(request.app[ACCESS], request_id, body.texts("study_uids"), principal.label)
    return web.Response(status=204)


async def post_renew(request: web.Request) -> web.Response:
    """Send the link again, as a new one."""
    principal, body = require_staff(request, *DESK), await read_body(request)
    request_id = parse_request_id(request.match_info["request_id"])
    contacts = (body.text("email", ""), body.text("mobile", "")) if body.flag("change_contacts") else None
    made = await renew_link(request.app[ACCESS], (request_id, principal.label), contacts, _sending(body))
    return _made_response(request, made, body.text("language", "en"))


async def post_withdraw(request: web.Request) -> web.Response:
    """The patient took the consent back."""
    principal = require_staff(request, *DESK)
    request_id = parse_request_id(request.match_info["request_id"])
    await withdraw_consent(request.app[ACCESS], request_id, principal.label)
    return web.Response(status=204)


async def post_patients_request(request: web.Request) -> web.Response:
    """The form on a patient's own telephone; the answer is the same whoever sends it."""
    access, body = request.app[ACCESS], await read_body(request)
    await access.forms.count(access.visitor(request).network, access.clock())
    await take_patients_request(access, _new_request(body, "patient"))
    return web.json_response({"taken": True}, status=201)


def _new_request(body: Body, by: str) -> NewRequest:
    return NewRequest(
        wants_images=body.text("wants") == "yes",
        name=body.text("name", ""),
        email=body.text("email", ""),
        mobile=body.text("mobile", ""),
        language=body.text("language", "en")[:8],
        helper=body.text("helper", ""),
        patient_id=body.text("patient_id", ""),
        accession_number=body.text("accession_number", ""),
        consented=body.flag("consented"),
        by=by,
    )


def _sending(body: Body) -> Sending:
    ways = body.texts("channels")
    if not set(ways) <= {"email", "sms", "paper"}:
        raise BadRequestError("channels are email, sms, paper.", parameter="channels")
    return Sending(frozenset(Channel(way) for way in ways if way != "paper"), "paper" in ways)


def _made_response(request: web.Request, made: Made, language: str) -> web.Response:
    """What the desk hands over now or never; the link itself only for paper."""
    access = request.app[ACCESS]
    told: dict[str, Any] = {"request_id": made.request_id, "passphrase": made.passphrase}
    if made.link is not None:
        wording = access.wording(language)
        handout = Handout(
            wording.language,
            access.settings.site_name,
            access.public_base,
            made.link.url(access.public_base),
            made.link.typed(),
            wording.language.until(access.clock() + LIFE_MS),
            access.settings.help_phone,
            made.passphrase,
        )
        told["handout"] = {
            "qr": qr_svg(handout.url),
            "typed": handout.typed,
            "until": handout.until,
            "language": wording.language.code,
            "texts": handout.texts,
            "pdf": base64.b64encode(handout_pdf(handout)).decode(),
        }
    return web.json_response(told, status=201)


def _cookie(request: web.Request) -> str:
    cookie = request.cookies.get(request.app[ACCESS].cookies.name(SessionKind.STAFF))
    if cookie is None:
        raise UnauthorizedError("Sign in first.")
    return cookie


def _step_response(request: web.Request, step: StaffStep) -> web.Response:
    told = {"next": step.next, **step.data}
    if "uri" in step.data:
        told["qr"] = qr_svg(step.data["uri"])
    response = web.json_response(told)
    request.app[ACCESS].cookies.give(response, SessionKind.STAFF, "", step.cookie)
    return response
