"""Where discs are imported: the desk's page, and the one of a patient whose link allows it."""

from typing import Any

from aiohttp import web

from archive.languages import Language
from archive.pages.desk import DESK
from archive.pages.rendering import PAGES
from auth.access import ACCESS, principal_of
from auth.permits import may_import
from auth.principals import Kind

SCRIPT_TEXTS = (
    "looking", "sending", "failed", "nothing", "other_files", "signed_out", "study", "no_name", "id", "born",
    "column_study", "column_series", "column_images", "report_only", "skipped", "refused", "missing", "local",
    "local_nobody", "sum_images", "sum_reports", "sum_others", "sum_new", "sum_waiting", "sum_left_out",
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    return [web.get("/desk/import", get_desk_import), web.get("/o/{request_id}/import", get_owner_import)]


async def get_desk_import(request: web.Request) -> web.StreamResponse:
    """The desk's page."""
    principal = principal_of(request)
    if principal.kind is not Kind.STAFF or not principal.roles & frozenset(DESK):
        raise web.HTTPSeeOther("/staff")
    return _page(request, "/api/desk/imports", "/desk", at_desk=True)


async def get_owner_import(request: web.Request) -> web.StreamResponse:
    """A patient's page; where the link does not allow it, the way back."""
    principal, access = principal_of(request), request.app[ACCESS]
    if principal.kind is not Kind.OWNER:
        raise web.HTTPSeeOther(f"/o/{request.match_info['request_id']}")
    home = f"/o/{principal.subject}/home"
    if not await access.database.keyed(may_import, principal.subject):
        raise web.HTTPSeeOther(home)
    return _page(request, f"/api/o/{principal.subject}/imports", home, at_desk=False)


def _page(request: web.Request, api: str, home: str, *, at_desk: bool) -> web.StreamResponse:
    pages = request.app[PAGES]
    language = pages.language(request)
    context: dict[str, Any] = {"api": api, "home": home, "at_desk": at_desk}
    context["texts"] = {**pages.problems(request), **script_texts(language)}
    return pages.respond(request, "import.html", context)


def script_texts(language: Language) -> dict[str, str]:
    """What the page's script says: its own texts, why a file was refused, what is missing in a study."""
    texts = {name: language.text(f"import.{name}") for name in SCRIPT_TEXTS}
    texts["too-many-requests"] = language.text("import.too_many")
    for key, text in language.texts.items():
        if key.startswith("import.reason_"):
            texts[key.removeprefix("import.")] = text
        if key.startswith("lack."):
            texts[key.replace(".", "_")] = text
    return texts
