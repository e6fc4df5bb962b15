"""The page and the README of an offline bundle: text that nothing runs in, readable without a network. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from archive.index.texts import readable_name, text_of
from archive.languages import Language

STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:70rem;margin:1.5rem auto;"
    "padding:0 1rem}ul{list-style:none;padding:0;display:grid;gap:.5rem;"
    "grid-template-columns:repeat(auto-fill,minmax(9rem,1fr))}img{width:100%;height:auto;display:block;"
    "background:#000}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}"
)
POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture or a readable report in the bundle, and the series that it belongs to."""

    name: str
    series: str
    title: str
    is_report: bool


def readme(file_count: int, series_count: int) -> bytes:
    """What the bundle is, in plain ASCII for any machine. It says nothing of the patient."""
    lines = (
        "This folder holds medical images in DICOM format.",
        "",
        f"DICOM files: {file_count}, series: {series_count}.",
        "",
        "DICOMDIR     the list of the files; viewers and archives import the folder by it",
        "DICOM/       the original images and reports, exactly as the hospital stored them",
        "INDEX.HTM    previews in any web browser, without a network, where they were asked for",
        "IHE_PDI/     the pictures of that page; they are for looking, not for diagnosis",
        "SHA256.TXT   the checksum of every file (check: sha256sum -c SHA256.TXT)",
        "",
        "Nothing here is a program, and nothing has to be installed from here.",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def index_page(language: Language, study: Mapping[str, Any], previews: Sequence[Preview], missing: int) -> bytes:
    """The page that shows the previews, from the DICOM JSON of one of the study's instances."""
    t = language.text
    name = readable_name(_text(study, "00100010"))
    born, on = (language.day(_text(study, tag)) for tag in ("00100030", "00080020"))
    facts = [name, born, _text(study, "00081030"), on]
    head = (
        f'<!doctype html>\n<html lang="{language.code}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(t("bundle.title"))}</title>'
        f"<style>{STYLE}</style></head><body><main><h1>{escape(t('bundle.title'))}</h1>"
        f"<p>{escape(' · '.join(filter(None, facts)))}</p><p>{escape(t('bundle.intro'))}</p>"
    )
    parts = [head]
    reports = [preview for preview in previews if preview.is_report]
    if reports:
        links = (
            f'<li><a href="{one.name}">{escape(one.title or t("bundle.report"))} {place}</a></li>'
            for place, one in enumerate(reports, 1)
        )
        parts.append(f"<h2>{escape(t('bundle.reports'))}</h2><ul>{''.join(links)}</ul>")
    pictures = (preview for preview in previews if not preview.is_report)
    for place, (_, group) in enumerate(groupby(pictures, key=lambda one: one.series), 1):
        parts.append(_series(language, place, list(group)))
    if missing:
        parts.append(f"<p>{escape(t('bundle.no_preview', count=missing))}</p>")
    parts.append(f"<p>{escape(t('bundle.checksums'))}</p></main></body></html>\n")
    return "".join(parts).encode()


def _series(language: Language, place: int, pictures: Sequence[Preview]) -> str:
    title = pictures[0].title or language.text("images.series", number=place)
    items = (
        f'<li><a href="{one.name}"><img loading="lazy" src="{one.name}" alt="{escape(title)} {number}"></a></li>'
        for number, one in enumerate(pictures, 1)
    )
    return f"<h2>{escape(title)} ({len(pictures)})</h2><ul>{''.join(items)}</ul>"


def _text(attributes: Mapping[str, Any], tag: str) -> str:
    return text_of(attributes.get(tag)).partition("\\")[0]
