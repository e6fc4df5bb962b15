"""What administrators and auditors see: accounts, channels, the audit trail and its export."""

from typing import Any

from aiohttp import web

from archive.audit import PAGE_ROWS, Action, Event, count_events, find_break, json_line, page_after
from archive.pages.rendering import PAGES
from auth.access import ACCESS, principal_of, require_staff
from auth.audit_export import CLOSING, OPENING, audit_message
from auth.principals import Kind
from auth.staff import StaffRole, list_staff


def routes() -> list[web.RouteDef]:
    return [
        web.get("/admin", get_admin),
        web.get("/audit/events.jsonl", get_json_lines),
        web.get("/audit/events.xml", get_audit_messages),
    ]


async def get_admin(request: web.Request) -> web.StreamResponse:
    """Accounts and channels for administrators, the state of the trail for auditors."""
    if principal_of(request).kind is not Kind.STAFF:
        raise web.HTTPSeeOther("/staff")
    principal, access = require_staff(request, *StaffRole), request.app[ACCESS]
    is_admin = StaffRole.ADMIN in principal.roles
    is_auditor = StaffRole.AUDITOR in principal.roles
    context: dict[str, Any] = {
        "is_admin": is_admin,
        "is_auditor": is_auditor,
        "members": await list_staff(access.database) if is_admin else [],
        "channels": access.outbox.channels.available,
        "broken": await access.database.read(find_break) if is_auditor else None,
        "event_count": await access.database.read(count_events) if is_auditor else 0,
    }
    return request.app[PAGES].respond(request, "admin.html", context)


async def get_json_lines(request: web.Request) -> web.StreamResponse:
    """The trail, one JSON object a line, with the chain's hashes."""
    return await _export(request, ("application/jsonl", "audit.jsonl"), ("", "\n", ""), json_line)


async def get_audit_messages(request: web.Request) -> web.StreamResponse:
    """The trail as audit messages of PS3.15 A.5."""
    return await _export(request, ("application/xml", "audit.xml"), (OPENING, "\n", CLOSING), audit_message)


async def _export(
    request: web.Request, kind: tuple[str, str], frame: tuple[str, str, str], form: Any
) -> web.StreamResponse:
    principal, access = require_staff(request, StaffRole.AUDITOR), request.app[ACCESS]
    await access.audit.flush()
    await access.audit.record(Event(Action.AUDIT_READ, "staff", principal.label, detail={"as": kind[1]}))
    headers = {"Content-Type": kind[0], "Content-Disposition": f'attachment; filename="{kind[1]}"'}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(frame[0].encode())
    after_id = 0
    while rows := await access.database.read(page_after, after_id):
        await response.write("".join(form(row) + frame[1] for row in rows).encode())
        after_id = rows[-1]["id"]
        if len(rows) < PAGE_ROWS:
            break
    await response.write(frame[2].encode())
    await response.write_eof()
    return response
