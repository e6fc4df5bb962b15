"""What owners are told of their images, and what the choices mean."""

import sqlalchemy as sa

from archive.database import index_tables
from archive.database.access_tables import audit_events
from archive.database.journey_tables import requests
from archive.languages import load_languages
from auth.desk import Sending, attach_studies, take_request
from auth.factors import Passwords
from auth.matching import newly_ready
from auth.requests import NewRequest, mark
from auth.sessions import NewSession, SessionKind, Visitor, start_session
from auth.staff import StaffRole, create_staff

HTML = {"Accept": "text/html"}
NOBODY_KNOWN = Visitor("127.0.0.1", "127.0.0.1", "test")


async def owner_page(site, *study_uids, verified=False):
    """The page of an owner whose request has these studies, and the request's id."""
    form = NewRequest(True, name="Zoë", patient_id="P", accession_number="A", consented=True, by="staff desk")
    made = await take_request(site.access, form, Sending(on_paper=True))
    if study_uids:
        await attach_studies(site.access, made.request_id, list(study_uids), "staff desk")
    if verified:
        await site.database.write(lambda connection: mark(connection, made.request_id, verified_ms=1))
    new = NewSession(SessionKind.OWNER, made.request_id, NOBODY_KNOWN, True)
    cookie = await site.database.write(start_session, new, site.access.clock())
    site.client.session.cookie_jar.update_cookies({f"lightbox-o-{made.request_id}": cookie})
    answer = await site.client.get(f"/o/{made.request_id}/home?lang=en", headers=HTML)
    assert answer.status == 200
    return await answer.text(), made.request_id


async def test_before_the_images_the_page_says_so_and_looks_again_by_itself(site):
    text, _ = await owner_page(site)
    assert "not here yet" in text
    assert 'data-every="5"' in text


async def test_images_that_are_all_here_are_called_ready(site):
    text, request_id = await owner_page(site, "1.2.826.0.1.1")
    assert "Your images are here" in text
    assert await site.database.read(newly_ready, 0, site.access.clock()) == [request_id]


async def test_images_that_still_come_are_called_arriving(site):
    now_ms = site.access.clock()
    fresh = sa.update(index_tables.instances).values(stored_ms=now_ms)
    await site.database.write(lambda connection: connection.execute(fresh).rowcount)
    text, _ = await owner_page(site, "1.2.826.0.1.1")
    assert "Your images are arriving" in text


async def test_a_report_without_images_never_goes_out_as_your_images_are_ready(site):
    text, _ = await owner_page(site, site.report_study)
    assert "Only a report has come so far" in text
    assert "Your images are here" not in text
    assert "There is a report, but there are no images." in text
    assert await site.database.read(newly_ready, 0, site.access.clock()) == []


async def test_each_way_to_share_says_its_risk_and_password_is_chosen(site):
    text, _ = await owner_page(site, "1.2.826.0.1.1", verified=True)
    english = load_languages()["en"]
    for mode in ("link", "password", "code", "totp", "passkey"):
        assert english.texts[f"share.{mode}_risk"] in text
    assert 'value="password" data-chooses checked' in text


async def test_the_page_says_what_switching_off_cannot_do(site):
    text, _ = await owner_page(site, "1.2.826.0.1.1", verified=True)
    assert "copies that somebody made stay with them" in text


async def test_an_owner_page_needs_the_owners_session(site):
    _, request_id = await owner_page(site)
    site.client.session.cookie_jar.clear()
    answer = await site.client.get(f"/o/{request_id}/home", headers=HTML, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, f"/o/{request_id}")


async def test_staff_pages_lead_to_the_sign_in(site):
    for path in ("/desk", "/admin", "/desk/requests/0000000000"):
        answer = await site.client.get(path, headers=HTML, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/staff")
    for path in ("/audit/events.jsonl", "/audit/events.xml"):
        assert (await site.client.get(path)).status == 401


async def test_a_withdrawn_request_shows_nothing_any_more(site):
    _, request_id = await owner_page(site, "1.2.826.0.1.1")
    ended = sa.update(requests).values(secret_sha256=None)
    await site.database.write(lambda connection: connection.execute(ended).rowcount)
    site.access.forget()
    answer = await site.client.get(f"/o/{request_id}/home", headers=HTML, allow_redirects=False)
    assert answer.status == 303


async def test_images_taken_back_are_called_so_and_nothing_of_them_is_shown(site):
    moved = sa.update(index_tables.studies).values(PatientID="another")
    text, request_id = await owner_page(site, "1.2.826.0.1.1")
    assert "CT head" in text
    await site.database.write(lambda connection: connection.execute(moved).rowcount)
    answer = await site.client.get(f"/o/{request_id}/home?lang=en", headers=HTML)
    text = await answer.text()
    assert "Your images were taken back for now" in text
    assert "CT head" not in text


async def test_whoever_sees_patient_data_on_a_page_is_in_the_trail(site):
    _, request_id = await owner_page(site, "1.2.826.0.1.1")
    link = await site.share()
    await site.opened(link)
    await site.client.get(f"/s/{link.share_id}/images", headers=HTML)
    session = NewSession(SessionKind.STAFF, "m.curie", NOBODY_KNOWN, True)
    await create_staff(site.database, Passwords(), ("m.curie", "M", frozenset({StaffRole.DESK})), 1)
    cookie = await site.database.write(start_session, session, site.access.clock())
    site.client.session.cookie_jar.update_cookies({"lightbox-staff": cookie})
    for path in ("/desk", f"/desk/requests/{request_id}"):
        assert (await site.client.get(path, headers=HTML)).status == 200
    await site.access.audit.flush()
    query = sa.select(audit_events.c.who_kind, audit_events.c.share_id, audit_events.c.study_uid)
    read = query.where(audit_events.c.action == "metadata")
    seen = {tuple(row) for row in await site.database.read(lambda connection: connection.execute(read).all())}
    assert seen == {
        ("owner", request_id, "1.2.826.0.1.1"),
        ("share", link.share_id, "1.2.826.0.1.1"),
        ("staff", "", ""),
        ("staff", request_id, "1.2.826.0.1.1"),
    }
