"""Serving the installed viewer: sidecars, caching, types, policy, and what is not there."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import brotli
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient

from archive.dicomweb.problems import setup_problems
from archive.viewer.manifest import MANIFEST_NAME, write_manifest
from archive.viewer.release import OHIF
from archive.viewer.routes import CONTENT_SECURITY_POLICY, routes

FILES = {
    "index.html": b"<!doctype html><title>OHIF</title>",
    "app.bundle.0f6159c501addfe9.js": b"1;",
    "app.bundle.css": b"a{}",
    "5130ccb17e3f3f5b.wasm": b"\0asm",
    "assets/favicon-16x16.png": b"png",
    "a34f9d1faa5f3315.woff2": b"font",
}
Client = TestClient[web.Request, web.Application]


def fill(folder: Path) -> None:
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "app.bundle.0f6159c501addfe9.js.br").write_bytes(brotli.compress(b"1;"))
    (folder / "stray.js").write_text("not in the manifest")
    write_manifest(folder, OHIF, list(FILES), brotli_quality=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "viewer"


@pytest.fixture
async def client(folder: Path, aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Client:
    app = web.Application()
    setup_problems(app)
    app.add_routes(routes(folder))
    return await aiohttp_client(app)


async def get(client: Client, path: str, **headers: str) -> ClientResponse:
    return await client.get(path, headers=headers, allow_redirects=False)


async def test_a_compressed_sidecar_is_sent_to_who_takes_it(client: Client, folder: Path) -> None:
    fill(folder)
    client.session._auto_decompress = False
    answer = await get(client, "/ohif/app.bundle.0f6159c501addfe9.js", **{"Accept-Encoding": "br"})
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "br"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert brotli.decompress(await answer.read()) == b"1;"
    plain = await get(client, "/ohif/app.bundle.0f6159c501addfe9.js", **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert await plain.read() == b"1;"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("app.bundle.css", "text/css; charset=utf-8"),
        ("5130ccb17e3f3f5b.wasm", "application/wasm"),
        ("assets/favicon-16x16.png", "image/png"),
        ("a34f9d1faa5f3315.woff2", "font/woff2"),
    ],
)
async def test_a_file_has_its_type_and_may_not_be_taken_for_another(
    client: Client, folder: Path, path: str, content_type: str
) -> None:
    fill(folder)
    answer = await get(client, f"/ohif/{path}")
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_hashed_names_are_kept_for_ever_and_others_are_asked_for_again(client: Client, folder: Path) -> None:
    fill(folder)
    hashed = await get(client, "/ohif/app.bundle.0f6159c501addfe9.js")
    assert hashed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    plain = await get(client, "/ohif/app.bundle.css")
    assert plain.headers["Cache-Control"] == "no-cache"
    again = await get(client, "/ohif/app.bundle.css", **{"If-None-Match": plain.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "missing.js",
        "missing.css",
        "missing.wasm",
        "missing",
        "stray.js",
        "assets",
        "assets/",
        "index.html",
        MANIFEST_NAME,
        "app.bundle.0f6159c501addfe9.js.br",
        "%2e%2e/secret.js",
        "..%2fsecret.js",
        "%2fetc%2fpasswd",
        "assets/..%2f..%2fsecret.js",
    ],
)
async def test_what_is_not_part_of_the_build_is_not_found(client: Client, folder: Path, path: str) -> None:
    fill(folder)
    (folder.parent / "secret.js").write_text("secret")
    answer = await get(client, f"/ohif/{path}")
    assert answer.status == 404
    assert "secret" not in await answer.text()


@pytest.mark.parametrize(
    "path", ["/s/7K2M9Q4X8B/viewer", "/s/7K2M9Q4X8B/viewer/any/thing", "/viewer", "/viewer/viewer"]
)
async def test_the_page_is_sent_with_its_policy_at_every_root(client: Client, folder: Path, path: str) -> None:
    fill(folder)
    answer = await get(client, f"{path}?StudyInstanceUIDs=1.2.3")
    assert answer.status == 200
    assert await answer.read() == FILES["index.html"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_policy_lets_nobody_else_run_frame_or_be_reached() -> None:
    policy = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert policy["script-src"] == "'self' 'unsafe-eval'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "http" not in CONTENT_SECURITY_POLICY


async def test_the_configuration_is_ours_and_asked_for_each_time(client: Client, folder: Path) -> None:
    answer = await get(client, "/ohif/app-config.js")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    text = await answer.text()
    assert "http://" not in text
    assert "https://" not in text


async def test_without_an_install_the_page_says_what_the_administrator_runs(client: Client) -> None:
    answer = await get(client, "/s/7K2M9Q4X8B/viewer")
    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "lightbox viewer install" in await answer.text()
    assert (await get(client, "/ohif/app.bundle.css")).status == 404


async def test_an_install_is_seen_without_a_restart(client: Client, folder: Path) -> None:
    assert (await get(client, "/viewer")).status == 503
    fill(folder)
    assert (await get(client, "/viewer")).status == 200
    (folder / MANIFEST_NAME).unlink()
    assert (await get(client, "/viewer")).status == 503
