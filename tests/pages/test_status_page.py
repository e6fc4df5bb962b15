"""What an administrator sees of jobs: how far each is, in bars that also say it in words."""

import re

import pytest

from archive.jobs.kinds import NewUnit
from archive.jobs.queue import Ended, Lease, add_job, claim_units, settle_units
from auth.sessions import NewSession, SessionKind, Visitor, start_session
from auth.staff import StaffRole, create_staff

VISITOR = Visitor("192.0.2.7", "192.0.2.0/24", "Firefox on Linux")
LEASE = Lease("worker", 1000, 60_000)


@pytest.fixture
async def admin(site):
    """Headers of an administrator's browser."""
    now_ms = site.access.clock()
    await create_staff(site.database, site.access.passwords, ("m.curie", "Marie Curie", frozenset(StaffRole)), now_ms)
    session = NewSession(SessionKind.STAFF, "m.curie", VISITOR, True)
    token = await site.database.write(start_session, session, now_ms)
    return {"Cookie": f"{site.access.cookies.name(SessionKind.STAFF)}={token}"}


async def half_done(site) -> None:
    """A job of which 1 of 3 is done, and one that nobody has begun."""
    await site.database.write(add_job, "transcode", {"study": "1.2.826.0.1.1"}, "command line", 1000)
    planning = await site.database.write(claim_units, {"transcode": 1}, LEASE)
    planned = Ended(planning.units[0].id, units=[NewUnit({}, 1)] * 3)
    await site.database.write(settle_units, planning, [planned], "worker", 1000)
    claim = await site.database.write(claim_units, {"transcode": 1}, LEASE)
    await site.database.write(settle_units, claim, [Ended(claim.units[0].id)], "worker", 1000)
    await site.database.write(add_job, "import", {"folder": "/srv/Doe^Jane"}, "command line", 1000)


async def test_each_job_has_a_bar_with_a_name_and_words(site, admin):
    await half_done(site)
    page = await (await site.client.get("/admin/status?lang=en", headers=admin)).text()
    bar = re.search(r'<progress aria-labelledby="(job-1)" aria-describedby="(job-1-count)" value="1" max="3">', page)
    assert bar
    assert re.search(rf'id="{bar[1]}"><strong>1: Copies in HTJ2K<', page)
    assert re.search(rf'id="{bar[2]}">Running; 1 of 3 done, 0 failed<', page)
    assert "Waiting; 0 of 0 done" in page
    assert "Doe" not in page, "a folder's name may be a patient's"


async def test_there_may_be_no_jobs(site, admin):
    assert "There are no jobs." in await (await site.client.get("/admin/status?lang=en", headers=admin)).text()


@pytest.mark.parametrize("code", ["de", "fr", "es"])
async def test_every_state_and_kind_has_words_in_every_language(site, admin, code):
    await half_done(site)
    page = await (await site.client.get(f"/admin/status?lang={code}", headers=admin)).text()
    words = {"de": "Läuft; 1 von 3", "fr": "En cours ; 1 sur 3", "es": "En curso; 1 de 3"}
    assert words[code] in page
