"""What an administrator sees of the server: health, holdings, waiting work, versions."""

import platform
from typing import Any

import aiohttp
from aiohttp import web

from archive.jobs.reports import find_jobs
from archive.languages import Language
from archive.operations.door import DOOR
from archive.operations.figures import Figures
from archive.operations.health import READINESS
from archive.operations.routes import OPERATIONS
from archive.pages.rendering import PAGES
from auth.access import ACCESS, principal_of, require_staff
from auth.principals import Kind
from auth.staff import StaffRole

DAY_S = 86_400
SHOWN_JOBS = 10
_UNITS = ("kB", "MB", "GB", "TB", "PB")


def routes() -> list[web.RouteDef]:
    return [web.get("/admin/status", get_status)]


async def get_status(request: web.Request) -> web.StreamResponse:
    """The state of the server, for administrators."""
    if principal_of(request).kind is not Kind.STAFF:
        raise web.HTTPSeeOther("/staff")
    require_staff(request, StaffRole.ADMIN)
    operations = request.app[OPERATIONS]
    figures = await operations.reader.read()
    context: dict[str, Any] = {
        "parts": (await request.app[READINESS].look()).parts,
        "figures": figures,
        "verified": verified(request.app[PAGES].language(request), figures),
        "damaged": bool(figures.verify_damaged),
        "size": size,
        "jobs": await request.app[ACCESS].database.read(find_jobs, SHOWN_JOBS),
        "queued": operations.queued(),
        "connections": request.app[DOOR].open_connections,
        "versions": {
            "Lightbox": operations.version,
            "Python": platform.python_version(),
            "aiohttp": aiohttp.__version__,
        },
    }
    return request.app[PAGES].respond(request, "status.html", context)


def verified(language: Language, figures: Figures) -> str:
    """When all files were last looked at, and what came of it."""
    if figures.verify_age_s is None:
        return language.text("status.verify_never")
    days = int(figures.verify_age_s // DAY_S)
    time = language.text("status.days", count=days) if days else language.text("status.today")
    return language.text("status.verify_ago", time=time, count=figures.verify_damaged)


def size(length_bytes: float) -> str:
    """A number of bytes as people write it: three digits and a unit of a thousand."""
    unit = "B"
    for larger in _UNITS:
        if length_bytes < 999.5:
            break
        length_bytes, unit = length_bytes / 1000, larger
    return f"{length_bytes:.3g} {unit}" if unit != "B" else f"{length_bytes:.0f} B"
