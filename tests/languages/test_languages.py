"""Texts in every language, chosen as the visitor asks."""

import ast
import html.parser
import re
from pathlib import Path

import pytest

import archive
from archive.languages import choose_language, load_languages

LANGUAGES = load_languages()
HOME = Path(archive.__file__).parent
TEMPLATES = sorted((HOME / "pages" / "templates").glob("*.html"))
SCRIPTS = sorted((HOME / "pages" / "static").glob("*.js"))
NO_WORDS = {"QR", "ABCDE-12345", "ABCDE-ABCDE-…", "ms"}
"""What a template may say by itself: it is the same in every language."""
SPOKEN = ("alt", "aria-label", "title", "placeholder", "data-confirm", "data-busy", "data-text")


class Words(html.parser.HTMLParser):
    """What a template says to people that comes from no language file."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag, attributes):
        self._silent += tag in ("script", "style")
        self.found += [value for name, value in attributes if name in SPOKEN and value]

    def handle_endtag(self, tag):
        self._silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._silent:
            self.found.append(data)


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


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_a_word_of_its_own(template):
    words = Words()
    words.feed(
        re.sub(r"{% block body_class %}.*?%}|{%.*?%}|{{.*?}}|{#.*?#}", " ", template.read_text(), flags=re.DOTALL)
    )
    spoken = {word for text in words.found for word in text.split() if re.search(r"[^\W\d_]", word)}
    assert spoken <= NO_WORDS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_says_a_sentence_of_its_own(script):
    code = re.sub(r"^\s*//.*$|\s// .*$", "", script.read_text(), flags=re.MULTILINE)
    strings = re.findall(r'"([^"\n]*)"|`([^`\n]*)`|\'([^\'\n]*)\'', code)
    said = [re.sub(r"\$\{.*?\}", "", text) for found in strings for text in found]
    said = [text for text in said if re.search(r"[A-Za-z]{2,} [a-z]{2,}", text)]
    assert [text for text in said if text != "use strict" and not re.search(r"[\[<#.]", text)] == []
    assert not re.search(r"textContent = [\"`\']\w", code)


def test_every_text_that_a_template_asks_for_is_there():
    asked = {key for path in TEMPLATES for key in re.findall(r"\bt\('([^']+)'[,)]", path.read_text())}
    assert len(asked) > 100
    assert asked <= set(LANGUAGES["en"].texts)


@pytest.mark.parametrize("code", sorted(set(LANGUAGES) - {"en"}))
def test_no_sentence_was_left_in_english(code):
    english = LANGUAGES["en"].texts
    same = [key for key, text in LANGUAGES[code].texts.items() if text == english[key] and len(text.split()) > 2]
    assert [key for key in same if key not in ("else.shl", "date.form")] == []


def test_every_reason_why_a_message_does_not_go_out_has_a_text():
    reasons: set[str] = {"withdrawn"}
    for path in (HOME / "delivery").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "TemporaryFailureError",
                "PermanentFailureError",
                "_failure",
            ):
                reasons |= {str(one.value) for one in ast.walk(node) if _is_reason(one)}
            if isinstance(node, ast.FunctionDef) and node.name == "_reason":
                returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
                reasons |= {str(one.value) for one in returned if _is_reason(one)}
    assert len(reasons) > 10
    for reason in reasons:
        words = reason.partition(" (")[0]
        assert f"failure.{words}" in LANGUAGES["en"].texts
        assert LANGUAGES["de"].failure(f"{words} (550)") == LANGUAGES["de"].texts[f"failure.{words}"] + " (550)"


def _is_reason(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip(" ()")


def test_a_reason_that_nobody_knows_stays_as_it_is():
    assert LANGUAGES["de"].failure("an older reason (451)") == "an older reason (451)"
