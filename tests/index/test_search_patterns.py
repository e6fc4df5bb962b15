"""Whatever stands in values and patterns: a search finds what a plain reading of the pattern finds, and never fails."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from search_builder import IndexBuilder

from archive.attributes import ATTRIBUTES, Level
from archive.errors import BadRequestError
from archive.identifiers import SeriesUID, StudyUID
from archive.index.folding import fold
from archive.index.query import StudyMatch
from archive.index.search import search
from archive.scope import Scope
from qido.parameters import Pairs, Resource, parse_search

VALUES = (
    "abc", "ABC", "abcabc", "a[b]c", "[[]]", "a]b[c", "x%y_z", "aéb", "a*b", "a?b", "ab", "a", "zzzabczzz", "a^b",
    "日本語", "a'b\"c", "-abc-", "a=b=c", "abc abc", "[abc]", "[^a]bc", "{abc}", "a.b.c",
)  # fmt: skip
COLUMNS = ("PatientID", "AccessionNumber", "StudyDescription", "IssuerOfPatientID")


@dataclass(frozen=True)
class Archive:
    index: IndexBuilder
    values: dict[str, str]
    names: dict[str, str]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    index = IndexBuilder(tmp_path_factory.mktemp("patterns") / "index.sqlite")
    values, names = {}, {}
    for number, value in enumerate(VALUES):
        name = value.replace("=", "").strip("^") or "none"
        index.add(str(number), PatientName=name, **dict.fromkeys(COLUMNS, value))
        values[f"1.2.{number}"], names[f"1.2.{number}"] = value, name
    yield Archive(index, values, names)
    index.engine.dispose()


patterns = st.text(st.sampled_from("abcxyz[]*?%_^é. -Aﾀ日本語"), min_size=1, max_size=9) | st.sampled_from(
    [f"*{value}*" for value in VALUES] + [f"{value}*" for value in VALUES] + list(VALUES)
)
often = settings(max_examples=250, deadline=None)


def found(archive: Archive, pairs: Pairs, resource: Resource | None = None) -> set[str]:
    query = parse_search(resource or Resource(Level.STUDY), pairs).query
    with archive.index.connect() as connection:
        matches = search(Scope.everything(), connection, query).matches
    return {match.study_uid for match in matches if isinstance(match, StudyMatch)}


def reads_as(pattern: str, value: str) -> bool:
    """The pattern by another matcher than the database's."""
    meant = "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
    return re.fullmatch(meant, value, re.DOTALL) is not None


@often
@given(pattern=patterns, keyword=st.sampled_from(COLUMNS))
@example("*[b]*", "PatientID")
@example("[[]*", "AccessionNumber")
@example("*[^a]bc", "StudyDescription")
@example("*bc]", "PatientID")
@example("*語*", "PatientID")
@example("a*éb", "PatientID")
def test_a_pattern_finds_what_it_reads_as(archive: Archive, pattern: str, keyword: str) -> None:
    asked = pattern.strip()
    if not asked:
        return
    expected = {uid for uid, value in archive.values.items() if reads_as(asked, value)}
    assert found(archive, [(keyword, pattern)]) == expected


@often
@given(pattern=patterns)
@example("*bc]*")
@example("[[]]")
def test_a_pattern_finds_names_without_case_and_diacritics(archive: Archive, pattern: str) -> None:
    asked = pattern.strip()
    literal = asked.strip("*?^ ")
    if len(literal) < 2 or "^" in asked or " " in asked:
        return  # what delimiters and blanks at the ends mean is stated by examples elsewhere
    folded = "".join(character if character in "*?" else fold(character) for character in asked)
    expected = {uid for uid, name in archive.names.items() if reads_as(folded, fold(name))}
    assert found(archive, [("PatientName", pattern)]) == expected


keys = st.sampled_from([attribute.keyword for attribute in ATTRIBUTES.values()]) | st.sampled_from(
    [
        "00400275.00400009", "00081032.00080100", "ConceptNameCodeSequence.CodeValue", "AcquisitionDateTime",
        "SliceThickness", "limit", "offset", "includefield", "fuzzymatching", "emptyvaluematching",
        "multiplevaluematching",
        "00291001", "00290010", "OtherPatientNames", "PatientAge", "SOPClassesInStudy", "PixelData",
        "x", "", "accept", "..", "0" * 8,
    ]
)  # fmt: skip
texts = (
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)  # others are refused before
    | st.text(st.sampled_from('0123456789-.:+ ,\\*?"=^'), max_size=24)
    | st.sampled_from(
        ["true", "false", "20240101", "20240101-", "1.2.3", "10", "+0100", '""', "20240101103000-0500", "all"]
    )
)
resources = st.sampled_from(
    [
        Resource(Level.STUDY), Resource(Level.SERIES), Resource(Level.INSTANCE),
        Resource(Level.SERIES, StudyUID("1.2.1")), Resource(Level.INSTANCE, StudyUID("1.2.1"), SeriesUID("1.2.1.1")),
    ]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(pairs=st.lists(st.tuples(keys, texts), max_size=5), resource=resources)
@example([("AcquisitionDateTime", "20240101103000-0500-2025")], Resource(Level.INSTANCE, StudyUID("1.2.1")))
@example([("AcquisitionDateTime", "0000-")], Resource(Level.INSTANCE, StudyUID("1.2.1")))
@example([("StudyDate", "99991231-"), ("StudyTime", "235959-"), ("00080201", "-1400")], Resource(Level.STUDY))
@example([("StudyDate", "00010101"), ("StudyTime", "00"), ("00080201", "+1400")], Resource(Level.STUDY))
@example([("StudyDate", "00011001"), ("00400275.00400009", "?")], Resource(Level.SERIES, StudyUID("1.2.1")))
def test_no_query_fails_but_as_a_bad_request(archive: Archive, pairs: Pairs, resource: Resource) -> None:
    with contextlib.suppress(BadRequestError):
        found(archive, pairs, resource)
