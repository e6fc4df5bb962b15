"""The whole way in a real browser: form → STOW → mail → link → check → four ways to share → images → off.

A real server, a real SMTP server that keeps the mails, and a browser profile of its own for each person.
"""

import asyncio
import json
import time

import pyotp
import requests
from journey import (
    FRIEND,
    PHONE,
    House,
    fill_in_form,
    gives_code,
    images_are_visible,
    looked_at,
    opens,
    owner_opens,
    people,
    share,
    sign_in,
    status_of,
    store_study,
)
from playwright.async_api import Page

OFF_WITHIN_S = 2.0
FIRST_IMAGE_WITHIN_S = {"loopback": 1.0, "10 Mbit/s, 40 ms": 3.0}


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
