"""The texts of the pages, one JSON file for each language: `<code>.json` beside this file, the same keys in each.

Another language is another file; nothing else names the languages.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Language:
    """One language's texts. `texts["language.name"]` is its own name for itself."""

    code: str
    texts: Mapping[str, str]

    def text(self, key: str, **values: object) -> str:
        """The text with its {placeholders} filled in; KeyError for a key that is not there."""
        return self.texts[key].format(**values) if values else self.texts[key]

    def day(self, date: str) -> str:
        """A DICOM date (DA, YYYYMMDD) as people write it; what is no date stays as it is."""
        try:
            parsed = datetime.strptime(date[:8], "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            return date
        months = self.texts["date.months"].split()
        return self.text("date.form", day=parsed.day, month=months[parsed.month - 1], year=parsed.year)

    def moment(self, time_ms: int) -> str:
        """A time as day and minute, UTC said so."""
        parsed = datetime.fromtimestamp(time_ms / 1000, UTC)
        return f"{self.day(parsed.strftime('%Y%m%d'))}, {parsed:%H:%M} UTC"

    def until(self, time_ms: int) -> str:
        """The day of a time."""
        return self.day(datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y%m%d"))

    def failure(self, reason: str) -> str:
        """Why a message has not gone out: `delivery`'s words, and the other server's code in parentheses.

        A reason without a text stays as it is: an older version's may be in the database.
        """
        words, _, code = reason.partition(" (")
        text = self.texts.get(f"failure.{words}", words)
        return f"{text} ({code}" if code else text


def load_languages() -> dict[str, Language]:
    """All languages, by code."""
    folder = resources.files("archive.languages")
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".json")), key=lambda entry: entry.name)
    return {
        entry.name.removesuffix(".json"): Language(
            entry.name.removesuffix(".json"), json.loads(entry.read_text(encoding="utf-8"))
        )
        for entry in found
    }


def choose_language(languages: Mapping[str, Language], asked: str, accept_language: str) -> Language:
    """The language that the page's address asks for, else the browser's best one of ours, else English."""
    if asked in languages:
        return languages[asked]
    ranked: list[tuple[float, int, str]] = []
    for place, item in enumerate(accept_language[:500].split(",")):
        code, _, quality = item.strip().partition(";q=")
        try:
            ranked.append((-float(quality or 1), place, code.strip().split("-")[0].lower()))
        except ValueError:
            continue
    for _, _, code in sorted(ranked):
        if code in languages:
            return languages[code]
    return languages[DEFAULT_LANGUAGE]
