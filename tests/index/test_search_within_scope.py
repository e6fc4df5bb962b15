"""For any scope and any keys: what is found lies in the scope and is what a plain reading of the objects says."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_builder import CT_CLASS, SR_CLASS, IndexBuilder

from archive.attributes import Level
from archive.identifiers import StudyUID
from archive.index.query import InstanceMatch, Match, SeriesMatch, StudyMatch
from archive.index.search import search
from archive.scope import Scope
from qido.parameters import Resource, parse_pairs, parse_search

BEGIN_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Stored:
    """One stored instance as the test knows it."""

    study: str
    series: str
    uid: str
    time_ms: int
    is_report: bool
    modality: str


@dataclass(frozen=True)
class Archive:
    index: IndexBuilder
    instances: tuple[Stored, ...]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Six studies: names, dates and modalities overlap; some series are reports; times of storing are mixed."""
    index = IndexBuilder(tmp_path_factory.mktemp("scope") / "index.sqlite")
    stored: list[Stored] = []
    for number in range(36):
        study, series = str(number % 6), str(number // 6 % 3)
        report = series == "2"
        modality = "SR" if report else ("CT", "MR", "US")[number % 3]
        time_ms = index.now_ms
        uid = index.add(
            study, series, str(number), SOPClassUID=SR_CLASS if report else CT_CLASS, Modality=modality,
            PatientName=("Doe^John", "Doe^Jane", "Roe^John")[number % 3], PatientID=f"P{number % 2}",
            StudyDate=f"2024010{number % 6 + 1}", AccessionNumber="" if number % 6 == 4 else f"A{number % 6}",
            SeriesNumber=int(series), InstanceNumber=number,
            RequestAttributesSequence=[{"00400009:SH": f"S{number % 2}"}],
        )  # fmt: skip
        stored.append(Stored(f"1.2.{study}", f"1.2.{study}.{series}", uid, time_ms, report, modality))
    yield Archive(index, tuple(stored))
    index.engine.dispose()


scopes = st.builds(
    Scope,
    st.none() | st.frozensets(st.sampled_from([StudyUID(f"1.2.{number}") for number in range(8)]), max_size=4),
    st.none() | st.integers(0, 40).map(lambda steps: BEGIN_MS + steps * 1000 - 500),
    st.booleans(),
)
keys = st.lists(
    st.sampled_from(
        [
            "PatientName=*oe*", "PatientName=doe^*", "PatientName=*", "PatientID=P1", "PatientID=P?",
            "StudyDate=20240102-",
            "StudyDate=20240101-20240103", "AccessionNumber=A1", "ModalitiesInStudy=SR", "ModalitiesInStudy=CT",
            "Modality=SR", "Modality=MR", "SeriesNumber=2", "StudyInstanceUID=1.2.0,1.2.1,1.2.7", "SOPClassesInStudy="
            + SR_CLASS, "SOPClassUID=" + CT_CLASS, "InstanceNumber=5", "SeriesInstanceUID=1.2.1.1",
            "RequestAttributesSequence.ScheduledProcedureStepID=S1", "fuzzymatching=true", "emptyvaluematching=true",
            "limit=3", "limit=0", "offset=1", "OtherPatientNames=x*", "SeriesDescription=x",
        ]
    ),
    max_size=4,
    unique_by=lambda key: key.partition("=")[0],
)  # fmt: skip
resources = st.sampled_from(
    [
        Resource(Level.STUDY), Resource(Level.SERIES), Resource(Level.INSTANCE),
        Resource(Level.SERIES, StudyUID("1.2.1")), Resource(Level.INSTANCE, StudyUID("1.2.1")),
    ]
)  # fmt: skip
many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(scope=scopes, asked=keys, resource=resources)
def test_nothing_outside_a_scope_is_found_counted_or_named(
    archive: Archive, scope: Scope, asked: list[str], resource: Resource
) -> None:
    visible = [one for one in archive.instances if sees(scope, one)]
    query = parse_search(resource, parse_pairs("&".join(asked))).query
    with archive.index.connect() as connection:
        result = search(scope, connection, query)
    for match in result.matches:
        check(match, visible)
    possible = {_uid(resource.level, one) for one in visible}
    assert len(result.matches) + result.remaining <= len(possible)
    assert len({_uid_of(match) for match in result.matches}) == len(result.matches)


@many
@given(scope=scopes, resource=resources)
def test_all_of_a_scope_is_found(archive: Archive, scope: Scope, resource: Resource) -> None:
    visible = [one for one in archive.instances if sees(scope, one)]
    if resource.study_uid is not None:
        visible = [one for one in visible if one.study == resource.study_uid]
    with archive.index.connect() as connection:
        result = search(scope, connection, parse_search(resource, []).query)
    assert {_uid_of(match) for match in result.matches} == {_uid(resource.level, one) for one in visible}


@many
@given(scope=scopes, modality=st.sampled_from(["CT", "MR", "US", "SR"]))
def test_modalities_are_matched_as_the_scope_sees_them(archive: Archive, scope: Scope, modality: str) -> None:
    query = parse_search(Resource(Level.STUDY), [("ModalitiesInStudy", modality)]).query
    with archive.index.connect() as connection:
        found = {_uid_of(match) for match in search(scope, connection, query).matches}
    first_of_series = {one.series: one for one in reversed(archive.instances)}
    seen = [one for one in archive.instances if sees(scope, one)]
    assert found == {one.study for one in seen if first_of_series[one.series].modality == modality}


def sees(scope: Scope, one: Stored) -> bool:
    in_time = scope.stored_until_ms is None or one.time_ms <= scope.stored_until_ms
    return scope.may_see_study(one.study) and in_time and (scope.with_reports or not one.is_report)


def check(match: Match, visible: list[Stored]) -> None:
    """Every fact of a match is one of the instances that the scope sees."""
    if isinstance(match, InstanceMatch):
        assert match.instance_uid in {one.uid for one in visible}
        check(match.series, visible)
    elif isinstance(match, SeriesMatch):
        own = [one for one in visible if one.series == match.series_uid]
        assert match.instance_count == len(own) > 0
        check(match.study, visible)
    elif isinstance(match, StudyMatch):
        own = [one for one in visible if one.study == match.study_uid]
        assert match.instance_count == len(own) > 0
        assert match.series_count == len({one.series for one in own})
        assert set(match.modalities) <= {one.modality for one in own}


def _uid(level: Level, one: Stored) -> str:
    return {Level.STUDY: one.study, Level.SERIES: one.series, Level.INSTANCE: one.uid}[level]


def _uid_of(match: Any) -> str:
    if isinstance(match, StudyMatch):
        return match.study_uid
    return match.series_uid if isinstance(match, SeriesMatch) else str(match.instance_uid)
