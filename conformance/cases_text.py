"""Character sets: what was stored in any repertoire comes back in UTF-8, and can be searched for in UTF-8."""

from __future__ import annotations

from functools import partial

from conformance.corpus_text import TEXT_ROWS, TextRow
from conformance.dataset_json import datasets, first, matches, uids
from conformance.model import Case, Level, Service
from conformance.native_xml import parse_native
from conformance.probe import JSON, XML, Probe, expect, expect_status

REQ, REC, INF = Level.REQUIRED, Level.RECOMMENDED, Level.INFORMATIVE


def _metadata(row: TextRow, probe: Probe) -> None:
    sample = probe.sample(f"text-{row.id}")
    response = probe.session.metadata_once(sample.path, probe)
    expect_status(response, 200)
    stored = datasets(response)[0]
    name = first(stored, "PatientName")
    expect(name == row.person_name(probe.corpus.token), f"Patient's Name is {name}")
    words = first(stored, "StudyDescription")
    expect(words == row.words, f"Study Description is {words!r}, expected {row.words!r}")


def _search_answer(row: TextRow, probe: Probe) -> None:
    sample = probe.sample(f"text-{row.id}")
    found = matches(probe.search("/studies", {"StudyInstanceUID": sample.study_uid}))
    name = first(found[0], "PatientName")
    expect(name == row.person_name(probe.corpus.token), f"Patient's Name is {name}")


def _find(value: str, row: TextRow, probe: Probe) -> None:
    sample = probe.sample(f"text-{row.id}")
    keys = {
        "PatientName": value.format(name=probe.corpus.token + row.name, token=probe.corpus.token, part=row.fragment)
    }
    found = uids(matches(probe.search("/studies", keys)), "StudyInstanceUID")
    expect(sample.study_uid in found, f"a search for {keys['PatientName']!r} does not find the study")


def _xml(row: TextRow, probe: Probe) -> None:
    sample = probe.sample(f"text-{row.id}")
    response = probe.get(f"{sample.path}/metadata", XML)
    expect_status(response, 200)
    native = parse_native(response.parts()[0].body)
    found = native["00081030"].values
    expect(found == [row.words], f"Study Description is {found}")
    names = native["00100010"].names
    expect(names == [row.person_name(probe.corpus.token)], f"Patient's Name is {names}")


def _kept(row: TextRow, probe: Probe) -> None:
    """Specific Character Set of the metadata, if there, must not make a client decode UTF-8 again wrongly."""
    sample = probe.sample(f"text-{row.id}")
    stored = datasets(probe.get(f"{sample.path}/metadata", JSON))[0]
    names = stored.get("00080005", {}).get("Value")
    probe.note(f"Specific Character Set in the metadata: {names}")


CASES = (
    *(
        Case(
            f"T-metadata-{row.id}",
            Service.METADATA,
            "8.8, F.2",
            REQ,
            f"{row.script} comes back in UTF-8 in the metadata.",
            partial(_metadata, row),
        )
        for row in TEXT_ROWS
    ),
    *(
        Case(
            f"T-search-{row.id}",
            Service.QIDO,
            "8.8, F.2",
            REQ,
            f"{row.script} comes back in UTF-8 from a search.",
            partial(_search_answer, row),
        )
        for row in TEXT_ROWS
    ),
    *(
        Case(
            f"T-find-{row.id}",
            Service.QIDO,
            "8.3.4.1, 8.8",
            REC,
            f"A whole name in {row.script} finds its study.",
            partial(_find, "{name}", row),
        )
        for row in TEXT_ROWS
    ),
    *(
        Case(
            f"T-find-part-{row.id}",
            Service.QIDO,
            "8.3.4.1, PS3.4 C.2.2.2.4",
            REC,
            f"A part of a name in {row.script} between asterisks finds its study.",
            partial(_find, "{token}*{part}*", row),
        )
        for row in TEXT_ROWS
    ),
    *(
        Case(
            f"T-xml-{row.id}",
            Service.METADATA,
            "8.7.3.2, PS3.19 A.1",
            REQ,
            f"{row.script} comes back in XML.",
            partial(_xml, row),
        )
        for row in TEXT_ROWS
        if row.id in ("latin1", "cyrillic", "kanji", "korean", "utf8")
    ),
    *(
        Case(
            f"T-charset-{row.id}",
            Service.METADATA,
            "F.2",
            INF,
            "What the metadata says of the source's character set.",
            partial(_kept, row),
        )
        for row in TEXT_ROWS
        if row.id in ("latin1", "kanji")
    ),
)
