"""What a patient sees: the owner's link, the page behind it, and the form on the own telephone."""

import functools
import json
from typing import Any

from aiohttp import web

from archive.index.reader import find_study_overview
from archive.pages.reading import write_reading_down
from archive.pages.recipient import read_lacks, study_look
from archive.pages.rendering import PAGES
from archive.scope import Scope
from auth.access import ACCESS, Access, principal_of
from auth.matching import Completeness, completeness
from auth.owner_passkeys import account_of
from auth.passkeys import list_passkeys
from auth.permits import may_import
from auth.principals import Kind
from auth.requests import Request
from auth.sharing import SharedWith, list_asking, list_shared, require_request
from auth.trail import read_trail


def routes() -> list[web.RouteDef]:
    return [
        web.get("/o/{request_id}", get_link),
        web.get("/o/{request_id}/", get_link),
        web.get("/o/{request_id}/home", get_home),
        web.get("/request", get_form),
    ]


async def get_link(request: web.Request) -> web.Response:
    """The page that an owner link opens: nothing on it depends on the link."""
    return request.app[PAGES].respond(request, "link.html", {"kind": "o"})


async def get_form(request: web.Request) -> web.Response:
    """The form that a patient fills in while waiting."""
    return request.app[PAGES].respond(request, "form.html", {"at_desk": False})


async def get_home(request: web.Request) -> web.StreamResponse:
    """Everything that an owner does, on one page."""
    principal, access, pages = principal_of(request), request.app[ACCESS], request.app[PAGES]
    if principal.kind is not Kind.OWNER:
        raise web.HTTPSeeOther(f"/o/{request.match_info['request_id']}")
    request_id = principal.subject
    owned = await access.database.keyed(require_request, access, request_id)
    arrived = await access.database.read(completeness, request_id)
    shared = await access.database.read(list_shared, access, request_id, access.clock())
    language = pages.language(request)
    work = functools.partial(find_study_overview, Scope(frozenset(owned.study_uids)))
    overviews = [await access.database.read(work, study_uid) for study_uid in owned.study_uids]
    await write_reading_down(request, [one.study_uid for one in overviews if one is not None])
    context: dict[str, Any] = {
        "owned": owned,
        "api": f"/api/o/{request_id}",
        "state": state_of(access, owned, arrived),
        "studies": [study_look(one, "", language) for one in overviews if one is not None],
        "lacks": await read_lacks(access, owned.study_uids),
        "ticks": json.loads(owned.check_result),
        "can_send": bool(access.outbox.channels.available),
        "public_base": access.public_base,
        "shared": shared,
        "passkeys": await access.database.read(list_passkeys, account_of(request_id)),
        "asking": await access.database.read(list_asking, access, request_id),
        "may_import": await access.database.keyed(may_import, request_id),
        "trail": await access.database.read(read_trail, request_id),
        "names": names_of(shared),
        "series_titles": {
            series.series_uid: series.description or series.modality
            for one in overviews
            if one is not None
            for series in one.series
        },
    }
    return pages.respond(request, "owner.html", context)


def state_of(access: Access, owned: Request, arrived: Completeness) -> str:
    """waiting, arriving, report_only, paused, ready: what the page says of the images."""
    now_ms = access.clock()
    if arrived.image_count == 0:
        if owned.held:
            return "paused"
        if arrived.report_count and now_ms - arrived.quiet_since_ms >= access.settings.quiet_ms:
            return "report_only"
        return "waiting"
    return "ready" if arrived.is_ready(now_ms, access.settings.quiet_ms) else "arriving"


def names_of(shared: list[SharedWith]) -> dict[str, str]:
    """Share id → what the owner knows it by."""
    return {one.share.share_id: one.name or one.share.share_id for one in shared}
