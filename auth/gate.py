"""What is done right before an answer's first byte: the last checks, the audit trail, the headers.

An answer that is streamed passes here from aiohttp's `on_response_prepare`, any other from the middleware, so that an
error raised here (no download, the trail cannot be written) still becomes a status.
"""

import re

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.typedefs import Handler

from archive.audit import Action, Event, Outcome
from archive.errors import ForbiddenError, LightboxError
from auth.access import ACCESS, OPEN_ROOTS, Access, access_middleware, first_segment, principal_of, root_of
from auth.principals import Kind, Principal

CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": (
        "Content-Type, Content-Length, Content-Range, ETag, Warning, Retry-After, X-Request-Id"
    ),
    "Cross-Origin-Resource-Policy": "cross-origin",
}
PREFLIGHT_HEADERS = {
    **CORS_HEADERS,
    "Access-Control-Allow-Headers": "Authorization, Accept, Content-Type, Range, If-None-Match",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Max-Age": "600",
}
_OF_FILES = re.compile(r"""type\s*=\s*"?application/(dicom|zip)\s*("|;|$)""")
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
PASSED: web.RequestKey[bool] = web.RequestKey("PASSED", bool)
WRITTEN_DOWN: web.RequestKey[bool] = web.RequestKey("WRITTEN_DOWN", bool)
"""The handler writes its event in the transaction of what it changes; see `store_event`."""


def install(app: web.Application, access: Access) -> None:
    """Make `app` closed by default. Comes after the middleware that turns errors into answers."""
    app[ACCESS] = access
    app.middlewares.extend((access_middleware, gate_middleware))
    app.on_response_prepare.insert(0, before_first_byte)  # before anyone notes that the answer has begun


@web.middleware
async def gate_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights; let an answer that is not streamed pass the gate."""
    if is_open_root(request) and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(status=204, headers=PREFLIGHT_HEADERS)
    response = await handler(request)
    if not response.prepared:
        await pass_gate(request, response)
    return response


async def before_first_byte(request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp's signal: the head of an answer is about to be sent."""
    if response.status < 400:
        try:
            await pass_gate(request, response)
        except LightboxError:
            _undo_preparation(request.writer)
            raise
    add_headers(request, response)


async def pass_gate(request: web.Request, response: web.StreamResponse) -> None:
    """Refuse what the share does not give away, and write the access down.

    Raises
    ------
    ForbiddenError
        The answer is a file, and the share is for looking only.
    """
    if request.get(PASSED, False) or not is_dicomweb(request):
        return
    request[PASSED] = True
    principal = principal_of(request)
    if principal.kind is Kind.NOBODY or request.method == "OPTIONS":
        return
    if is_download(response) and response.status < 400:
        await require_download(request)
    if response.status < 400 and not request.get(WRITTEN_DOWN, False):
        event = _event(request, principal, action_of(request, response), Outcome.SUCCESS)
        await request.app[ACCESS].audit.read(event)


def store_event(request: web.Request) -> Event | None:
    """What the trail is told of this request's store, by whoever stores: the gate then writes nothing of its own.

    None where nobody is known to ask: then there is no access control either.
    """
    principal = principal_of(request)
    if principal.kind is Kind.NOBODY:
        return None
    request[WRITTEN_DOWN] = True
    return _event(request, principal, Action.STORE, Outcome.SUCCESS)


async def require_download(request: web.Request) -> None:
    """Every answer that is a file passes this; who makes one at a cost asks before. Raises ForbiddenError."""
    principal = principal_of(request)
    if not principal.may_download:
        await request.app[ACCESS].audit.read(_event(request, principal, Action.DOWNLOAD, Outcome.REFUSED))
        raise ForbiddenError("This link is for looking at the images; it does not give the files away.")


def is_dicomweb(request: web.Request) -> bool:
    root = root_of(request)
    return request.path == root or request.path.startswith(root + "/") or first_segment(request) == "wado"


def is_open_root(request: web.Request) -> bool:
    """Roots that take no cookie: any site may ask here, as it has to bring a secret of its own."""
    return first_segment(request) in OPEN_ROOTS


def is_download(response: web.StreamResponse) -> bool:
    """Whether the answer gives stored files away, by its media type: the one thing every route has in common."""
    content_type = response.headers.get("Content-Type", "").lower()
    media_type = content_type.partition(";")[0].strip()
    return media_type in ("application/dicom", "application/zip") or (
        media_type == "multipart/related" and _OF_FILES.search(content_type) is not None
    )


def action_of(request: web.Request, response: web.StreamResponse) -> Action:
    """What a DICOMweb request does, from the form of its path (PS3.18 §10.1)."""
    segments = _resource(request)
    if request.method == "POST" and segments[-1:] == ["restore"]:
        return Action.RESTORE
    if request.method == "DELETE" or (request.method == "POST" and segments[-1:] == ["reject"]):
        return Action.DELETE
    if request.method == "POST":
        return Action.STORE
    if is_download(response):
        return Action.DOWNLOAD
    if segments[-1:] == ["metadata"]:
        return Action.METADATA
    if segments and segments[-1] in ("studies", "series", "instances"):
        return Action.SEARCH
    return Action.VIEW


def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer; a handler's own word on caching and embedding stands."""
    headers = response.headers
    headers.update(EVERYWHERE)
    headers.setdefault("Cache-Control", "no-store")
    if request.app[ACCESS].public_base.startswith("https:"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if is_open_root(request):
        headers.update(CORS_HEADERS)
    else:
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if response.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="lightbox"'
        if is_open_root(request) and "Mozilla" not in request.headers.get("User-Agent", ""):
            headers.add("WWW-Authenticate", 'Basic realm="lightbox"')


def _undo_preparation(writer: AbstractStreamWriter) -> None:
    """aiohttp 3.14 keeps the framing of the answer that was refused; the one sent instead would be chunked by it."""
    if isinstance(writer, StreamWriter):
        writer.chunked, writer.length, writer._compress = False, None, None


def _event(request: web.Request, principal: Principal, action: Action, outcome: Outcome) -> Event:
    segments = _resource(request)
    named = dict(zip(segments[::2], segments[1::2], strict=False))
    return Event(
        action,
        str(principal.kind),
        principal.label,
        outcome,
        share_id=principal.share_id,
        study_uid=named.get("studies", "") or request.query.get("studyUID", ""),
        series_uid=named.get("series", "") or request.query.get("seriesUID", ""),
        address=request.app[ACCESS].address_of(request),
    )


def _resource(request: web.Request) -> list[str]:
    """The path below the root: `studies`, a UID, `series`, a UID …"""
    return [segment for segment in request.path.removeprefix(root_of(request)).split("/") if segment]
