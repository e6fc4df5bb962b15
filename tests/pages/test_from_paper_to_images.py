"""Someone who has never seen it gets from the square on the paper to the images in at most three actions."""

import io
import re

import pytest
import sqlalchemy as sa
import zxingcpp
from chromium import CHROMIUM, FLAGS, wait_until
from PIL import Image
from playwright.async_api import Page, async_playwright

from archive.database.journey_tables import messages
from auth.desk import attach_studies
from auth.sessions import NewSession, SessionKind, Visitor, start_session
from auth.staff import StaffRole, create_staff

PHONE = (360, 640)
MOST_ACTIONS = 3
LIGHT = ["--disable-gpu", *(flag for flag in FLAGS if "swiftshader" not in flag and "gpu" not in flag)]


class Person:
    """A person with a telephone who does only what the page asks for; every press and every entry is counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions: list[str] = []

    async def press(self) -> None:
        """Press the page's one main button."""
        button = self.page.locator("main .primary:visible").first
        self.actions.append(f"press {(await button.inner_text()).strip()}")
        await button.click()

    async def enter(self, words: str) -> None:
        """Type into the field that has the focus already, and Enter."""
        assert await self.page.evaluate("document.activeElement.tagName") == "INPUT"
        self.actions.append("enter what was sent or told")
        await self.page.keyboard.type(words)
        await self.page.keyboard.press("Enter")


async def signed_in_desk(site, context) -> Page:
    access = site.access
    await create_staff(
        site.database, access.passwords, ("m.curie", "Marie Curie", frozenset({StaffRole.DESK})), access.clock()
    )
    session = NewSession(SessionKind.STAFF, "m.curie", Visitor("127.0.0.1", "127.0.0.1", "test"), True)
    cookie = await site.database.write(start_session, session, access.clock())
    await context.add_cookies([{"name": access.cookies.name(SessionKind.STAFF), "value": cookie, "url": site.base}])
    page = await context.new_page()
    await page.goto(f"{site.base}/desk")
    return page


async def printed_handout(desk: Page, contacts: dict[str, str]) -> tuple[bytes, str]:
    """Fill in the form and print the handout: the paper as a picture, and the words if the patient gets some."""
    await desk.fill("[name=patient_id]", "P-1")
    await desk.fill("[name=accession_number]", "A-1")
    await desk.fill("#f-name", "Zoë Müller")
    for name, value in contacts.items():
        await desk.fill(f"#f-{name}", value)
    await desk.check("[name=consented]")
    await desk.check("[name=channels][value=paper]")
    await desk.evaluate("window.print = () => {}")
    await desk.click("form .primary")
    await desk.wait_for_selector("#made:visible")
    words = await desk.text_content("[data-fill=passphrase]")
    await desk.click("#made [data-print]")
    await desk.emulate_media(media="print")
    return await desk.screenshot(full_page=True), words or ""


async def sent_code(site, about: str) -> str:
    def newest(connection: sa.Connection) -> bytes:
        query = sa.select(messages.c.content_encrypted).where(messages.c.about == about, messages.c.purpose == "code")
        return connection.execute(query.order_by(messages.c.id.desc()).limit(1)).scalar_one()

    content = site.access.vault.decrypt(await site.database.read(newest), "message content")
    return re.search(r"(?<![\d ])\d{6}(?!\d)", content)[0]


@pytest.mark.parametrize(
    "contacts",
    [{"email": "zoe@example.org", "mobile": "+49 170 1234567"}, {"email": "zoe@example.org"}, {}],
    ids=["mail and telephone", "mail alone", "four words"],
)
async def test_from_the_square_on_the_paper_to_the_images_it_takes_three_actions(site, contacts):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=LIGHT)
        desk = await signed_in_desk(site, await browser.new_context(locale="en-US"))
        paper, words = await printed_handout(desk, contacts)
        [square] = zxingcpp.read_barcodes(Image.open(io.BytesIO(paper)))
        assert re.fullmatch(rf"{site.base}/o/[0-9A-Z]{{10}}#[0-9A-Z]{{26}}", square.text)
        request_id = square.text.rpartition("/")[2].partition("#")[0]
        await attach_studies(site.access, request_id, ["1.2.826.0.1.1"], "staff desk")

        context = await browser.new_context(
            viewport={"width": PHONE[0], "height": PHONE[1]}, has_touch=True, locale="de-DE"
        )
        person = Person(await context.new_page())
        person.page.set_default_timeout(20_000)
        await person.page.goto(square.text)  # the camera does this
        await person.press()
        if words:
            await person.page.wait_for_selector("#passphrase:focus")
        else:
            await person.page.wait_for_selector("[data-sent]:not(:empty)")
        await person.enter(words or await sent_code(site, request_id))
        await person.page.wait_for_url("**/home*")
        await person.press()
        await person.page.wait_for_url("**/images*")
        await wait_until(person.page, "document.querySelector('[data-picture]').naturalWidth > 0")
        picture = await person.page.locator("[data-picture]").bounding_box()
        assert picture["y"] + picture["height"] / 2 < PHONE[1], "seen without scrolling"
        assert len(person.actions) <= MOST_ACTIONS, person.actions
        await browser.close()
