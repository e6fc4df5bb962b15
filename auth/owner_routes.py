"""URL table of the owner's API (`/api/o/{request_id}/…`)."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from archive.errors import BadRequestError, NotFoundError, UnauthorizedError
from auth.access import ACCESS, Access, principal_of
from auth.bodies import Body, read_body
from auth.checking import check_link
from auth.desk import withdraw_consent
from auth.owner_passkeys import Given, give_owner_passkey, owner_passkey_options, remove_owner_passkey
from auth.owning import (
    OwnerNext,
    OwnerStep,
    close_owner_session,
    give_owner_code,
    give_passphrase,
    open_owner_link,
    send_owner_code,
)
from auth.people import NewPerson
from auth.principals import Kind
from auth.qr import qr_svg
from auth.requests import Request, parse_request_id
from auth.sessions import SessionKind
from auth.shares import Mode, parse_share_id
from auth.sharing import (
    MadeLink,
    OwnerShare,
    answer_asking,
    end_all_as_owner,
    end_as_owner,
    look_at,
    require_request,
    resume_as_owner,
    share_as_owner,
)

_ROOT = "/api/o/{request_id}"
OWNER_MODES = (Mode.LINK, Mode.PASSWORD, Mode.CODE, Mode.TOTP, Mode.PASSKEY)


def routes() -> list[web.RouteDef]:
    return [
        web.post(f"{_ROOT}/open", post_open),
        web.post(f"{_ROOT}/code/send", post_send_code),
        web.post(f"{_ROOT}/code", post_code),
        web.post(f"{_ROOT}/passphrase", post_passphrase),
        web.post(f"{_ROOT}/passkey/options", post_passkey_options),
        web.post(f"{_ROOT}/passkey", post_passkey),
        web.delete(f"{_ROOT}/passkeys/{{number:[0-9]{{1,15}}}}", delete_passkey),
        web.get(f"{_ROOT}/session", get_session),
        web.delete(f"{_ROOT}/session", delete_session),
        web.post(f"{_ROOT}/check", post_check),
        web.post(f"{_ROOT}/shares", post_share),
        web.delete(f"{_ROOT}/shares", delete_shares),
        web.delete(f"{_ROOT}/shares/{{share_id}}", delete_share),
        web.post(f"{_ROOT}/shares/{{share_id}}/resume", post_resume),
        web.post(f"{_ROOT}/shares/{{share_id}}/look", post_look),
        web.post(f"{_ROOT}/look", post_look),
        web.post(f"{_ROOT}/asking/{{number:[0-9]{{1,15}}}}", post_answer),
        web.post(f"{_ROOT}/withdraw", post_withdraw),
    ]


async def post_open(request: web.Request) -> web.Response:
    """Take the owner link's secret; answer where a code can be sent, masked."""
    access, body = request.app[ACCESS], await read_body(request)
    typed = (request.match_info["request_id"], body.text("secret"))
    return _step_response(request, await open_owner_link(access, *typed, access.visitor(request)))


async def post_send_code(request: web.Request) -> web.Response:
    """Send a code to a contact on file."""
    half_open = _half_open(request)
    body = await read_body(request)
    contact = await send_owner_code(request.app[ACCESS], *half_open, body.text("channel"))
    return web.json_response({"sent_to": contact}, status=202)


async def post_code(request: web.Request) -> web.Response:
    """Take the code."""
    access, half_open = request.app[ACCESS], _half_open(request)
    body = await read_body(request)
    step = await give_owner_code(access, *half_open, body.text("code"), access.visitor(request))
    return _step_response(request, step)


async def post_passphrase(request: web.Request) -> web.Response:
    """Take the words that a patient without mail and telephone was given."""
    access, half_open = request.app[ACCESS], _half_open(request)
    body = await read_body(request)
    step = await give_passphrase(access, *half_open, body.text("passphrase"), access.visitor(request))
    return _step_response(request, step)


async def post_passkey_options(request: web.Request) -> web.Response:
    """What the browser asks the authenticator: to open the page, or, once it is open, to make a passkey."""
    half_open = _half_open(request)
    await read_body(request)
    return web.json_response(await owner_passkey_options(request.app[ACCESS], *half_open))


async def post_passkey(request: web.Request) -> web.Response:
    """The authenticator's answer."""
    access, half_open = request.app[ACCESS], _half_open(request)
    given = Given(*half_open, (await read_body(request)).document("credential"))
    return _step_response(request, await give_owner_passkey(access, given, access.visitor(request)))


async def delete_passkey(request: web.Request) -> web.Response:
    """Take a passkey away."""
    owned = await require_owner(request)
    await remove_owner_passkey(request.app[ACCESS], owned.request_id, int(request.match_info["number"]))
    return web.Response(status=204)


async def get_session(request: web.Request) -> web.Response:
    """Whether this browser has the owner's page open."""
    return web.json_response({"open": principal_of(request).kind is Kind.OWNER})


