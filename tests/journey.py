"""A hospital for browser tests: server, mail, people with profiles of their own, and what they do again and again."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import numpy as np
import pydicom
import pyotp
import pytest
import requests
import servers
from aiosmtpd.controller import Controller
from axe_playwright_python.async_playwright import Axe
from chromium import CHROMIUM, DESKTOP, FLAGS, save_screenshot
from playwright.async_api import Browser, Page, async_playwright
from pydicom.data import get_testdata_file
from servers import Server, free_port, lightbox, running_server

PHONE = (360, 640)
PASSWORD = "a much better password"
PATIENT, HELPER, FRIEND = "Zoë Quastenflosser", "Bo Quastenflosser", "ada@example.org"
LIGHT = ["--disable-gpu", *(flag for flag in FLAGS if "swiftshader" not in flag and "gpu" not in flag)]
"""These pages draw nothing by WebGL."""


@dataclass
class Sink:
    """Keeps every mail."""

    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 ok"

    async def next(self, wanted: Callable[[EmailMessage, str], bool]) -> str:
        """The text of the newest mail that is wanted; taken out, so that it is found once."""
        async with asyncio.timeout(20):
            while True:
                for mail in reversed(self.mails):
                    text = mail.get_body(("plain",)).get_content()
                    if wanted(mail, text):
                        self.mails.remove(mail)
                        return text
                await asyncio.sleep(0.05)

    async def link(self, to: str, kind: str) -> str:
        text = await self.next(lambda mail, text: mail["To"] == to and f"/{kind}/" in text)
        return re.search(rf"http\S+/{kind}/\S+", text)[0]

    async def code(self, to: str) -> str:
        text = await self.next(lambda mail, text: mail["To"] == to and re.search(r"^\d{6}(?=\s*$)", text, re.MULTILINE))
        return re.search(r"^\d{6}(?=\s*$)", text, re.MULTILINE)[0]


@dataclass
class House:
    """A running hospital: server, mail, and what must never stand in a log."""

    server: Server
    sink: Sink
    data: Path
    secrets: set[str] = field(default_factory=lambda: {PATIENT, "Quastenflosser", FRIEND, "zoe@example.org"})

    def keep_secret(self, link: str) -> str:
        self.secrets.add(link.partition("#")[2])
        return link

    def log(self) -> str:
        return (self.data.parent / f"{self.data.name}.log").read_text()


@contextmanager
def running_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    sink = Sink()
    controller = Controller(sink, hostname="127.0.0.1", port=(port := free_port()))
    controller.start()
    settings = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "lightbox@hospital.example",
        "SITE_NAME": "St. Elsewhere",
        "QUIET_S": "2",
        "SMS_URL": f"file:{tmp_path}/sms.jsonl",
    }
    port = free_port()
    monkeypatch.setattr(servers, "free_port", lambda: port)
    settings["PUBLIC_BASE"] = f"http://localhost:{port}"  # passkeys need a name, and take this one without TLS
    for name, value in settings.items():
        monkeypatch.setenv(f"LIGHTBOX_{name}", value)
    with running_server(tmp_path / "data") as server:
        yield House(server, sink, tmp_path / "data")
    controller.stop()


@asynccontextmanager
async def people() -> AsyncIterator[Callable]:  # type: ignore[type-arg]  # opens a page
    """A browser; calling what is given opens another profile's page. Faults of a page fail the test at the end."""
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=LIGHT)

        async def person(size: tuple[int, int] = DESKTOP) -> Page:
            context = await browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-US")
            page = await context.new_page()
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
            return page

        yield person
        await browser.close()
    assert faults == []


async def looked_at(page: Page, name: str) -> None:
    """Keep a picture; nothing serious for axe; no side scroll on a phone."""
    await save_screenshot(page, name)
    found = (await Axe().run(page)).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], name
    size = page.viewport_size["width"]
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], f"{name} scrolls sideways"
    await save_screenshot(page, f"{name}-phone")
    await page.set_viewport_size({"width": size, "height": DESKTOP[1] if size > 400 else PHONE[1]})


