"""Every page, in Chromium, in two languages, on a phone and a desktop: nothing cut off, nothing that axe calls serious.

The pictures are kept in `.check/screenshots/pages/`, to be looked at.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from axe_playwright_python.async_playwright import Axe
from chromium import CHROMIUM, FLAGS, SCREENSHOTS
from playwright.async_api import BrowserContext, Page, async_playwright

from archive.database.journey_tables import requests
from archive.jobs.queue import add_job
from auth.desk import Sending, attach_studies, take_patients_request, take_request
from auth.people import NewPerson
from auth.requests import NewRequest
from auth.sessions import NewSession, SessionKind, Visitor, start_session
from auth.shares import Link, Mode
from auth.sharing import OwnerShare, require_request, share_as_owner
from auth.staff import StaffRole, create_staff

SIZES = {"phone": (360, 640), "desktop": (1280, 800)}
FOLDER = SCREENSHOTS / "pages"
AXE = Axe()
STUDY = "1.2.826.0.1.1"
REPORT_STUDY = "1.2.826.0.1.2"
LIGHT = ["--disable-gpu", *(flag for flag in FLAGS if "swiftshader" not in flag and "gpu" not in flag)]
VISITOR = Visitor("192.0.2.7", "192.0.2.0/24", "Firefox on Linux")
CHECK = [
    {"name": name, "passed": name != "files", "took_ms": 12}
    for name in ("reachable", "stranger", "asked", "opened", "picture", "series", "files")
]
STEPS = ("password", "code", "totp", "setup-totp", "passkey", "setup-passkey", "ask", "asked", "passphrase")


@dataclass
class Scene:
    """A hospital with something on every page."""

    base: str
    cookies: dict[str, str] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)

    def paths(self) -> dict[str, str]:
        """Name of the picture → address of the page."""
        shares = {name: link.share_id for name, link in self.links.items()}
        return {
            "form": "/request",
            "typed-code": "/c",
            "nowhere": "/nowhere",
            "staff-sign-in": "/staff",
            "owner-link": f"/o/{self.requests['matched']}#AAAAAAAAAAAAAAAAAAAAAAAAAA",
            "share-link": f"/s/{shares['link']}x#{self.links['link'].secret}",
            "share-incomplete": f"/s/{shares['totp']}",
            "desk": "/desk",
            **{f"desk-request-{state}": f"/desk/requests/{one}" for state, one in self.requests.items()},
            "admin": "/admin",
            "status": "/admin/status",
            **{f"owner-{state}": f"/o/{self.requests[state]}/home" for state in ("matched", "waiting", "report")},
            "images": f"/s/{shares['link']}/images",
            "images-report-only": f"/s/{shares['report']}/images",
            "images-without-name": f"/s/{shares['without-name']}/images",
            "elsewhere": f"/s/{shares['link']}/elsewhere",
            "elsewhere-refused": f"/s/{shares['report']}/elsewhere",
        }


@pytest.fixture
async def scene(site) -> Scene:
    scene = Scene(site.base)
    access = site.access
    await _requests(site, scene)
    owned = await access.database.read(require_request, access, scene.requests["matched"])
    people = (NewPerson("Dr. Ada Okafor-Lindenbrook", "ada@example.org"),)
    for name, wanted in {
        "link": OwnerShare(Mode.LINK, "Zoë Müller"),
        "password": OwnerShare(Mode.PASSWORD, "Zoë Müller"),
        "code": OwnerShare(Mode.CODE, "Zoë Müller", people=people),
        "totp": OwnerShare(Mode.TOTP, "Zoë Müller", people=people),
        "without-name": OwnerShare(Mode.LINK, "A patient", without_name=True),
    }.items():
        scene.links[name] = (await share_as_owner(access, owned, wanted))[0].link
    scene.links["report"] = await site.share(site.report_study, label="Zoë Müller", may_download=False)
    await site.opened(scene.links["link"])
    for word in ("wrong", "worse"):
        path = f"/api/s/{scene.links['password'].share_id}"
        await site.client.post(f"{path}/open", json={"secret": scene.links["password"].secret})
        assert (await site.client.post(f"{path}/password", json={"password": word})).status == 403
    ticket = {"label": "Weasis at home", "ttl_s": 3600}
    share_id = scene.links["link"].share_id
    assert (await site.client.post(f"/api/s/{share_id}/tickets", json=ticket)).status == 201
    await create_staff(
        site.database, access.passwords, ("m.curie", "Marie Curie", frozenset(StaffRole)), access.clock()
    )
    for kind in ("transcode", "verify", "import"):
        await site.database.write(add_job, kind, {}, "command line", access.clock())
    await access.audit.flush()
    await _sessions(site, scene)
    return scene


async def _requests(site, scene) -> None:
    access = site.access
    about = {"name": "Zoë Müller", "email": "zoe@example.org", "mobile": "+491701234567", "consented": True}
    for state, patient_id in (("matched", "P-1"), ("waiting", "P-2"), ("doubtful", "P-3"), ("report", "P-4")):
        form = NewRequest(True, **about, patient_id=patient_id, accession_number=f"A{patient_id}", by="staff desk")
        made = await take_request(access, form, Sending(frozenset({"email", "sms"}), on_paper=True))
        scene.requests[state] = made.request_id
    scene.requests["new"] = await take_patients_request(access, NewRequest(True, **about, helper="Bo Müller"))
    await attach_studies(access, scene.requests["matched"], [STUDY], "staff desk")
    await attach_studies(access, scene.requests["report"], [REPORT_STUDY], "staff desk")
    checked = {"verified_ms": 1_790_000_000_000, "check_ms": 1_790_000_000_000, "check_result": json.dumps(CHECK)}
    doubtful = {"state": "doubtful", "reason": "several", "patient_id": "PID-1"}
    for name, values in (("matched", checked), ("doubtful", doubtful)):
        change = sa.update(requests).where(requests.c.id == scene.requests[name]).values(**values)
        await site.database.write(lambda connection, change=change: connection.execute(change).rowcount)


async def _sessions(site, scene) -> None:
    async def begin(kind: SessionKind, subject: str) -> None:
        token = await site.database.write(start_session, NewSession(kind, subject, VISITOR, True), site.access.clock())
        scene.cookies[site.access.cookies.name(kind, subject)] = token

    for state in ("matched", "waiting", "report"):
        await begin(SessionKind.OWNER, scene.requests[state])
    for name in ("link", "report", "without-name"):
        await begin(SessionKind.SHARE, scene.links[name].share_id)
    token = await site.database.write(
        start_session, NewSession(SessionKind.STAFF, "m.curie", VISITOR, True), site.access.clock()
    )
    scene.cookies[site.access.cookies.name(SessionKind.STAFF)] = token


@asynccontextmanager
async def somebody(scene: Scene, size: str, language: str) -> AsyncIterator[Page]:
    """A browser of this size and language with every session of the scene; its faults fail the test."""
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=LIGHT)
        width, height = SIZES[size]
        context: BrowserContext = await browser.new_context(
            viewport={"width": width, "height": height}, locale=language, has_touch=size == "phone"
        )
        await context.add_cookies(
            [{"name": name, "value": value, "url": scene.base} for name, value in scene.cookies.items()]
        )
        page = await context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        yield page
        await browser.close()
    assert faults == []


async def looked_at(page: Page, name: str) -> list[str]:
    """Keep a picture; what is wrong with the page as it stands."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=str(FOLDER / f"{name}.png"), full_page=True)
    found = (await AXE.run(page)).response["violations"]
    wrong = [
        f"{name}: {one['id']} {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    width = page.viewport_size["width"]
    if await page.evaluate("document.documentElement.scrollWidth") > width:
        wrong.append(f"{name} scrolls sideways")
    cut = await page.evaluate(CUT_OFF)
    return wrong + [f"{name}: cut off: {text}" for text in cut]


CUT_OFF = """() => [...document.querySelectorAll('main :is(button, .button, label, h1, h2, p), header *')]
  .filter(one => one.checkVisibility() && !one.closest('.visually-hidden, .skip') && one.tagName !== 'IMG'
    && (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline' && one.clientWidth
        || one.getBoundingClientRect().right > innerWidth + 1))
  .map(one => one.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize(("size", "language"), [("phone", "de"), ("desktop", "en")])
async def test_every_page_is_whole_and_without_serious_faults(scene: Scene, size: str, language: str) -> None:
    wrong: list[str] = []
    async with somebody(scene, size, language) as page:
        for name, path in scene.paths().items():
            answer = await page.goto(scene.base + path)
            assert answer.status < 500, f"{name}: the pages of a fault are whole too, and are not meant"
            assert await page.get_attribute("html", "lang") == language
            wrong += await looked_at(page, f"{name}-{size}-{language}")
        await page.goto(f"{scene.base}/s/{scene.links['totp'].share_id}x#{scene.links['totp'].secret}")
        for step in (*STEPS, "closed"):
            await page.evaluate(
                "step => { for (const one of document.querySelectorAll('[data-step]')) "
                "one.hidden = one.dataset.step !== step; }",
                step,
            )
            wrong += await looked_at(page, f"step-{step}-{size}-{language}")
    assert wrong == []


TAB_STOP = """() => {
  const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
  return {
    name: one.outerHTML.slice(0, 100), top: box.top + scrollY, inside: one.closest('main, header, footer')?.tagName,
    seen: box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth,
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  };
}"""


@pytest.mark.parametrize("name", ["form", "staff-sign-in", "owner-matched", "images", "elsewhere", "desk", "admin"])
async def test_the_keyboard_goes_down_the_page_and_shows_where_it_is(scene: Scene, name: str) -> None:
    async with somebody(scene, "phone", "en") as page:
        await page.goto(scene.base + scene.paths()[name])
        await page.evaluate("() => { document.activeElement.blur(); document.body.focus(); }")
        stops: list[dict] = []
        for _ in range(200):
            await page.keyboard.press("Tab")
            stop = await page.evaluate(TAB_STOP)
            if stops and stop["name"].startswith("<body"):
                break
            stops.append(stop)
        assert "skip" in stops[0]["name"] or name == "staff-sign-in"
        places = [("HEADER", "MAIN", "FOOTER").index(stop["inside"]) for stop in stops if stop["inside"]]
        assert places == sorted(places)
        assert len(set(places)) >= 2
        assert [stop["name"] for stop in stops if not (stop["seen"] and stop["ring"])] == []


@pytest.mark.parametrize(("size", "language"), [("phone", "es"), ("desktop", "fr")])
async def test_what_is_made_and_shown_once_is_whole(scene: Scene, size: str, language: str) -> None:
    wrong: list[str] = []
    paths = scene.paths()
    async with somebody(scene, size, language) as page:

        async def made(name: str) -> None:
            nonlocal wrong
            await page.wait_for_selector("[tabindex='-1']:focus")
            wrong += await looked_at(page, f"{name}-made-{size}-{language}")

        await page.goto(scene.base + paths["owner-matched"])
        await page.check("[name=without_name]")
        await page.click("details summary")
        await page.click("#share-form .primary")
        await page.wait_for_selector("#made [data-fill=url]")
        await made("owner")
        assert await page.input_value("#made [data-fill=url]")
        await page.goto(scene.base + paths["owner-matched"])
        await page.check("[name=mode][value=passkey]")
        await page.click("#share-form .primary")
        await page.wait_for_selector("#share-form .problem:not(:empty)")
        wrong += await looked_at(page, f"owner-nobody-named-{size}-{language}")
        await page.goto(scene.base + paths["elsewhere"])
        await page.fill("#ticket-label", "Weasis")
        await page.click("form .primary")
        await made("elsewhere")
        await page.goto(scene.base + paths["elsewhere"])
        await page.fill("#passcode", "a long passcode")
        await page.click("[data-reveal=health-link] button")
        await made("health-link")
        await page.goto(scene.base + paths["desk"])
        await page.fill("[name=patient_id]", "P-9")
        await page.fill("#f-name", "Zoë Müller")
        await page.check("[name=channels][value=paper]")
        await page.click("form .primary")
        await page.wait_for_selector("form .problem:not(:empty)")
        wrong += await looked_at(page, f"desk-no-consent-{size}-{language}")
        await page.check("[name=consented]")
        await page.select_option("[name=language]", "de")
        await page.click("form .primary")
        await made("desk")
        assert "vier Wörter" in await page.inner_text("#made [lang=de] ol"), "the patient's language, not the desk's"
        await page.emulate_media(media="print")
        await page.evaluate("() => document.querySelector('#made').classList.add('printed')")
        assert (await page.pdf(format="A4")).count(b"/Type /Page\n") == 1, "the handout alone, on one sheet"
        wrong += await looked_at(page, f"desk-printed-{size}-{language}")
        await page.emulate_media(media="screen")
        await page.goto(scene.base + paths["form"])
        await page.check("[name=wants][value=no]")
        await page.click("form .primary")
        await made("form-no")
        assert await page.locator("#taken h1:visible").count() == 1
    assert wrong == []
