"""The whole way in a real browser: form → STOW → mail → link → check → four ways to share → images → off.

A real server, a real SMTP server that keeps the mails, and a browser profile of its own for each person.
"""

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
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
OFF_WITHIN_S = 2.0
LIGHT = ["--disable-gpu", *(flag for flag in FLAGS if "swiftshader" not in flag and "gpu" not in flag)]
"""These pages draw nothing by WebGL."""
FIRST_IMAGE_WITHIN_S = {"loopback": 1.0, "10 Mbit/s, 40 ms": 3.0}


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


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
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


async def test_the_whole_way_from_the_form_to_switched_off(house: House) -> None:
    async with people() as person:
        desk, owner = await person(), await person(PHONE)
        await sign_in(house, desk)
        await desk.fill("[name=patient_id]", "PAT-4711")
        await desk.fill("[name=accession_number]", "ACC-99")
        await fill_in_form(desk)
        for way in ("email", "sms", "paper"):
            await desk.check(f"[name=channels][value={way}]")
        await looked_at(desk, "desk")
        await desk.click("button:has-text('Save and send')")
        await desk.wait_for_selector("#made:visible")
        await looked_at(desk, "desk-handout")
        link = house.keep_secret(await house.sink.link("zoe@example.org", "o"))
        async with asyncio.timeout(10):
            while not (house.data.parent / "sms.jsonl").exists():
                await asyncio.sleep(0.05)
        text = json.loads((house.data.parent / "sms.jsonl").read_text())
        assert link in text["text"]
        assert len(text["text"]) <= 160

        await owner_opens(house, owner, link)
        await owner.wait_for_selector("h1:has-text('not here yet')")
        await looked_at(owner, "owner-waiting")
        store_study(house, "PAT-4711", "ACC-99", slices=12)
        await owner.wait_for_selector("h1:has-text('Your images are here')", timeout=15_000)
        await house.sink.next(lambda mail, text: "your images are ready" in text)

        await owner.click("#check button")
        await owner.wait_for_selector(".ticks li")
        assert await owner.locator(".ticks .bad").count() == 0
        assert await owner.locator(".ticks .good").count() == 7
        await looked_at(owner, "owner-checked")

        for mode in ("link", "password"):
            url, password = await share(owner, mode)
            house.keep_secret(url)
            guest = await person()
            await opens(guest, url)
            if mode == "password":
                house.secrets.add(password)
                await guest.fill("#password", password)
                await looked_at(guest, "share-password")
                await guest.keyboard.press("Enter")
            await images_are_visible(guest)
        await looked_at(guest, "images")

        url, _ = await share(owner, "code", name="Dr. Ada")
        friend = await person(PHONE)
        await opens(friend, house.keep_secret(url))
        await gives_code(house, friend)
        await images_are_visible(friend)

        url, _ = await share(owner, "totp", name="Dr. App")
        app = await person()
        await opens(app, house.keep_secret(url))
        await gives_code(house, app)
        await app.wait_for_selector("#first-totp:visible")
        seed = await app.text_content("[data-told=seed]")
        house.secrets.add(seed)
        await app.fill("#first-totp", pyotp.TOTP(seed).now())
        await app.keyboard.press("Enter")
        await images_are_visible(app)

        await desk.reload()
        await looked_at(desk, "desk-list")
        assert FRIEND not in await desk.content()
        await desk.goto(f"{house.server.base}/admin")
        await looked_at(desk, "admin")

        await guest.goto(guest.url.replace("/images", "/elsewhere"))
        await guest.fill("#ticket-label", "Weasis at home")
        await guest.click("button:has-text('Make a ticket')")
        await guest.wait_for_selector("#made:visible")
        await looked_at(guest, "elsewhere")
        root = await guest.input_value("[data-fill=root_url]")
        house.secrets.add(root.split("/")[4])
        assert requests.get(f"{root}/studies", timeout=10).status_code == 200

        await owner.wait_for_selector("#trail:has-text('given to another viewer')", timeout=15_000)
        await looked_at(owner, "owner-trail")
        trail = await owner.text_content("#trail")
        for told in ("opened", "images looked at", "a link was made"):
            assert told in trail

        rooted = guest.url.replace("/elsewhere", "/dicom-web/studies").partition("?")[0]
        assert await status_of(guest, rooted) == 200
        await owner.click("button:has-text('Switch everything off')")
        started_s = time.monotonic()
        async with asyncio.timeout(OFF_WITHIN_S):
            while await status_of(guest, rooted) == 200:
                await asyncio.sleep(0.02)
        assert await status_of(friend, friend.url.replace("/images", "/dicom-web/studies")) == 401
        assert requests.get(f"{root}/studies", timeout=10).status_code == 401
        print(f"Switched off after {time.monotonic() - started_s:.2f} s.")

    log = house.log()
    assert [secret for secret in house.secrets if secret and secret in log] == []