def store_study(house: House, patient_id: str, accession_number: str, *, slices: int, side: int = 128) -> None:
    """A PACS pushes a study by STOW-RS."""
    token = house.server.token("store")
    house.secrets.add(token)
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientID, dataset.AccessionNumber = patient_id, accession_number
    dataset.PatientName = "Quastenflosser^Zoë"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID = pydicom.uid.generate_uid()
    dataset.SeriesInstanceUID = pydicom.uid.generate_uid()
    if side != 128:
        rows, columns = np.mgrid[0:side, 0:side]
        dataset.Rows = dataset.Columns = side
        dataset.PixelData = ((rows * 3 + columns * 5) % 1200).astype(np.int16).tobytes()
    for start in range(0, slices, 50):
        parts = []
        for number in range(start, min(start + 50, slices)):
            uid = pydicom.uid.generate_uid()
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            dataset.InstanceNumber = str(number + 1)
            file = io.BytesIO()
            dataset.save_as(file)
            parts.append(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue() + b"\r\n")
        headers = {
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
            "Authorization": f"Bearer {token}",
        }
        body = b"".join(parts) + b"--b--\r\n"
        assert (
            requests.post(f"{house.server.dicomweb}/studies", data=body, headers=headers, timeout=60).status_code == 200
        )


async def sign_in(house: House, desk: Page) -> None:
    roles = ("--role", "desk", "--role", "admin", "--role", "auditor")
    first = lightbox("staff", "create", "--data", str(house.data), *roles, "m.curie", "Marie Curie").strip()
    await desk.goto(f"{house.server.base}/desk")
    await desk.fill("#staff-id", "m.curie")
    await desk.fill("#staff-password", first)
    await looked_at(desk, "staff-sign-in")
    await desk.keyboard.press("Enter")
    await desk.fill("#new-password", PASSWORD)
    await desk.keyboard.press("Enter")
    await desk.wait_for_selector("#first-totp:visible")
    seed = await desk.text_content("[data-told=seed]")
    house.secrets |= {first, PASSWORD, seed}
    await looked_at(desk, "staff-app")
    await desk.fill("#first-totp", pyotp.TOTP(seed).now())
    await desk.keyboard.press("Enter")
    await desk.wait_for_url("**/desk*")


async def fill_in_form(page: Page) -> None:
    await page.fill("#f-name", PATIENT)
    await page.fill("#f-email", "zoe@example.org")
    await page.fill("#f-mobile", "+49 170 1234567")
    await page.fill("#f-helper", HELPER)
    await page.check("[name=consented]")


async def owner_opens(house: House, owner: Page, link: str) -> None:
    await owner.goto(link)
    await owner.wait_for_selector("[data-action=open]:visible")
    assert "#" not in owner.url
    await looked_at(owner, "owner-link")
    await owner.click("[data-action=open]")
    await owner.click("[data-channel=email]")
    code = await house.sink.code("zoe@example.org")
    house.secrets.add(code)
    await looked_at(owner, "owner-code")
    await owner.fill("#code", code)
    await owner.keyboard.press("Enter")
    await owner.wait_for_url("**/home*")


async def share(owner: Page, mode: str, *, name: str = "") -> tuple[str, str]:
    """Make a link in one of the ways; the link and the password."""
    await owner.check(f"[name=mode][value={mode}]")
    if name:
        await owner.fill(".people [name=name]", name)
        await owner.fill(".people [name=contact]", FRIEND)
        await owner.uncheck("[name=send]")
    before = await owner.locator("[data-share-row]").count()
    await owner.click("button:has-text('Make the link')")
    await owner.wait_for_selector(f"[data-share-row] >> nth={before}")
    url = await owner.input_value("#made [data-fill=url]")
    return url, await owner.text_content("#made [data-fill=password]")


async def opens(page: Page, link: str) -> None:
    await page.goto(link)
    await page.click("[data-action=open]")


async def images_are_visible(page: Page) -> None:
    await page.wait_for_url("**/images*")
    async with asyncio.timeout(20):
        while not await page.evaluate("document.querySelector('[data-picture]')?.naturalWidth > 0"):
            await asyncio.sleep(0.02)


async def gives_code(house: House, page: Page) -> None:
    await page.click("[data-channel='']")
    code = await house.sink.code(FRIEND)
    house.secrets.add(code)
    await page.fill("#code", code)
    await page.keyboard.press("Enter")


async def status_of(page: Page, path: str) -> int:
    return int(await page.evaluate("path => fetch(path).then(answer => answer.status)", path))
