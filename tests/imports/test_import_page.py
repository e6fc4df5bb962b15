"""The page that imports a disc, in a real browser, with a tab that is killed half-way."""

import asyncio
import base64
import hashlib
import io
import os
import re
import zipfile
from collections.abc import AsyncIterator

import pydicom
import pytest
import sqlalchemy as sa
from axe_playwright_python.async_playwright import Axe
from chromium import CHROMIUM, DESKTOP, FLAGS, save_screenshot
from disc_builder import ihe_pdi
from files import part10
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from archive.database.index_tables import instances
from archive.languages import load_languages

PHONE = (360, 640)
FILES = 500
IN_FLIGHT = 4
"""Files whose answer the killed tab did not wait for: they may be there and not be known to be."""
LIGHT = ["--disable-gpu", *(flag for flag in FLAGS if "swiftshader" not in flag and "gpu" not in flag)]
SR = "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.fixture
async def profile() -> AsyncIterator[BrowserContext]:
    expect.set_options(timeout=60_000)  # machines that run these tests are busy with others
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=LIGHT)
        yield await browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, locale="en-US")
        await browser.close()


async def opened(house, person, profile: BrowserContext, path: str) -> Page:
    base = f"http://127.0.0.1:{house.client.port}"
    await profile.add_cookies([{"name": name, "value": value, "url": base} for name, value in person.cookies.items()])
    page = await profile.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Security Policy" in message.text else None)
    page.faults = faults  # type: ignore[attr-defined]  # carried along to be looked at
    await page.goto(base + path)
    return page


async def looked_at(page: Page, name: str) -> None:
    """Keep a picture; nothing serious for axe; no side scroll on a phone."""
    await save_screenshot(page, name)
    found = (await Axe().run(page)).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], f"{name} scrolls sideways"
    await save_screenshot(page, f"{name}-phone")
    await page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    assert page.faults == []  # type: ignore[attr-defined]  # see opened


async def test_five_hundred_files_come_in_though_the_tab_is_killed_half_way(house, profile, tmp_path):
    disc = tmp_path / "disc"
    disc.mkdir()
    for number in range(1, FILES + 1):
        (disc / f"IM{number:04}").write_bytes(part10(InstanceNumber=str(number), SeriesDescription="Axial"))
    (disc / "VIEWER.EXE").write_bytes(b"MZ" + bytes(100))
    (disc / "EMPTY").write_bytes(b"")
    desk = await house.staff()
    page = await opened(house, desk, profile, "/desk/import")
    await looked_at(page, "import-choose")
    sent: list[str] = []
    half = asyncio.Event()

    def note(response) -> None:
        if response.request.method == "PUT" and response.ok:
            sent.append(response.url)
            if len(sent) >= FILES // 2:
                half.set()

    page.on("response", note)
    await page.set_input_files("#import-folder", disc)
    await expect(page.get_by_role("heading", name="What is on it")).to_be_focused()
    await looked_at(page, "import-preview")
    await page.get_by_role("button", name="Import what is ticked").click()
    await expect(page.get_by_role("progressbar")).to_be_visible()
    await looked_at_progress(page)
    await asyncio.wait_for(half.wait(), 120)
    await page.close()
    before = len(await house.rows(sa.select(instances.c.id)))
    assert FILES // 2 <= before < FILES

    page = await opened(house, desk, profile, "/desk/import")
    await expect(page.get_by_text("An import is not finished")).to_be_visible()
    await looked_at(page, "import-unfinished")
    again: list[str] = []
    page.on("request", lambda request: again.append(request.url) if request.method == "PUT" else None)
    await page.set_input_files("#import-folder", disc)
    await expect(page.get_by_role("heading", name="Done")).to_be_focused(timeout=120_000)
    assert len(again) <= FILES - before + IN_FLIGHT, "What was there was sent again."
    text = await page.locator("[data-part=summary]").inner_text()
    assert f"Images: {FILES}" in text
    assert "disc/EMPTY: the file is empty" in text
    assert "skipped: 1" in text
    await looked_at(page, "import-summary")
    kept = {row["digest"] for row in await house.rows(sa.select(instances.c.digest))}
    assert kept == {hashlib.sha256(path.read_bytes()).hexdigest() for path in disc.glob("IM*")}
    await page.reload()
    await expect(page.get_by_text("An import is not finished")).to_be_hidden()


async def test_a_file_of_many_pieces_comes_in_whole(house, profile, tmp_path):
    (tmp_path / "disc").mkdir()
    data = part10(PixelData=os.urandom(20 << 20))
    (tmp_path / "disc" / "BIG").write_bytes(data)
    page = await opened(house, await house.staff(), profile, "/desk/import")
    pieces: list[str] = []
    page.on("request", lambda request: pieces.append(request.url) if request.method == "PUT" else None)
    await page.set_input_files("#import-folder", tmp_path / "disc")
    await page.get_by_role("button", name="Import what is ticked").click()
    await expect(page.get_by_role("heading", name="Done")).to_be_focused()
    assert len(pieces) == 6
    assert [row["digest"] for row in await house.rows(sa.select(instances.c.digest))] == [
        hashlib.sha256(data).hexdigest()
    ]
    assert not list((house.data / "imports").iterdir())


