"""Staff: sign-in in two steps, roles, and what the desk may not see."""

import pyotp
import pytest

from auth.desk import desk_row
from auth.requests import find_request
from auth.staff import StaffRole, create_staff, end_staff, list_staff
from auth.totp import PERIOD_S

PASSWORD = "a much better password"


async def account(archive, *roles, staff_id="m.curie"):
    member = (staff_id, "Marie Curie", frozenset(roles))
    return await create_staff(archive.database, archive.access.passwords, member, archive.access.clock())


async def signed_in(archive, client, *roles):
    """A signed-in member of staff; the seed of the app."""
    first = await account(archive, *roles)
    assert (await step(client, "sign-in", id="m.curie", password=first))["next"] == "change-password"
    told = await step(client, "password", password=PASSWORD)
    assert told["next"] == "setup-totp"
    code = pyotp.TOTP(told["seed"]).at(archive.wall.now_ms // 1000)
    assert (await step(client, "totp", code=code))["next"] == "none"
    return told["seed"]


async def step(client, path, **body):
    answer = await client.post(f"/api/staff/{path}", json=body)
    return {"status": answer.status, **(await answer.json())}


async def test_the_first_sign_in_changes_the_password_and_sets_the_app_up(archive, client):
    seed = await signed_in(archive, client, StaffRole.DESK)
    assert (await client.post("/api/desk/requests", json={"wants": "no", "channels": []})).status == 201
    archive.wall.advance(s=PERIOD_S)
    client.session.cookie_jar.clear()
    assert (await step(client, "sign-in", id=" M.Curie ", password=PASSWORD))["next"] == "totp"
    assert (await client.post("/api/desk/requests", json={"wants": "no", "channels": []})).status == 401
    assert (await step(client, "totp", code=pyotp.TOTP(seed).at(archive.wall.now_ms // 1000)))["next"] == "none"


async def test_no_step_can_be_left_out(archive, client):
    first = await account(archive, StaffRole.DESK)
    for path, body in (("password", {"password": PASSWORD}), ("totp", {"code": "123456"})):
        assert (await step(client, path, **body))["status"] == 401
    await step(client, "sign-in", id="m.curie", password=first)
    assert (await step(client, "totp", code="123456"))["status"] == 401
    assert (await client.post("/api/staff/passkey/options", json={})).status == 401


async def test_an_apps_code_is_taken_once(archive, client):
    seed = await signed_in(archive, client, StaffRole.DESK)
    client.session.cookie_jar.clear()
    await step(client, "sign-in", id="m.curie", password=PASSWORD)
    same = pyotp.TOTP(seed).at(archive.wall.now_ms // 1000)
    assert (await step(client, "totp", code=same))["status"] == 403


async def test_an_unknown_name_is_answered_like_a_wrong_password(archive, client):
    await account(archive, StaffRole.DESK)
    wrong = await step(client, "sign-in", id="m.curie", password="wrong password")
    unknown = await step(client, "sign-in", id="nobody", password="wrong password")
    for told in (wrong, unknown):
        del told["request_id"]
    assert wrong == unknown
    assert wrong["status"] == 403


async def test_guessing_a_password_pauses_the_account(archive, client):
    first = await account(archive, StaffRole.DESK)
    statuses = [(await step(client, "sign-in", id="m.curie", password="wrong"))["status"] for _ in range(21)]
    assert statuses == [403] * 20 + [429]
    assert (await step(client, "sign-in", id="m.curie", password=first))["status"] == 429
    archive.wall.advance(s=901)
    assert (await step(client, "sign-in", id="m.curie", password=first))["status"] == 200


@pytest.mark.parametrize(
    ("role", "desk", "accounts"),
    [(StaffRole.DESK, 201, 403), (StaffRole.ADMIN, 201, 201), (StaffRole.AUDITOR, 403, 403)],
)
async def test_a_role_may_what_it_says(archive, client, role, desk, accounts):
    await signed_in(archive, client, role)
    assert (await client.post("/api/desk/requests", json={"wants": "no", "channels": []})).status == desk
    member = {"id": "p.curie", "name": "Pierre", "roles": ["desk"]}
    assert (await client.post("/api/staff/accounts", json=member)).status == accounts


async def test_a_staff_session_opens_no_dicomweb_root(archive, client):
    await signed_in(archive, client, StaffRole.ADMIN)
    assert (await client.get("/dicom-web/studies")).status == 401


async def test_a_closed_account_is_out_at_once(archive, client):
    await signed_in(archive, client, StaffRole.DESK)
    await end_staff(archive.database, "m.curie", archive.access.clock())
    archive.access.forget()
    assert (await client.post("/api/desk/requests", json={"wants": "no", "channels": []})).status == 401
    assert (await list_staff(archive.database))[0].ended_ms is not None


async def test_signing_out_ends_the_session(archive, client):
    await signed_in(archive, client, StaffRole.DESK)
    assert await (await client.delete("/api/staff/session")).json() == {"url": "/staff"}
    assert (await client.post("/api/desk/requests", json={"wants": "no", "channels": []})).status == 401


async def test_the_desk_sees_counts_and_neither_secrets_nor_whom_the_patient_named(archive, client, owner):
    people = [{"name": "Dr. Secret Friend", "contact": "friend@example.org"}]
    made = (await owner.share(mode="code", people=people, send=True))["links"][0]
    request = await archive.database.read(find_request, archive.access.vault, owner.request_id)
    row = await archive.database.read(desk_row, request)
    assert row.living_shares == 2
    told = str(row)
    for secret in ("Secret Friend", "friend@example.org", made["url"], owner.secret, made["share_id"]):
        assert secret not in told


async def test_the_desk_gets_the_link_only_for_paper_and_only_once(archive, client):
    await signed_in(archive, client, StaffRole.DESK)
    form = {
        "wants": "yes",
        "name": "Zoë",
        "email": "zoe@example.org",
        "consented": True,
        "patient_id": "P9",
        "accession_number": "A9",
    }
    by_mail = await (await client.post("/api/desk/requests", json={**form, "channels": ["email"]})).json()
    assert "handout" not in by_mail
    answer = await client.post("/api/desk/requests", json={**form, "channels": ["email", "paper"]})
    on_paper = await answer.json()
    assert on_paper["handout"]["qr"].startswith("<svg")
    assert len(on_paper["handout"]["typed"]) == 2


async def test_the_patients_form_is_slowed_down(archive, client):
    form = {"wants": "no"}
    statuses = [(await client.post("/api/requests", json=form)).status for _ in range(12)]
    assert statuses == [201] * 10 + [429] * 2
