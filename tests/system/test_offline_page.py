"""The page of an offline bundle, opened from a folder by a real browser on a machine without a network."""

import zipfile
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from chromium import browser_page, save_screenshot, wait_until
from servers import lightbox

from archive.samples import PHANTOM_STUDY_UID, head_phantom

SLICES = 12
SIZES = {"phone": (360, 640), "desktop": (1280, 800)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is on the medium: the study was exported in German and unpacked."""
    home = tmp_path_factory.mktemp("offline")
    (samples := home / "samples").mkdir()
    for number, data in enumerate(head_phantom(slices=SLICES, rows=128)):
        (samples / f"{number}.dcm").write_bytes(data)
    lightbox("import", "--data", str(home / "data"), str(samples))
    lightbox("export", "--data", str(home / "data"), "--to", str(home / "b.zip"), "--lang", "de", PHANTOM_STUDY_UID)
    with zipfile.ZipFile(home / "b.zip") as bundle:
        bundle.extractall(home / "medium")
    return home / "medium"


@pytest.mark.parametrize("size", SIZES)
async def test_the_page_shows_every_picture_from_the_folder_alone(folder: Path, size: str) -> None:
    async with browser_page(SIZES[size]) as (page, trace):
        await page.context.set_offline(True)
        await page.goto((folder / "INDEX.HTM").as_uri())
        assert await page.get_attribute("html", "lang") == "de"
        pictures = page.locator("img")
        assert await pictures.count() == SLICES
        for number in range(SLICES):
            await pictures.nth(number).scroll_into_view_if_needed()
        await wait_until(page, "[...document.images].every(one => one.complete && one.naturalWidth > 64)")
        await page.evaluate("scrollTo(0, 0)")
        await save_screenshot(page, f"bundle-{size}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        found = (await Axe().run(page)).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
        await pictures.first.click()
        await page.wait_for_url("**/IHE_PDI/**")
        assert all(url.startswith(("file:", "data:")) for url in trace.requests)
        assert trace.failed == []
        assert trace.errors == []