async def test_a_folder_is_dragged_onto_the_page(house, profile, tmp_path):
    disc = ihe_pdi(tmp_path / "disc")
    page = await opened(house, await house.staff(), profile, "/desk/import")
    box = await page.locator("[data-part=choose]").bounding_box()
    assert box
    devtools = await profile.new_cdp_session(page)
    data = {"items": [], "files": [str(disc)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 50, "y": box["y"] + 20}
        await devtools.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    await page.get_by_role("button", name="Import what is ticked").click()
    await expect(page.get_by_role("heading", name="Done")).to_be_focused()
    text = await page.locator("[data-part=summary]").inner_text()
    assert "Images: 2" in text
    assert "skipped: 3" in text
    assert page.faults == []  # type: ignore[attr-defined]  # see opened


async def looked_at_progress(page: Page) -> None:
    await save_screenshot(page, "import-progress")
    assert await page.get_by_role("progressbar").evaluate("bar => bar.max >= 1")


async def test_a_patient_with_a_zip_of_two_people_chooses_and_sees_what_was_refused(house, profile, tmp_path):
    owner = await house.owner()
    target = tmp_path / "disc.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/IM1", part10(PatientName="Doe^Jane", PatientID="P1", StudyDescription="CT head"))
        archive.writestr("a/IM2", part10())
        archive.writestr("b/IM1", part10(PatientName="Roe^Rick", PatientID="P2", StudyInstanceUID="1.2.9"))
        archive.writestr("../../inner.zip", b"PK\x03\x04" + bytes(40))
        archive.writestr("VIEWER/RUN.EXE", b"MZ")
    page = await opened(house, owner, profile, f"/o/{owner.subject}/home")
    await page.get_by_role("link", name="Import a disc").click()
    await page.set_input_files("#import-files", target)
    await expect(page.get_by_text("more than one patient")).to_be_visible()
    send = page.get_by_role("button", name="Import what is ticked")
    await expect(send).to_be_disabled()
    for tick in await page.locator("[data-study]").all():
        await tick.check()
    await expect(page.get_by_text("one and the same person")).to_be_visible()
    await expect(send).to_be_disabled()
    await looked_at(page, "import-two-patients")
    await page.locator("[data-study='1.2.9']").uncheck()
    await send.click()
    await expect(page.get_by_role("heading", name="Done")).to_be_focused()
    text = await page.locator("[data-part=summary]").inner_text()
    assert "Images: 2" in text
    assert "not ticked: 1" in text
    assert "inner.zip: a packed file inside is not opened" in text
    assert ".." not in text
    await page.get_by_role("link", name="Back").click()
    await expect(page.get_by_role("button", name="See my images")).to_be_visible()
    assert page.faults == []  # type: ignore[attr-defined]  # see opened


async def test_a_report_without_images_is_said_before_anything_is_sent(house, profile, tmp_path):
    dataset = pydicom.dcmread(io.BytesIO(part10(SOPClassUID=SR, Modality="SR")))
    for keyword in ("PixelData", "Rows", "Columns"):
        del dataset[keyword]
    (tmp_path / "disc").mkdir()
    dataset.save_as(tmp_path / "disc" / "SR1")
    page = await opened(house, await house.staff(), profile, "/desk/import")
    await page.set_input_files("#import-folder", tmp_path / "disc")
    await expect(page.get_by_text("There is a report, but there are no images.")).to_be_visible()
    assert await house.rows(sa.select(instances.c.id)) == []


async def test_images_are_put_under_the_local_patient_id_by_keyboard_alone(house, profile, tmp_path):
    disc = ihe_pdi(tmp_path / "disc")
    desk = await house.staff()
    await desk.import_all({"x": part10(PatientID="LOCAL1", PatientName="Doe^Jane", StudyInstanceUID="1.2.77")})
    page = await opened(house, desk, profile, "/desk/import")
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Choose a folder or drive").focus()
        await page.keyboard.press("Enter")
    await (await chooser.value).set_files(disc)
    await page.get_by_label("Put under our patient ID").fill("LOCAL1")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Here this is Jane Doe")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Done")).to_be_focused()
    assert page.faults == []  # type: ignore[attr-defined]  # see opened


async def test_the_digest_written_out_is_the_browsers_own(house, profile):
    page = await opened(house, await house.staff(), profile, "/desk/import")
    lengths = [0, 1, 55, 56, 63, 64, 65, 1000, (4 << 20) + 70]
    data = {length: os.urandom(length) for length in lengths}
    for length, wanted in data.items():
        told = await page.evaluate(
            """async (text) => {
              Object.defineProperty(crypto, "subtle", { value: undefined, configurable: true });
              return sha256Of(new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]));
            }""",
            base64.b64encode(wanted).decode(),
        )
        digest = hashlib.sha256(wanted).digest()
        assert base64.b64decode(told) == digest, length


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
async def test_the_page_is_there_in_every_language(house, language):
    desk = await house.staff()
    answer = await house.client.get(f"/desk/import?lang={language}", cookies=desk.cookies)
    text = await answer.text()
    assert load_languages()[language].texts["import.drop"] in text
    assert not re.search(r"<script(?![^>]*(src=|application/json))", text), "No script stands in the page."


async def test_nobody_comes_to_the_page_who_may_not(house):
    owner = await house.owner(allowed=False)
    for person, path, goal in (
        (None, "/desk/import", "/staff"),
        (None, f"/o/{owner.subject}/import", f"/o/{owner.subject}"),
        (owner, f"/o/{owner.subject}/import", f"/o/{owner.subject}/home"),
    ):
        answer = await house.client.get(path, cookies=person.cookies if person else {}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, goal)
