"""The full viewer's files at `/ohif/`, and its page at a share's `/s/{share_id}/viewer` and at staff's `/viewer`.

All of it is the same for everyone and holds no patient data, so it needs no identity: what a visitor may see is
decided by the DICOMweb root that the page then asks. aiohttp's file response reads in threads and picks the sidecar.
"""

import asyncio
from importlib import resources
from pathlib import Path, PurePosixPath

from aiohttp import hdrs, web

from archive.errors import NotFoundError
from archive.viewer.manifest import MANIFEST_NAME, read_manifest
from archive.viewer.rewrite import is_hashed_name

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-eval'",  # OHIF 3.13.2's codecs call `new Function` in their workers
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self'",
        "object-src 'self' blob:",  # PDF reports are shown by an <object>; those held in the metadata come as a blob
        "frame-src 'self' blob:",  # Chromium shows a PDF in a frame of its own
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_PLAIN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_EACH_TIME = "no-cache"

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/manifest+json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webapp": "application/manifest+json",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
_NOT_INSTALLED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The full viewer is not installed</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1rem}
code{background:#8883;padding:.1em .3em}</style>
<h1>The full viewer is not installed</h1>
<p>Your images are safe; only the program that shows them in full is missing on this server.
Please tell the people who run it.</p>
<p>Administrator: run <code>lightbox viewer install --data DIR</code> with the data folder of this server.
It needs Node.js and npm once, and no restart.</p>
</html>
"""


def routes(folder: Path) -> list[web.RouteDef]:
    """Routes over the folder that `repack.install` fills; it may be filled while the server runs."""
    viewer = _Viewer(folder)
    return [
        web.get("/ohif/app-config.js", viewer.send_configuration),
        web.get("/ohif/{path:.+}", viewer.send_file),
        web.get("/s/{share_id}/viewer", viewer.send_page),
        web.get("/s/{share_id}/viewer/{path:.*}", viewer.send_page),
        web.get("/viewer", viewer.send_page),
        web.get("/viewer/{path:.*}", viewer.send_page),
    ]


class _Viewer:
    """The installed folder; what is sent is what its manifest lists, so no path can lead out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: tuple[int, frozenset[str]] | None = None  # the manifest's time and its paths

    async def send_file(self, request: web.Request) -> web.StreamResponse:
        """Send one file of the build; anything not listed is 404, never the page."""
        path = PurePosixPath(request.match_info["path"])
        known = await asyncio.to_thread(self._paths)
        if known is None or str(path) not in known or path.suffix not in _CONTENT_TYPES or path.suffix == ".html":
            raise NotFoundError  # the page itself is sent with its policy at its own addresses only
        caching = _FOR_EVER if is_hashed_name(path.name) else _ASK_EACH_TIME
        return self._file_response(path, caching)

    async def send_page(self, request: web.Request) -> web.StreamResponse:
        """Send OHIF's page, the same at every root; it is not stored, as its address names a share."""
        if await asyncio.to_thread(self._paths) is None:
            headers = _SAFE | {"Content-Security-Policy": _PLAIN_POLICY, hdrs.CACHE_CONTROL: "no-store"}
            return web.Response(status=503, text=_NOT_INSTALLED, content_type="text/html", headers=headers)
        response = self._file_response(PurePosixPath("index.html"), "no-store")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    async def send_configuration(self, request: web.Request) -> web.StreamResponse:
        """Send our configuration of OHIF; it belongs to this program, not to the installed build."""
        text = await asyncio.to_thread(_configuration)
        response = web.Response(
            text=text,
            content_type="text/javascript",
            charset="utf-8",
            headers=_SAFE | {hdrs.CACHE_CONTROL: _ASK_EACH_TIME},
        )
        response.enable_compression()
        return response

    def _paths(self) -> frozenset[str] | None:
        """The installed files, None when there is no install; read again only when the manifest changed."""
        try:
            changed_ns = (self._folder / MANIFEST_NAME).stat().st_mtime_ns
        except OSError:
            return None
        if self._read is None or self._read[0] != changed_ns:
            manifest = read_manifest(self._folder)
            if manifest is None:
                return None
            self._read = (changed_ns, frozenset(manifest.files))
        return self._read[1]

    def _file_response(self, path: PurePosixPath, caching: str) -> web.FileResponse:
        headers = _SAFE | {hdrs.CACHE_CONTROL: caching, hdrs.CONTENT_TYPE: _CONTENT_TYPES[path.suffix]}
        return web.FileResponse(self._folder / path, headers=headers)


def _configuration() -> str:
    return (resources.files("archive.viewer") / "app-config.js").read_text("utf-8")
