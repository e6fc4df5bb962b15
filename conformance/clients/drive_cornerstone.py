"""@cornerstonejs/dicom-image-loader (npm) in Chromium: pixel sums of one picture in every encoding.

The current folder has the npm packages. The page and its scripts are given to the browser as if the server itself
had them, so that nothing depends on the server's rules for other origins.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, sync_playwright

from conformance.clients.task import Wrong, read_task, reported, same

LIMIT_S = 45
PAGE_PATH = "/clients-page/"
PAGE = f"""<!doctype html><title>Clients</title>
<script>addEventListener("error", () => {{ window.failed = true; }}, true);</script>
<script type="module" src="{PAGE_PATH}page.js"></script>"""
TYPES = {".js": "text/javascript", ".wasm": "application/wasm"}
WORKER = "node_modules/@cornerstonejs/dicom-image-loader/dist/esm/decodeImageFrameWorker.js"
OF_NODE = ("fs", "path", "crypto", "url", "module")  # named by some packages, used by none in a browser
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


def bundle() -> Path:
    """Make the page's script and the loader's worker, with the decoders beside them, in a folder to serve."""
    place = Path("bundle").absolute()
    place.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("cornerstone_page.mjs"), "page.mjs")
    esbuild = ["node_modules/.bin/esbuild", "--bundle", "--format=esm", "--log-level=error"]
    Path("nothing.cjs").write_text("module.exports = {};", encoding="utf-8")
    esbuild += [f"--alias:{name}=./nothing.cjs" for name in OF_NODE]
    for source, made in (("page.mjs", "page.js"), (WORKER, "decodeImageFrameWorker.js")):
        command = [*esbuild, source, f"--outfile={place / made}"]
        subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S)  # noqa: S603 - our own command
    for path in Path("node_modules/@cornerstonejs").glob("*/dist/*.wasm"):
        shutil.copy(path, place)
    return place


def answer(route: Route, place: Path) -> None:
    """Give the browser the page or one of its files."""
    name = urlsplit(route.request.url).path.removeprefix(PAGE_PATH)
    path = place / Path(name).name
    if not name:
        route.fulfill(body=PAGE, content_type="text/html")
    elif path.is_file():
        route.fulfill(body=path.read_bytes(), content_type=TYPES[path.suffix])
    else:
        route.fulfill(status=404)


def load(page: Page, base: str, sample: dict[str, Any]) -> str:
    """Let the loader load the sample's frame, and compare what it decoded."""
    url = f"{base}/studies/{sample['study']}/series/{sample['series']}/instances/{sample['instance']}"
    with page.expect_response(lambda response: response.url.endswith("/frames/1")) as frame:
        got = page.evaluate("url => sumOfFrame(url).catch(error => ({ error: String(error.error ?? error) }))", url)
    head = frame.value.body()[:1000] + str(frame.value.headers).encode()
    if f"transfer-syntax={sample['transfer_syntax']}".encode() not in head.replace(b'"', b""):
        raise Wrong("the frame did not come as it was stored, so the browser decoded nothing")
    expected = {"sum": sample["pixel_sum"], "columns": sample["columns"], "rows": sample["rows"]}
    same(sample["name"], got, expected)
    return f"pixel sum {got['sum']}"


def main() -> None:
    """Open the page once, load each sample in it."""
    task = read_task(Path(sys.argv[1]))
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(task.base))
    place = bundle()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(LIMIT_S * 1000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.route(f"{origin}{PAGE_PATH}**", lambda route: answer(route, place))
        with reported("start the loader") as details:
            page.goto(f"{origin}{PAGE_PATH}")
            page.wait_for_function("window.prepare !== undefined || window.failed")
            if errors:
                raise Wrong("; ".join(errors))
            details.append(f"Chromium {browser.version}")
            page.evaluate("([token, path]) => prepare(token, path)", [task.token, f"{origin}{PAGE_PATH}"])
        for sample in task.samples:
            with reported(f"load {sample['name']}") as details:
                details.append(load(page, task.base, sample))
        browser.close()


if __name__ == "__main__":
    main()
