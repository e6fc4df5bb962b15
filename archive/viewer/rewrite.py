"""What of OHIF's build is kept, and its absolute paths moved below `/ohif/`. Pure: text to text.

The build on npm expects to live at `/`. Each rule names the text it was written for, and a rule that finds nothing
raises: a new release is then looked at by a person instead of failing in a browser.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from archive.viewer.release import ViewerInstallError

BASE = "/ohif/"

_DROPPED_FOLDERS = frozenset({"ort", "customizations"})  # AI segmentation's runtime; URL-loaded customizations are off
_DROPPED_NAMES = frozenset(
    {
        "_headers",
        "_redirects",
        "app-config.js",  # OHIF's default points at a public demo server; ours is app-config.js beside this module
        "es6-shim.min.js",
        "google.js",
        "init-service-worker.js",
        "oidc-client.min.js",
        "polyfill.min.js",
        "serve.json",
        "silent-refresh.html",
        "sw.js",
    }
)
_REWRITTEN_SUFFIXES = frozenset({".js", ".css", ".html", ".json", ".xml", ".webapp"})
_COMPRESSED_SUFFIXES = _REWRITTEN_SUFFIXES | {".svg", ".wasm", ".txt", ".ico"}
_MICROSCOPY = "dicom-microscopy-viewer/dicomMicroscopyViewer.min.js"

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_SERVICE_WORKER_SCRIPT = re.compile(r'<script[^>]*src="/init-service-worker\.js"[^>]*></script>')
_ABSOLUTE_ATTRIBUTE = re.compile(r'\b(href|src|content)="/(?!/)')
_ABSOLUTE_CSS_URL = re.compile(r"url\((['\"]?)/(?!/)")
_ABSOLUTE_JSON_PATH = re.compile(r'"/assets/')
_PUBLIC_PATH = '__webpack_require__.p = "/"'
_HASHED_NAME = re.compile(r"(^|\.)[0-9a-f]{16}\.[a-z0-9]+$")


@dataclass(frozen=True, slots=True)
class Page:
    """index.html without inline scripts, and those scripts as files: name → text."""

    html: str
    scripts: dict[str, str]


def is_wanted(path: PurePosixPath) -> bool:
    """Whether a file of the build is served; what is not was never asked for by anything tried."""
    return path.suffix != ".map" and path.parts[0] not in _DROPPED_FOLDERS and path.name not in _DROPPED_NAMES


def is_rewritten(path: PurePosixPath) -> bool:
    return path.suffix in _REWRITTEN_SUFFIXES


def is_compressed(path: PurePosixPath) -> bool:
    """Whether compressing pays: PNG and WOFF2 are compressed already."""
    return path.suffix in _COMPRESSED_SUFFIXES


def is_hashed_name(name: str) -> bool:
    """Whether the name carries 16 hexadecimal digits of its content, so that it may be cached for ever."""
    return _HASHED_NAME.search(name) is not None


def rewrite_page(html: str) -> Page:
    """Move index.html's paths below `BASE` and its inline scripts into files, as the viewer's CSP needs."""
    html, removed = _SERVICE_WORKER_SCRIPT.subn("", html)
    html = html.replace('window.PUBLIC_URL="/"', f'window.PUBLIC_URL="{BASE}"')
    html, moved = _ABSOLUTE_ATTRIBUTE.subn(rf'\1="{BASE}', html)
    scripts: dict[str, str] = {}

    def move(match: re.Match[str]) -> str:
        text = match[1]
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        name = f"inline.{digest}.js"
        scripts[name] = text + "\n"
        return f'<script src="{BASE}{name}"></script>'

    html = _INLINE_SCRIPT.sub(move, html)
    if not removed or not moved or not any(f'PUBLIC_URL="{BASE}"' in text for text in scripts.values()):
        raise ViewerInstallError("index.html of this OHIF release is not laid out as the packing rules expect.")
    return Page(html, scripts)


def rewrite_text(path: PurePosixPath, text: str) -> str:
    """Move the absolute paths of one other file below `BASE`."""
    if path.suffix == ".js":
        text = text.replace(_PUBLIC_PATH, f'__webpack_require__.p = "{BASE}"')
        text = text.replace(f"'/{_MICROSCOPY}'", f"'{BASE}{_MICROSCOPY}'")
        return text.replace('"./ohif-logo.svg"', f'"{BASE}ohif-logo.svg"')
    if path.suffix == ".css":
        return _ABSOLUTE_CSS_URL.sub(rf"url(\1{BASE}", text)
    return _ABSOLUTE_JSON_PATH.sub(f'"{BASE}assets/', text)


def check_bundle(text: str) -> None:
    """Raise unless the rewritten main bundle has both paths that only it holds."""
    if f'__webpack_require__.p = "{BASE}"' not in text or f"'{BASE}{_MICROSCOPY}'" not in text:
        raise ViewerInstallError("The main script of this OHIF release is not laid out as the packing rules expect.")
