"""Chromium for tests: Debian's build, headless, WebGL in software, nothing but the page's own requests.

`browser_page` gives a page together with what it did: requests, console errors, violations of its policy.
`picture_of` and `correlation` compare what a canvas shows with what pydicom decodes: a decoder that went wrong shows
varied noise, which any check for "not black" would pass.
"""

import io
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.async_api import ConsoleMessage, Page, Request, async_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SCREENSHOTS = Path(__file__).resolve().parent.parent / ".check" / "screenshots"
DESKTOP = (1280, 800)
PHONE = (390, 844)
FLAGS = (
    "--no-sandbox",  # containers run tests as root
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--metrics-recording-only",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,CertificateTransparencyComponentUpdater",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', event =>
  console.error('CSP violation: ' + event.violatedDirective + ' ' + event.blockedURI));
"""


@dataclass(slots=True)
class Trace:
    """What a page did while it was open."""

    requests: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """Everything that the page's Content-Security-Policy stopped."""
        return [text for text in self.errors if "CSP violation" in text or "Content Security Policy" in text]

    def strangers(self, base: str) -> list[str]:
        """Requests that left the origin `base`; Chromium's own pages (its PDF viewer) are not on any network."""
        inside = (f"{base}/", "data:", f"blob:{base}/", "chrome:", "chrome-extension:")
        return [url for url in self.requests if not url.startswith(inside)]


@asynccontextmanager
async def browser_page(
    size: tuple[int, int] = DESKTOP, *, scale: float = 1, touch: bool = False
) -> AsyncIterator[tuple[Page, Trace]]:
    """Open a fresh browser profile with one page; everything is closed at the end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            context = await browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                device_scale_factor=scale,
                has_touch=touch,
                locale="en-US",
            )
            page = await context.new_page()
            yield page, await _watch(page)
        finally:
            await browser.close()


async def _watch(page: Page) -> Trace:
    trace = Trace()

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            trace.errors.append(message.text)

    def on_request(request: Request) -> None:
        trace.requests.append(request.url)

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("requestfailed", lambda request: trace.failed.append(f"{request.url} {request.failure}"))
    page.on("pageerror", lambda error: trace.errors.append(str(error)))
    await page.add_init_script(_VIOLATIONS)
    return trace


async def wait_until(page: Page, expression: str, *, timeout_s: float = 60) -> None:
    """Wait until the expression is true. Playwright's own waiting evaluates in the page, which our policy forbids."""
    deadline = time.monotonic() + timeout_s
    while not await page.evaluate(expression):
        assert time.monotonic() < deadline, f"not true in time: {expression}"
        await page.wait_for_timeout(50)


async def picture_of(page: Page, selector: str) -> np.ndarray[Any, Any]:
    """The part of the screen that the element covers: grey values of 0 to 255.

    The screen is taken, not the element: pages like OHIF replace elements while they are being waited for.
    """
    box = await page.locator(selector).first.bounding_box()
    if box is None or min(box["width"], box["height"]) < 1:
        return np.zeros((1, 1))
    shot = await page.screenshot(type="png", clip=box)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("L"), dtype=np.float64)


async def save_screenshot(page: Page, name: str) -> Path:
    """Keep the page as a picture in `.check/screenshots/`."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    await page.screenshot(path=str(path))
    return path


def windowed(values: np.ndarray[Any, Any], centre: float, width: float) -> np.ndarray[Any, Any]:
    """Grey values of 0 to 255 as a viewer shows them under a window (PS3.3 §C.11.2.1.2)."""
    return np.clip((values - centre) / width + 0.5, 0, 1) * 255


def correlation(shown: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> float:
    """How alike two pictures are, 1 is the same: the reference fitted and centred into the area shown.

    Viewers fit the whole image into their area and leave the rest black, so where it lies is known.
    """
    height, width = shown.shape
    if min(height, width) < 16:  # not laid out yet
        return 0.0
    scale = min(height / reference.shape[0], width / reference.shape[1])
    fitted_height, fitted_width = (max(1, round(side * scale)) for side in reference.shape)
    fitted = Image.fromarray(reference.astype(np.uint8)).resize((fitted_width, fitted_height), Image.Resampling.BOX)
    top, left = (height - fitted_height) // 2, (width - fitted_width) // 2
    part = shown[top : top + fitted_height, left : left + fitted_width]
    part, fit = _blurred(part), _blurred(np.asarray(fitted, dtype=np.float64))
    if part.std() < 1 or fit.std() < 1:
        return 0.0
    return float(np.corrcoef(part.ravel(), fit.ravel())[0, 1])


def _blurred(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Means of 4 x 4 pixels: what is left is the picture without overlay text and half-pixel shifts."""
    height, width = (side // 4 * 4 for side in picture.shape)
    mean: np.ndarray[Any, Any] = picture[:height, :width].reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3))
    return mean


async def wait_for_picture(
    page: Page, selector: str, reference: np.ndarray[Any, Any], *, least: float = 0.9, timeout_s: float = 60
) -> float:
    """Wait until the element shows the reference; return how alike they are, the best seen when time runs out."""
    best, deadline = 0.0, time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if await page.locator(selector).count() > 0:
            best = max(best, correlation(await picture_of(page, selector), reference))
            if best >= least:
                break
        await page.wait_for_timeout(200)
    return best
