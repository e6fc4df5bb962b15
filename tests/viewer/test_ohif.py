"""OHIF, opened from a link like anyone would, on a real server: pictures compared with what pydicom decodes."""

import io
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from chromium import (
    DESKTOP,
    PHONE,
    Trace,
    browser_page,
    picture_of,
    save_screenshot,
    wait_for_picture,
    wait_until,
    windowed,
)
from compressed import ENCODERS, STUDY_UID, WINDOW, compressed_study, report_study
from playwright.async_api import Page, Response
from servers import ROOT, Server, lightbox, running_server

from archive.samples import PHANTOM_STUDY_UID, head_phantom

SLICES, ROWS = 16, 256
TALL = (1280, 1100)
"""A screen on which all thumbnails are seen without scrolling."""
CANVAS = ".cornerstone-canvas"
THUMBNAILS = "[data-cy=study-browser-thumbnail] img"
PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 4 0 R/Resources<<>>>>endobj
4 0 obj<</Length 28>>stream
0.1 0.1 0.1 rg 50 50 200 200 re f
endstream endobj
trailer<</Size 5/Root 1 0 R>>
%%EOF """


LONG_REPORT_UID = "2.25.7300"
"""Too long for the metadata: shown from its rendered resource. The short one is held in the metadata."""
REPORTS = {"2.25.7200": PDF, LONG_REPORT_UID: PDF + b"\n%" + b" " * 8192}


@dataclass(frozen=True, slots=True)
class Site:
    """A server with the viewer, the phantom, a study of every compression, and a report."""

    server: Server
    pictures: list[np.ndarray]

    @property
    def opening(self) -> np.ndarray:
        """What OHIF opens with: it stacks the slices from the crown down."""
        return self.pictures[-1]


@pytest.fixture(scope="module")
def viewer_folder() -> Path:
    """The real build, packed once and kept in `.check/` between runs."""
    folder = ROOT / ".check" / "viewer"
    command = [sys.executable, "-m", "archive.viewer.repack", "--quick", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, viewer_folder: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("ohif")
    samples = folder / "samples"
    samples.mkdir()
    phantom = list(head_phantom(slices=SLICES, rows=ROWS))
    files = [
        *phantom,
        *compressed_study(phantom[SLICES // 2]),
        *(report_study(phantom[0], uid, pdf) for uid, pdf in REPORTS.items()),
    ]
    for number, data in enumerate(files):
        (samples / f"{number}.dcm").write_bytes(data)
    data = folder / "data"
    data.mkdir()
    (data / "viewer").symlink_to(viewer_folder)
    lightbox("import", "--data", str(data), str(samples))
    pictures = [windowed(pydicom.dcmread(io.BytesIO(one)).pixel_array - 1024.0, *WINDOW) for one in phantom]
    with running_server(data) as server:
        yield Site(server, pictures)


@asynccontextmanager
async def opened(
    site: Site, study_uid: str, size: tuple[int, int] = DESKTOP, *, scale: float = 1
) -> AsyncIterator[tuple[Page, Trace, str]]:
    """Follow a new link to its images, then on to the full viewer; nothing on the way may go elsewhere."""
    link = site.server.share(study_uid)
    share_id = link.partition("#")[0].rpartition("/")[2]
    async with browser_page(size, scale=scale) as (page, trace):
        await page.goto(link)
        await page.locator("[data-action=open]").click()
        await page.wait_for_url("**/images*")
        await page.goto(f"{site.server.base}/s/{share_id}/viewer?StudyInstanceUIDs={study_uid}")
        yield page, trace, share_id
        secret = link.partition("#")[2]
        assert not [url for url in trace.requests if secret in url]
        assert not trace.strangers(site.server.base)
        assert not trace.violations


async def test_a_link_leads_to_the_pictures_of_its_study_in_ohif(site: Site) -> None:
    async with opened(site, PHANTOM_STUDY_UID) as (page, trace, share_id):
        await page.go_back()
        await page.locator(f'a[href*="/s/{share_id}/viewer"]').first.click()
        assert await wait_for_picture(page, CANVAS, site.opening) > 0.95
        assert f"/s/{share_id}/viewer?StudyInstanceUIDs={PHANTOM_STUDY_UID}" in page.url
        await save_screenshot(page, "ohif-desktop")
        frames = [url for url in trace.requests if "/frames/" in url]
        assert len(frames) >= SLICES
        assert all(url.startswith(f"{site.server.base}/s/{share_id}/dicom-web/") for url in frames)


async def test_scrolling_shows_the_next_slices(site: Site) -> None:
    async with opened(site, PHANTOM_STUDY_UID) as (page, _, _):
        assert await wait_for_picture(page, CANVAS, site.opening) > 0.95
        await page.locator(CANVAS).first.hover()
        middle = SLICES // 2
        for _ in range(SLICES - 1 - middle):
            await page.mouse.wheel(0, 100)
            await page.wait_for_timeout(100)
        assert await wait_for_picture(page, CANVAS, site.pictures[middle]) > 0.95
        await save_screenshot(page, "ohif-scrolled")


async def test_the_three_planes_are_drawn(site: Site) -> None:
    async with opened(site, PHANTOM_STUDY_UID) as (page, _, share_id):
        address = f"/s/{share_id}/viewer?StudyInstanceUIDs={PHANTOM_STUDY_UID}&hangingprotocolId=mpr"
        await page.goto(site.server.base + address)
        volume = np.stack(site.pictures[::-1])
        sagittal = volume[:, :, ROWS // 2]
        height = round(ROWS * 192 / 240)
        stretched = np.repeat(sagittal, height // SLICES + 1, axis=0)[:height]
        canvases = f"{CANVAS} >> nth="
        await page.wait_for_function(f"document.querySelectorAll('{CANVAS}').length === 3", timeout=60_000)
        assert await wait_for_picture(page, f"{canvases}1", stretched, least=0.8) > 0.8
        await save_screenshot(page, "ohif-mpr")


async def test_every_compressed_transfer_syntax_is_decoded_in_the_browser(site: Site) -> None:
    async with opened(site, STUDY_UID, TALL) as (page, _, _):
        picture = site.pictures[SLICES // 2]
        assert await wait_for_picture(page, CANVAS, picture) > 0.95
        count = len(ENCODERS) + 1
        await page.wait_for_function(
            f"[...document.querySelectorAll('{THUMBNAILS}')].filter(one => one.naturalWidth > 0).length === {count}",
            timeout=60_000,
        )
        for number in range(count):
            alike = await wait_for_picture(page, f"{THUMBNAILS} >> nth={number}", picture, timeout_s=20)
            assert alike > 0.9, f"series {number + 1} of the study"
        await save_screenshot(page, "ohif-codecs")


@pytest.mark.parametrize("study_uid", REPORTS)
async def test_a_pdf_report_is_shown(site: Site, study_uid: str) -> None:
    async with opened(site, study_uid) as (page, trace, _):
        report, dark, deadline = "object[type='application/pdf']", 0.0, time.monotonic() + 60
        await page.wait_for_selector(report, timeout=60_000)
        while dark < 0.1 and time.monotonic() < deadline:  # the black square fills about a sixth of the view
            await page.wait_for_timeout(200)
            dark = float((np.abs(await picture_of(page, report) - 25) < 3).mean())
        await save_screenshot(page, f"ohif-pdf-{study_uid}")
        assert dark > 0.1
        rendered = [url for url in trace.requests if url.endswith("/rendered") and study_uid in url]
        assert bool(rendered) is (study_uid == LONG_REPORT_UID)


async def test_on_a_phone_the_picture_has_the_width_of_the_screen(site: Site) -> None:
    async with opened(site, PHANTOM_STUDY_UID, PHONE, scale=2) as (page, _, _):
        assert await wait_for_picture(page, CANVAS, site.opening) > 0.9
        box = await page.locator(CANVAS).first.bounding_box()
        assert box is not None
        assert box["width"] > 0.7 * PHONE[0]
        await save_screenshot(page, "ohif-phone")


async def test_an_address_without_studies_shows_what_is_shared(site: Site) -> None:
    async with opened(site, PHANTOM_STUDY_UID) as (page, _, share_id):
        await page.goto(f"{site.server.base}/s/{share_id}/viewer")
        assert await wait_for_picture(page, CANVAS, site.opening) > 0.95
        assert PHANTOM_STUDY_UID in page.url


async def test_without_a_session_the_viewer_leads_back_to_the_link(site: Site) -> None:
    share_id = site.server.share(PHANTOM_STUDY_UID).partition("#")[0].rpartition("/")[2]
    async with browser_page() as (page, trace):
        await page.goto(f"{site.server.base}/s/{share_id}/viewer?StudyInstanceUIDs={PHANTOM_STUDY_UID}")
        await page.wait_for_url(f"**/s/{share_id}", timeout=60_000)
        assert not [url for url in trace.requests if "/frames/" in url]


async def test_a_share_switched_off_ends_the_visit(site: Site) -> None:
    async with opened(site, PHANTOM_STUDY_UID) as (page, _, share_id):
        await wait_for_picture(page, CANVAS, site.opening)
        lightbox("share", "revoke", "--data", str(site.server.data), share_id)
        address = f"/s/{share_id}/dicom-web/studies/{PHANTOM_STUDY_UID}/metadata"
        await page.evaluate(  # as a viewer does that goes on asking; what a session may see is remembered for 2 s
            "address => setInterval(() => { const request = new XMLHttpRequest();"
            " request.open('GET', location.origin + address); request.send(); }, 300)",
            address,
        )
        await page.wait_for_url(f"**/s/{share_id}", timeout=60_000)


async def test_copies_of_frames_are_shown_in_their_place(site: Site) -> None:
    lightbox("transcode", "--data", str(site.server.data), "--to", "htj2k", "--study", PHANTOM_STUDY_UID)
    async with opened(site, PHANTOM_STUDY_UID) as (page, _, _):
        kinds: list[str] = []

        def note(response: Response) -> None:
            if "/frames/" in response.url:
                kinds.append(response.headers["content-type"].partition(";")[2].partition(";")[0].strip())

        page.on("response", note)
        await page.reload()
        assert await wait_for_picture(page, CANVAS, site.opening) > 0.95
        assert set(kinds) == {'type="image/jphc"'}


async def test_a_share_without_a_name_shows_its_pictures_and_no_name(site: Site) -> None:
    original = pydicom.dcmread(io.BytesIO(next(iter(head_phantom(slices=1, rows=16)))))
    identity = [*str(original.PatientName).split("^"), str(original.PatientID), PHANTOM_STUDY_UID]
    link = site.server.share(PHANTOM_STUDY_UID, "--without-name")
    async with browser_page() as (page, trace):
        await page.goto(link)
        await page.locator("[data-action=open]").click()
        await page.wait_for_selector("[data-picture]", timeout=60_000)  # the page looks again by itself
        await wait_until(page, "document.querySelector('[data-picture]').naturalWidth > 0")
        await save_screenshot(page, "images-without-name")
        facts = (await page.inner_text("article header .facts")).strip()
        assert facts == f"CT · Series: 1, images: {SLICES}", "nothing stands where the name was"
        said = await page.content()
        await page.locator('a[href*="/viewer"]').first.click()
        assert await wait_for_picture(page, CANVAS, site.opening) > 0.95
        await save_screenshot(page, "ohif-without-name")
        said += await page.content() + " ".join(trace.requests)
        assert [part for part in identity if part and part in said] == []
        assert not trace.strangers(site.server.base)
        assert not trace.violations
