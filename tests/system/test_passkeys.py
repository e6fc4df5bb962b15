"""Passkeys in a real browser with a virtual authenticator: for who is shared with, and for owners."""

from journey import (
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
    store_study,
)
from playwright.async_api import Page


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
