"""Texts in every language, chosen as the visitor asks."""

import re

import pytest

from archive.languages import choose_language, load_languages

LANGUAGES = load_languages()


def test_every_language_has_every_text_with_the_same_placeholders():
    english = LANGUAGES["en"].texts
    assert {"en", "de", "fr", "es"} <= set(LANGUAGES)
    for language in LANGUAGES.values():
        assert set(language.texts) == set(english), language.code
        for key, text in language.texts.items():
            assert text.strip(), (language.code, key)
            assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", english[key])), (
                language.code,
                key,
            )
        assert len(language.texts["date.months"].split()) == 12


@pytest.mark.parametrize(
    ("asked", "accepted", "code"),
    [
        ("", "", "en"),
        ("", "de-CH,fr;q=0.8", "de"),
        ("", "pt;q=0.9, fr;q=0.8, es;q=0.85", "es"),
        ("fr", "de", "fr"),
        ("../../etc/passwd", "de", "de"),
        ("", "x;q=nonsense, es", "es"),
        ("", "zh, ja", "en"),
    ],
)
def test_the_language_is_the_one_asked_for_or_the_browsers_best(asked, accepted, code):
    assert choose_language(LANGUAGES, asked, accepted).code == code


def test_dates_are_written_as_people_write_them_and_nonsense_stays():
    assert LANGUAGES["de"].day("20261103") == "3. November 2026"
    assert LANGUAGES["es"].day("20261103") == "3 de noviembre de 2026"
    assert LANGUAGES["en"].day("2026") == "2026"
    assert LANGUAGES["en"].day("") == ""