async def delete_session(request: web.Request) -> web.Response:
    """End this browser's session ("Done")."""
    access = request.app[ACCESS]
    request_id, cookie = _half_open(request)
    await close_owner_session(access, request_id, cookie)
    response = web.Response(status=204)
    access.cookies.take(response, SessionKind.OWNER, request_id)
    return response


async def post_check(request: web.Request) -> web.Response:
    """Check my link."""
    owned = await require_owner(request)
    ticks = await check_link(request.app[ACCESS], owned)
    return web.json_response({"passed": all(tick.passed for tick in ticks), "ticks": [asdict(tick) for tick in ticks]})


async def post_share(request: web.Request) -> web.Response:
    """Share; the links in the answer are to be seen this once."""
    owned, access = await require_owner(request), request.app[ACCESS]
    made = await share_as_owner(access, owned, _wanted(await read_body(request)))
    return web.json_response({"links": [_made_json(access, one) for one in made]}, status=201)


async def delete_share(request: web.Request) -> web.Response:
    """Switch one link off."""
    owned = await require_owner(request)
    await end_as_owner(request.app[ACCESS], owned.request_id, parse_share_id(request.match_info["share_id"]))
    return web.Response(status=204)


async def delete_shares(request: web.Request) -> web.Response:
    """Switch every link off."""
    owned = await require_owner(request)
    return web.json_response({"ended": await end_all_as_owner(request.app[ACCESS], owned.request_id)})


async def post_resume(request: web.Request) -> web.Response:
    """Let tries go on after too many wrong ones."""
    owned = await require_owner(request)
    await resume_as_owner(request.app[ACCESS], owned.request_id, parse_share_id(request.match_info["share_id"]))
    return web.Response(status=204)


async def post_look(request: web.Request) -> web.Response:
    """Open a share as others see it, or the owner's own images."""
    owned, access = await require_owner(request), request.app[ACCESS]
    named = request.match_info.get("share_id")
    share_id, cookie = await look_at(access, owned, parse_share_id(named) if named else None, access.visitor(request))
    response = web.json_response({"url": f"/s/{share_id}/images"})
    access.cookies.give(response, SessionKind.SHARE, share_id, cookie)
    return response


async def post_answer(request: web.Request) -> web.Response:
    """Let somebody in who asks, or not."""
    owned, access = await require_owner(request), request.app[ACCESS]
    grant = (await read_body(request)).flag("grant")
    made = await answer_asking(access, owned, int(request.match_info["number"]), grant=grant)
    return web.json_response({"links": [_made_json(access, made)] if made else []})


async def post_withdraw(request: web.Request) -> web.Response:
    """Take the consent back: everything is switched off."""
    owned, access = await require_owner(request), request.app[ACCESS]
    by = f"owner {owned.request_id}"
    await withdraw_consent(access, owned.request_id, by)
    return web.Response(status=204)


async def require_owner(request: web.Request) -> Request:
    """The request of the owner whose session this is, and whom the path names."""
    principal, access = principal_of(request), request.app[ACCESS]
    if principal.kind is not Kind.OWNER:
        raise UnauthorizedError("Open your link again.")
    if principal.subject != parse_request_id(request.match_info["request_id"]):
        raise NotFoundError
    return await access.database.keyed(require_request, access, principal.subject)


def _wanted(body: Body) -> OwnerShare:
    try:
        mode = Mode(body.text("mode"))
    except ValueError:
        mode = Mode.NAMED
    if mode not in OWNER_MODES:
        raise BadRequestError(f"mode is one of {', '.join(OWNER_MODES)}.", parameter="mode")
    named = body.documents("people")
    return OwnerShare(
        mode,
        label=body.text("label", "").strip(),
        ttl_s=(body.number("days", 30) or 0) * 86_400,
        password=body.text("password", ""),
        people=tuple(NewPerson(one.text("name"), one.text("contact")) for one in named),
        maximum_opens=body.number("maximum_opens"),
        may_download=body.flag("may_download", default=True),
        with_reports=body.flag("with_reports", default=True),
        frozen=body.flag("frozen"),
        without_name=body.flag("without_name"),
        send_to=body.text("send_to", "").strip(),
        send=body.flag("send"),
    )


def _made_json(access: Access, made: MadeLink) -> dict[str, Any]:
    url = made.link.url(access.public_base)
    return {
        "name": made.name,
        "share_id": made.link.share_id,
        "url": url,
        "typed": made.link.typed(),
        "password": made.password,
        "sent_to": made.sent_to,
        "qr": qr_svg(url),
    }


def _half_open(request: web.Request) -> tuple[str, str]:
    request_id = parse_request_id(request.match_info["request_id"])
    cookie = request.cookies.get(request.app[ACCESS].cookies.name(SessionKind.OWNER, request_id))
    if cookie is None:
        raise UnauthorizedError("Open your link first.")
    return request_id, cookie


def _step_response(request: web.Request, step: OwnerStep) -> web.Response:
    told = {"next": step.next, "contacts": step.contacts}
    response = web.json_response(told | ({"instead": step.instead} if step.next is OwnerNext.PASSKEY else {}))
    request.app[ACCESS].cookies.give(response, SessionKind.OWNER, step.request_id, step.cookie)
    return response
