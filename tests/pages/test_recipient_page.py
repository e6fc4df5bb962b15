"""What a stranger, and what a holder of a link gets to see."""

import json
import re

import sqlalchemy as sa

from archive.database import index_tables
from archive.index.texts import readable_name
from auth.shares import Ending, Mode, end_share
from auth.tokens import random_code

HTML = {"Accept": "text/html"}


async def test_the_link_page_is_the_same_bytes_for_any_link(site):
    known = await site.share()
    locked = await site.share(mode=Mode.PASSWORD, password="a long enough password")
    over = await site.share()
    await site.database.write(end_share, over.share_id, Ending.REVOKED, "test", site.access.clock())
    pages = set()
    for share_id in (known.share_id, locked.share_id, over.share_id, random_code(10), "nonsense"):
        answer = await site.client.get(f"/s/{share_id}", headers=HTML)
        assert answer.status == 200
        pages.add(await answer.read())
    assert len(pages) == 1
    [page] = pages
    assert b"M\xc3\xbcller" not in page
    assert b"CT head" not in page


async def test_no_page_loads_anything_from_elsewhere_and_every_page_says_so(site):
    link = await site.share()
    await site.opened(link)
    for path in (f"/s/{link.share_id}", f"/s/{link.share_id}/images", "/c", "/nowhere"):
        answer = await site.client.get(path, headers=HTML)
        policy = answer.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Robots-Tag"].startswith("noindex")
        text = await answer.text()
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text)
        assert not re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text)
        assert not re.findall(r"""\son\w+=|\sstyle=""", text)


async def test_without_a_session_the_images_lead_back_to_the_link(site):
    link = await site.share()
    answer = await site.client.get(f"/s/{link.share_id}/images", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, f"/s/{link.share_id}")


async def test_the_images_page_tells_who_what_and_until_when(site):
    link = await site.share(label="Dr. <i>Ada</i> Okafor")
    await site.opened(link)
    text = await (await site.client.get(f"/s/{link.share_id}/images?lang=en", headers=HTML)).text()
    for told in (
        "Dr. &lt;i&gt;Ada&lt;/i&gt; Okafor",
        "Zoë",
        "Zoë &lt;b&gt; Müller",
        "CT head",
        "3 November 2026",
        "Axial 5 mm",
    ):
        assert told in text
    assert "<b>" not in text
    assert "until" in text


async def test_the_first_picture_is_in_the_page_and_can_be_fetched(site):
    link = await site.share()
    await site.opened(link)
    text = await (await site.client.get(f"/s/{link.share_id}/images", headers=HTML)).text()
    url = re.search(r'data-picture.*?src="([^"]+)"', text, re.DOTALL)[1]
    assert url.startswith(f"/s/{link.share_id}/dicom-web/studies/1.2.826.0.1.1/series/1.2.826.0.2.1/instances/")
    answer = await site.client.get(url)
    assert answer.content_type == "image/jpeg"


async def test_the_quick_look_knows_every_picture_in_order_frames_too_and_no_report(site):
    link = await site.share()
    await site.opened(link)
    text = await (await site.client.get(f"/s/{link.share_id}/images", headers=HTML)).text()
    data = json.loads(re.search(r"data-pictures>(.*?)</script>", text, re.DOTALL)[1])
    assert [len(series["pictures"]) for series in data["series"]] == [60, 8]
    assert data["series"][0]["pictures"][0].endswith("/instances/1.2.826.0.3.1")
    assert data["series"][1]["pictures"][7].endswith("/frames/8")
    assert "/instances/1.2.826.0.3.62/rendered" in text


async def test_a_share_without_reports_shows_none(site):
    link = await site.share(with_reports=False)
    await site.opened(link)
    text = await (await site.client.get(f"/s/{link.share_id}/images", headers=HTML)).text()
    assert "1.2.826.0.3.62" not in text


async def test_a_report_without_images_is_called_that(site):
    link = await site.share(site.report_study)
    await site.opened(link)
    text = await (await site.client.get(f"/s/{link.share_id}/images?lang=en", headers=HTML)).text()
    assert "There is a report, but there are no images." in text
    assert "holds a report and no images" not in text, "once is enough"
    assert "<img data-picture" not in text


async def test_pages_speak_the_visitors_language_and_can_be_switched(site):
    german = await site.client.get("/s/0000000000", headers={**HTML, "Accept-Language": "de"})
    assert '<html lang="de">' in await german.text()
    assert "Accept-Language" in german.headers["Vary"]
    spanish = await site.client.get("/s/0000000000?lang=es", headers={**HTML, "Accept-Language": "de"})
    assert '<html lang="es">' in await spanish.text()


async def test_static_files_can_be_kept_for_ever_and_change_their_address(site):
    text = await (await site.client.get("/c", headers=HTML)).text()
    for url in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
        answer = await site.client.get(url)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert "immutable" not in (await site.client.get(url.replace(url[8:12], "0000"))).headers["Cache-Control"]
    assert (await site.client.get("/static/0123456789abcdef/base.html")).status == 404


async def test_robots_are_told_to_stay_away_without_a_link_being_named(site):
    await site.share()
    text = await (await site.client.get("/robots.txt")).text()
    assert text == "User-agent: *\nDisallow: /\n"


async def test_an_error_is_a_page_for_people_and_json_for_programs(site):
    page = await site.client.get("/nowhere", headers=HTML)
    assert (page.status, page.content_type) == (404, "text/html")
    program = await site.client.get("/nowhere", headers={"Accept": "*/*"})
    assert (program.status, program.content_type) == (404, "application/problem+json")
    api = await site.client.get("/api/s/0000000000/tickets", headers=HTML)
    assert (api.status, api.content_type) == (401, "application/problem+json")


def test_names_are_read_as_they_are_said():
    assert readable_name("Doe^Jane^Q^Dr^Jr") == "Dr Jane Q Doe Jr"
    assert readable_name("Yamada^Tarou=山田^太郎") == "Tarou Yamada"
    assert readable_name("=山田^太郎") == "太郎 山田"
    assert readable_name("") == ""


async def test_whoever_looks_at_images_that_are_taken_back_is_told_so_in_plain_words(site):
    link = await site.share()
    await site.opened(link)
    moved = sa.update(index_tables.studies).values(PatientID="another")
    await site.database.write(lambda connection: connection.execute(moved).rowcount)
    site.access.forget()
    answer = await site.client.get(f"/s/{link.share_id}/images?lang=en", headers=HTML)
    text = await answer.text()
    assert "this link is paused" in text
    assert "CT head" not in text
    assert "Müller" not in text