async def add_authenticator(page: Page) -> None:
    """A device whose owner is always there, with a finger on it."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    authenticator = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": authenticator})


async def test_an_owner_sets_a_passkey_up_opens_the_page_with_it_and_takes_it_away(house: House) -> None:
    async with people() as person:
        desk, owner = await person(), await person(PHONE)
        await sign_in(house, desk)
        await fill_in_form(desk)
        await desk.check("[name=channels][value=email]")
        await desk.click("button:has-text('Save and send')")
        link = house.keep_secret(await house.sink.link("zoe@example.org", "o"))
        await add_authenticator(owner)
        await owner_opens(house, owner, link)
        await owner.click("[data-register-passkey]")
        await owner.wait_for_selector("[data-passkey-row]")
        await looked_at(owner, "owner-passkey")
        await house.sink.next(lambda mail, text: "A passkey was set up" in text)

        await owner.click("button:has-text('Done')")
        await owner.wait_for_selector("h1:has-text('closed')")
        await opens(owner, link)
        await owner.wait_for_selector("button:has-text('Use passkey'):visible")
        await looked_at(owner, "owner-use-passkey")
        await owner.click("button:has-text('Use passkey'):visible")
        await owner.wait_for_url("**/home*")

        elsewhere = await person()
        await opens(elsewhere, link)
        await elsewhere.click("button:has-text('Use a code instead')")
        await elsewhere.click("[data-channel=email]")
        await elsewhere.fill("#code", await house.sink.code("zoe@example.org"))
        await elsewhere.keyboard.press("Enter")
        await elsewhere.wait_for_url("**/home*")
        await elsewhere.click("[data-passkey-row] .danger")
        await elsewhere.wait_for_selector("[data-passkey-row]", state="detached")
        await opens(owner, link)
        await owner.wait_for_selector("[data-channel=email]:visible")


async def test_a_passkey_is_set_up_after_a_code_and_opens_the_images_alone(house: House) -> None:
    async with people() as person:
        desk, owner = await person(), await person()
        await sign_in(house, desk)
        await desk.fill("[name=patient_id]", "PAT-1")
        await desk.fill("[name=accession_number]", "ACC-1")
        await fill_in_form(desk)
        await desk.check("[name=channels][value=email]")
        await desk.click("button:has-text('Save and send')")
        store_study(house, "PAT-1", "ACC-1", slices=2)
        await owner_opens(house, owner, await house.sink.link("zoe@example.org", "o"))
        await owner.wait_for_selector("h1:has-text('Your images are here')", timeout=15_000)
        await owner.click("#check button")
        await owner.wait_for_selector(".ticks li")
        url, _ = await share(owner, "passkey", name="Dr. Key")
        friend = await person()
        await add_authenticator(friend)
        await opens(friend, url)
        await gives_code(house, friend)
        await friend.wait_for_selector("h1:has-text('Set up a passkey')")
        await friend.click("button:has-text('Set up'):visible")
        await images_are_visible(friend)
        await friend.click("[data-action=done]")
        await friend.wait_for_selector("h1:has-text('closed')")
        await opens(friend, url)
        await friend.click("button:has-text('Use passkey'):visible")
        await images_are_visible(friend)


async def test_a_patients_own_telephone_fills_the_form_in_and_the_desk_confirms_it(house: House) -> None:
    async with people() as person:
        patient, desk = await person(PHONE), await person()
        await patient.goto(f"{house.server.base}/request")
        fields = await patient.locator("form [name]:not([type=radio], [type=checkbox])").count()
        assert fields + 1 <= 6
        await looked_at(patient, "form")
        await fill_in_form(patient)
        await patient.click("button:has-text('Done')")
        await patient.wait_for_selector("#taken:visible")
        assert house.sink.mails == []
        await sign_in(house, desk)
        await desk.click(".request a")
        await desk.fill("[name=patient_id]", "PAT-2")
        await desk.check("[data-api$=confirm] [value=email]")
        await looked_at(desk, "desk-request")
        await desk.click("button:has-text('Confirm and send')")
        assert await house.sink.link("zoe@example.org", "o")


async def first_image_s(page: Page, link: str, *, slow: bool) -> float:
    """From pressing Open to the first picture, in a browser that has run before and on pages that it has not seen."""
    if slow:
        devtools = await page.context.new_cdp_session(page)
        throughput = 10_000_000 / 8
        limits = {"latency": 40, "downloadThroughput": throughput, "uploadThroughput": throughput}
        await devtools.send("Network.emulateNetworkConditions", {"offline": False, **limits})
    await page.goto(link)
    started_s = time.monotonic()
    await page.click("[data-action=open]")
    await images_are_visible(page)
    return time.monotonic() - started_s


async def test_the_first_image_of_500_slices_is_there_in_time(house: House) -> None:
    """The best of five for each line: other work on the machine is no property of ours."""
    store_study(house, "PAT-500", "ACC-500", slices=500, side=512)
    headers = {"Authorization": f"Bearer {house.server.token('read')}", "Accept": "application/dicom+json"}
    study = requests.get(f"{house.server.dicomweb}/studies", headers=headers, timeout=30).json()[0]
    link = house.server.share(study["0020000D"]["Value"][0])
    async with people() as person:
        for line, within_s in FIRST_IMAGE_WITHIN_S.items():
            took_s = []
            for _ in range(5):
                page = await person(PHONE)
                took_s.append(await first_image_s(page, link, slow=line != "loopback"))
                if took_s[-1] <= within_s:
                    break
                await page.context.close()
            print(f"First image over {line}: {min(took_s):.2f} s (of {len(took_s)}).")
            assert min(took_s) <= within_s, line
        await page.focus("[data-stage]")  # it begins in the middle
        for _ in range(5):
            await page.keyboard.press("ArrowDown")
        assert await page.text_content("[data-place]") == "256 / 500"
