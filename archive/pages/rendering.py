"""A template and its texts → a page with the headers that every page has; the files that pages load."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import jinja2
from aiohttp import web

from archive.errors import NotFoundError
from archive.languages import Language, choose_language, load_languages

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": CSP,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    data: bytes
    media_type: str
    digest: str


class Pages:
    """Templates, languages and static files, read once."""

    def __init__(self, site_name: str = "Lightbox", help_phone: str = "") -> None:
        self.site_name, self.help_phone = site_name, help_phone
        self.languages = load_languages()
        self.files = _static_files()
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("archive.pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def language(self, request: web.Request) -> Language:
        return choose_language(
            self.languages, request.query.get("lang", ""), request.headers.get("Accept-Language", "")
        )

    def respond(
        self, request: web.Request, template: str, context: Mapping[str, object], *, status: int = 200
    ) -> web.Response:
        """The page in the visitor's language. `context` is escaped where it is written."""
        language = self.language(request)
        text = self._templates.get_template(template).render(
            t=language.text,
            language=language,
            languages=list(self.languages.values()),
            asked_language=request.query.get("lang", "") if request.query.get("lang", "") in self.languages else "",
            static=self.static_url,
            problems=self.problems(request),
            query=f"?lang={language.code}" if request.query.get("lang") == language.code else "",
            site_name=self.site_name,
            help_phone=self.help_phone,
            **context,
        )
        headers = {**PAGE_HEADERS, "Vary": "Accept-Language", "Content-Language": language.code}
        return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=headers)

    def problems(self, request: web.Request) -> dict[str, str]:
        """What scripts say instead of the API's English, by the API's codes and parameters."""
        texts = self.language(request).texts
        own = {key.removeprefix("problem."): text for key, text in texts.items() if key.startswith("problem.")}
        return {**own, "failed": texts["link.failed"], "other": texts["error.input"]}

    def static_url(self, name: str) -> str:
        """The address of a static file; it changes with the file's bytes, so it may be kept for ever."""
        return f"/static/{self.files[name].digest[:16]}/{name}"


PAGES: web.AppKey[Pages] = web.AppKey("PAGES", Pages)


async def get_static(request: web.Request) -> web.Response:
    """A file that pages load. An old address still gives today's bytes, but only today's may be kept."""
    file = request.app[PAGES].files.get(request.match_info["name"])
    if file is None:
        raise NotFoundError
    current = file.digest.startswith(request.match_info["digest"])
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if current else "no-cache",
        "ETag": f'"{file.digest[:32]}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return web.Response(body=file.data, content_type=file.media_type, charset="utf-8", headers=headers)


async def get_robots(request: web.Request) -> web.Response:
    """Robots are told the prefixes, never a link."""
    return web.Response(text="User-agent: *\nDisallow: /\n", headers={"Cache-Control": "max-age=86400"})


def _static_files() -> dict[str, StaticFile]:
    found = {}
    for entry in (resources.files("archive.pages") / "static").iterdir():
        media_type = MEDIA_TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            data = entry.read_bytes()
            found[entry.name] = StaticFile(data, media_type, hashlib.sha256(data).hexdigest())
    return found
