"""An error as a page, where a person's browser asked for one."""

from aiohttp import web

from archive.dicomweb.problems import REQUEST_ID, Problem
from archive.pages.rendering import PAGES

_MACHINE_PATHS = ("/api/", "/dicom-web", "/t/", "/health", "/wado")
_TOLD_BY_STATUS = (401, 403, 404)
_TOLD_BY_CODE = {"wrong-sso": "error.sso", "provider-unavailable": "error.provider"}


def present_problem(request: web.Request, problem: Problem) -> web.Response | None:
    """The page for a problem; None where a program asked and wants the JSON body."""
    path = request.path
    if path.startswith(_MACHINE_PATHS) or "/dicom-web" in path or "text/html" not in request.headers.get("Accept", ""):
        return None
    by_status = f"error.{problem.status}" if problem.status in _TOLD_BY_STATUS else "error.other"
    key = _TOLD_BY_CODE.get(problem.code, by_status)
    context = {"key": key, "request_id": request.get(REQUEST_ID, "")}
    response = request.app[PAGES].respond(request, "problem.html", context, status=problem.status)
    response.headers.update(problem.headers)
    return response
