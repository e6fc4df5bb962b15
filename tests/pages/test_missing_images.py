"""Whoever looks at a study is told in their language what is missing."""

import pytest

HTML = {"Accept": "text/html"}
SENTENCES = {
    "en": "There is a report, but there are no images.",
    "de": "Es gibt einen Befund, aber keine Bilder.",
    "fr": "Il y a un compte rendu, mais aucune image.",
    "es": "Hay un informe, pero no hay imágenes.",
}


@pytest.mark.parametrize("language", SENTENCES)
async def test_a_recipient_is_told_that_there_is_only_a_report(site, language):
    link = await site.share(site.report_study)
    await site.opened(link)
    answer = await site.client.get(f"/s/{link.share_id}/images?lang={language}", headers=HTML)
    assert SENTENCES[language] in await answer.text()


async def test_nothing_is_said_of_a_study_that_lacks_nothing(site):
    link = await site.share()
    await site.opened(link)
    answer = await site.client.get(f"/s/{link.share_id}/images?lang=en", headers=HTML)
    assert "Images may be missing" not in await answer.text()
