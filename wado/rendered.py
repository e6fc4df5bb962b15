"""Rendered resources (PS3.18 §10.4.1.1.4): not there yet, and saying so."""

from aiohttp import web

from archive.errors import UnsupportedServiceError
from auth.access import scope_of


async def refuse_rendered(request: web.Request) -> web.StreamResponse:
    scope_of(request)
    raise UnsupportedServiceError("Pictures are not rendered yet.")


retrieve_rendered_frames = retrieve_rendered_instance = retrieve_rendered_series = refuse_rendered
retrieve_rendered_study = retrieve_thumbnail = refuse_rendered
