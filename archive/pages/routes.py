"""All URLs of the pages."""

from aiohttp import web

from archive.pages import admin, desk, importing, patient, recipient, status
from archive.pages.rendering import get_robots, get_static


def routes() -> list[web.RouteDef]:
    return [
        web.get("/static/{digest:[0-9a-f]{16}}/{name:[a-z-]+\\.[a-z]+}", get_static),
        web.get("/robots.txt", get_robots),
        *recipient.routes(),
        *patient.routes(),
        *desk.routes(),
        *importing.routes(),
        *admin.routes(),
        *status.routes(),
    ]
