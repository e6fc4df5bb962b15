"""What a search finds: matching by PS3.4 C.2.2.2, paging, and what a scope lets through."""

import pytest
from search_builder import CT_CLASS, SR_CLASS, IndexBuilder

from archive.attributes import ATTRIBUTES, Level
from archive.errors import SearchTooBroadError
from archive.identifiers import SeriesUID, StudyUID
from archive.index.query import (
    Condition,
    InstanceMatch,
    Key,
    Match,
    Matching,
    Moments,
    Query,
    SearchResult,
    SeriesMatch,
    StudyMatch,
)
from archive.index.search import search
from archive.scope import Scope

EVERYTHING = Scope.everything()
VRS = {attribute.tag: attribute.vr for attribute in ATTRIBUTES.values()}
TAGS = {attribute.keyword: attribute.tag for attribute in ATTRIBUTES.values()} | {"SOPClassesInStudy": "00080062"}
FURTHER = {"00080062": "UI", "00401001": "SH", "00400009": "SH", "00080100": "SH", "00080022": "DA", "0008002A": "DT"}


def key(path: str) -> Key:
    tags = tuple(TAGS.get(part, part) for part in path.split("."))
    return Key(tags, VRS.get(tags[-1]) or FURTHER[tags[-1]])


def condition(path: str, matching: Matching, *values: str) -> Condition:
    return Condition(key(path), matching, values)


def single(path: str, value: str) -> Condition:
    return condition(path, Matching.SINGLE, value)


def wild(path: str, value: str) -> Condition:
    return condition(path, Matching.WILDCARD, value)


def run(index: IndexBuilder, query: Query, scope: Scope = EVERYTHING) -> SearchResult:
    with index.connect() as connection:
        return search(scope, connection, query)


def short(match: Match) -> str:
    """The last parts of a match's UID: those that `add` was given."""
    if isinstance(match, StudyMatch):
        uid = match.study_uid
    else:
        uid = match.series_uid if isinstance(match, SeriesMatch) else match.instance_uid
    return uid.removeprefix("1.2.")


def studies(index: IndexBuilder, *conditions: Condition, scope: Scope = EVERYTHING) -> set[str]:
    return {short(match) for match in run(index, Query(Level.STUDY, conditions=conditions), scope).matches}


# --- text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("A*", {"1", "2", "3"}),
        ("*B", {"1"}),
        ("A?B", {"1"}),
        ("A%B", set()),
        ("A_*", set()),
        ("*[*", {"3"}),
        ("A[1]*", {"3"}),
        ("*\\]*", set()),
        ("a*", set()),
        ("*", {"1", "2", "3", "4"}),
        ("?*?", {"1", "2", "3"}),
        ("**1**", {"1", "2", "3"}),
    ],
)
def test_wildcards_mean_what_they_say_and_nothing_else_does(index: IndexBuilder, pattern: str, found: set[str]) -> None:
    for study, accession in {"1": "A1B", "2": "A1%", "3": "A[1]", "4": "Z"}.items():
        index.add(study, AccessionNumber=accession)
    assert studies(index, wild("AccessionNumber", pattern)) == found


def test_text_other_than_names_is_matched_with_its_case(index: IndexBuilder) -> None:
    index.add("1", PatientID="abc", StudyDescription="Kopf")
    assert studies(index, single("PatientID", "abc")) == {"1"}
    assert studies(index, single("PatientID", "ABC")) == set()
    assert studies(index, wild("StudyDescription", "*opf")) == {"1"}
    assert studies(index, wild("StudyDescription", "k*")) == set()


def test_a_value_with_percent_underscore_and_brackets_is_found_by_itself_alone(index: IndexBuilder) -> None:
    index.add("1", PatientID="50%_[x]")
    index.add("2", PatientID="50XX[x]")
    assert studies(index, single("PatientID", "50%_[x]")) == {"1"}
    assert studies(index, wild("PatientID", "50%_[x*")) == {"1"}


def test_a_list_of_uids_finds_each(index: IndexBuilder) -> None:
    for study in "123":
        index.add(study)
    assert studies(index, condition("StudyInstanceUID", Matching.ANY, "1.2.1", "1.2.3", "1.9")) == {"1", "3"}


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def names(index: IndexBuilder) -> IndexBuilder:
    index.add("1", PatientName="Buc^Jérôme")
    index.add("2", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    index.add("3", PatientName="Hong^Gildong=洪^吉洞=홍^길동")
    index.add("4", PatientName="Люкceмбypг")
    index.add("5", PatientName="Meyer^Anna Maria^^Dr.")
    index.add("6", PatientName="Doe")
    return index


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("buc^jerome", {"1"}),
        ("BUC^JÉRÔME^^", {"1"}),
        ("Buc", set()),
        ("Buc*", {"1"}),
        ("*rome", {"1"}),
        ("*ROM*", {"1"}),
        ("B?c^*", {"1"}),
        ("山田^太郎", {"2"}),
        ("山田*", {"2"}),
        ("やまだ^たろう", {"2"}),
        ("yamada^tarou=山田^太郎", {"2"}),
        ("yamada^tarou=洪^吉洞", set()),
        ("홍*", {"3"}),
        ("люкceмбypг", {"4"}),
        ("meyer^anna*", {"5"}),
        ("doe^*", {"6"}),
        ("Doe*", {"6"}),
        ("*", {"1", "2", "3", "4", "5", "6"}),
    ],
)
def test_a_name_is_found_in_any_case_and_in_any_of_its_groups(names: IndexBuilder, asked: str, found: set[str]) -> None:
    matching = Matching.WILDCARD if set(asked) & set("*?") else Matching.SINGLE
    assert studies(names, condition("PatientName", matching, asked)) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Jerome Buc", {"1"}),
        ("maria meier", {"5"}),
        ("Maier, Annah", {"5"}),
        ("太郎 山田", {"2"}),
        ("yam tar", {"2"}),
        ("*ero*", {"1"}),
        ("buc meyer", set()),
    ],
)
def test_a_fuzzy_search_knows_no_word_order_and_hears_names(names: IndexBuilder, asked: str, found: set[str]) -> None:
    assert studies(names, condition("PatientName", Matching.FUZZY, asked)) == found


def test_a_name_without_its_own_column_is_matched_in_any_case(index: IndexBuilder) -> None:
    index.add("1", OtherPatientNames=["Foo^Bar", "Äpfel^Ünal=りんご"])
    assert studies(index, wild("OtherPatientNames", "äPF*")) == {"1"}
    assert studies(index, single("OtherPatientNames", "りんご")) == {"1"}
    assert studies(index, single("OtherPatientNames", "foo^bar")) == {"1"}
    assert studies(index, wild("OtherPatientNames", "x*")) == set()


# --- dates and times --------------------------------------------------------------------------------------------------


def ranged(path: str, first: str, last: str) -> Condition:
    return condition(path, Matching.RANGE, first, last)


def test_a_date_range_holds_both_its_ends_and_no_empty_dates(index: IndexBuilder) -> None:
    for study, date in {"1": "20231231", "2": "20240101", "3": "20240131", "4": "20240201", "5": None}.items():
        index.add(study, StudyDate=date)
    assert studies(index, ranged("StudyDate", "20240101", "20240131")) == {"2", "3"}
    assert studies(index, ranged("StudyDate", "", "20231231")) == {"1"}
    assert studies(index, ranged("StudyDate", "20240131", "")) == {"3", "4"}
    assert studies(index, single("StudyDate", "20240131")) == {"3"}


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        ("10", "10", {"1", "2", "3"}),
        ("1000", "1030", {"1", "2", "3"}),
        ("1000", "1029", {"1"}),
        ("103000", "103000", {"2"}),
        ("103000", "103059.5", {"2", "3"}),
        ("103015.25", "103015.25", {"3"}),
        ("", "10", {"1", "2", "3", "5"}),
        ("1031", "", {"4"}),
        ("00", "000000", {"5"}),
    ],
)
def test_times_of_any_precision_compare_as_times(index: IndexBuilder, first: str, last: str, found: set[str]) -> None:
    times = {"1": "10", "2": "1030", "3": "103015.250000", "4": "235959", "5": "000000", "6": None}
    for study, time in times.items():
        index.add(study, StudyTime=time)
    assert studies(index, ranged("StudyTime", first, last)) == found


def moments(first: tuple[str, str] | None, last: tuple[str, str] | None, offset: int | None = None) -> Query:
    value = Moments(key("StudyDate"), key("StudyTime"), first, last, offset)
    return Query(Level.STUDY, moments=(value,))


def test_a_date_and_a_time_range_are_one_range_of_moments(index: IndexBuilder) -> None:
    for study, (date, time) in {
        "1": ("20240101", "0900"), "2": ("20240101", "2300"), "3": ("20240102", "0300"), "4": ("20240103", "1801"),
    }.items():  # fmt: skip
        index.add(study, StudyDate=date, StudyTime=time)
    found = run(index, moments(("20240101", "1000"), ("20240103", "1800"))).matches
    assert [short(match) for match in found] == ["3", "2"]
    assert {short(m) for m in run(index, moments(None, ("20240101", "23"))).matches} == {"1", "2"}
    assert {short(m) for m in run(index, moments(("20240102", "0300"), None)).matches} == {"3", "4"}


def test_moments_are_compared_across_time_zones(index: IndexBuilder) -> None:
    index.add("1", StudyDate="20240101", StudyTime="0030", TimezoneOffsetFromUTC="+0200")  # 22:30 UTC the day before
    index.add("2", StudyDate="20231231", StudyTime="2230", TimezoneOffsetFromUTC="+0000")
    index.add("3", StudyDate="20231231", StudyTime="1700", TimezoneOffsetFromUTC="-0530")
    index.add("4", StudyDate="20231231", StudyTime="2230")  # zone not known: that of the request
    at_half_past_ten = moments(("20231231", "2230"), ("20231231", "2230"), 0)
    assert {short(match) for match in run(index, at_half_past_ten).matches} == {"1", "2", "3", "4"}
    in_berlin = moments(("20231231", "2330"), ("20231231", "2330"), 60)
    assert {short(match) for match in run(index, in_berlin).matches} == {"1", "2", "3"}


def test_a_datetime_is_compared_at_the_precision_of_the_range(index: IndexBuilder) -> None:
    index.add("1", **{"0008002A:DT": "20240101"})
    index.add("2", **{"0008002A:DT": "20240101103000.5"})
    assert studies(index, ranged("0008002A", "20240101", "20240101")) == {"1", "2"}
    assert studies(index, ranged("0008002A", "2024", "2024")) == {"1", "2"}
    assert studies(index, ranged("0008002A", "20240101000000", "20240101000000")) == {"1"}
    assert studies(index, ranged("0008002A", "202401011030", "")) == {"2"}


# --- numbers, emptiness, several values, sequences --------------------------------------------------------------------


def test_numbers_are_compared_as_numbers(index: IndexBuilder) -> None:
    index.add("1", SeriesNumber=7, InstanceNumber="012", Rows=512)
    for path, value in (("SeriesNumber", "007"), ("InstanceNumber", "12"), ("Rows", "512")):
        assert studies(index, single(path, value)) == {"1"}
    assert studies(index, single("SeriesNumber", "70")) == set()


def test_empty_value_matching_finds_what_is_empty_or_absent(index: IndexBuilder) -> None:
    index.add("1", AccessionNumber="A", ReferringPhysicianName="Who^Doctor", Modality="CT")
    index.add("2", AccessionNumber="", Modality="")
    for path in ("AccessionNumber", "ReferringPhysicianName", "ModalitiesInStudy", "Modality"):
        assert studies(index, condition(path, Matching.EMPTY)) == {"2"}
    assert studies(index, condition("IssuerOfPatientID", Matching.EMPTY)) == {"1", "2"}


def test_each_of_several_values_must_be_there(index: IndexBuilder) -> None:
    index.add("1", "1", Modality="CT")
    index.add("1", "2", Modality="PT")
    index.add("2", "1", Modality="CT", ImageType=["ORIGINAL", "PRIMARY"])
    assert studies(index, condition("ModalitiesInStudy", Matching.EACH, "PT", "CT")) == {"1"}
    assert studies(index, condition("ModalitiesInStudy", Matching.ANY, "PT", "CT")) == {"1", "2"}
    assert studies(index, condition("ImageType", Matching.EACH, "PRIMARY", "ORIGINAL")) == {"2"}
    assert studies(index, condition("ImageType", Matching.EACH, "PRIMARY", "DERIVED")) == set()
    assert studies(index, single("ImageType", "PRIM")) == set()


def test_keys_within_a_sequence_hold_for_one_item(index: IndexBuilder) -> None:
    items = [{"00400009:SH": "S1", "00401001:SH": "R1"}, {"00400009:SH": "S2", "00401001:SH": "R2"}]
    index.add("1", RequestAttributesSequence=items)
    index.add("2", RequestAttributesSequence=[{"00400009:SH": "S1"}])
    step, procedure = "RequestAttributesSequence.00400009", "RequestAttributesSequence.00401001"
    assert studies(index, single(step, "S1")) == {"1", "2"}
    assert studies(index, wild(step, "S?")) == {"1", "2"}
    assert studies(index, single(step, "S1"), single(procedure, "R1")) == {"1"}
    assert studies(index, single(step, "S1"), single(procedure, "R2")) == set()


def test_a_sequence_that_is_not_kept_apart_is_searched_too(index: IndexBuilder) -> None:
    index.add("1", **{"ProcedureCodeSequence": [{"00080100:SH": "P1"}], "00081084:SQ": [{"00080100:SH": "D1"}]})
    assert studies(index, single("ProcedureCodeSequence.00080100", "P1")) == {"1"}
    assert studies(index, single("00081084.00080100", "D1")) == {"1"}
    assert studies(index, single("00081084.00080100", "P1")) == set()


def test_an_attribute_that_is_not_kept_apart_is_searched_in_the_instance(index: IndexBuilder) -> None:
    index.add("1", "1", "1", **{"00080022:DA": "20240102"})
    index.add("1", "1", "2", **{"00080022:DA": "20240103"})
    query = Query(Level.INSTANCE, StudyUID("1.2.1"), conditions=(ranged("00080022", "20240103", ""),))
    assert [short(match) for match in run(index, query).matches] == ["1.1.2"]


# --- levels ---------------------------------------------------------------------------------------------------------


def test_conditions_on_a_lower_level_hold_together_for_one_series(index: IndexBuilder) -> None:
    index.add("1", "1", Modality="CT", BodyPartExamined="HEAD")
    index.add("1", "2", Modality="MR", BodyPartExamined="KNEE")
    assert studies(index, single("Modality", "CT"), single("BodyPartExamined", "HEAD")) == {"1"}
    assert studies(index, single("Modality", "CT"), single("BodyPartExamined", "KNEE")) == set()


def test_series_and_instances_are_found_under_their_parents_alone(index: IndexBuilder) -> None:
    index.add("1", "1", "1")
    index.add("1", "2", "1")
    index.add("2", "1", "1")
    in_study = Query(Level.SERIES, StudyUID("1.2.1"))
    assert [short(match) for match in run(index, in_study).matches] == ["1.1", "1.2"]
    in_series = Query(Level.INSTANCE, StudyUID("1.2.1"), SeriesUID("1.2.1.2"))
    assert [short(match) for match in run(index, in_series).matches] == ["1.2.1"]
    elsewhere = Query(Level.INSTANCE, StudyUID("1.2.2"), SeriesUID("1.2.1.2"))
    assert run(index, elsewhere).matches == ()
    assert len(run(index, Query(Level.INSTANCE)).matches) == 3


# --- pages ----------------------------------------------------------------------------------------------------------


def test_studies_come_newest_first_and_pages_do_not_overlap(index: IndexBuilder) -> None:
    for number, day in enumerate(["20240101", "20240301", "20240201", "20240301", "20240101"]):
        index.add(str(number), StudyDate=day)
    seen: list[str] = []
    for offset in range(0, 6, 2):
        page = run(index, Query(Level.STUDY, limit=2, offset=offset))
        assert page.remaining == max(0, 5 - offset - 2)
        seen += [short(match) for match in page.matches]
    assert seen == ["3", "1", "2", "4", "0"]


def test_a_limit_of_zero_gives_nothing_and_says_how_much_there_is(index: IndexBuilder) -> None:
    for number in range(3):
        index.add(str(number))
    page = run(index, Query(Level.STUDY, limit=0, offset=1))
    assert (page.matches, page.remaining) == ((), 2)


def test_an_offset_behind_the_end_gives_nothing(index: IndexBuilder) -> None:
    index.add("1")
    page = run(index, Query(Level.STUDY, limit=10, offset=10**9))
    assert (page.matches, page.remaining) == ((), 0)


def test_a_search_that_takes_too_long_is_refused_and_the_connection_goes_on(index: IndexBuilder) -> None:
    for number in range(30):
        index.add(str(number))
    with index.connect() as connection:
        slow = Query(Level.STUDY, conditions=(condition("OtherPatientNames", Matching.EMPTY),) * 300)
        with pytest.raises(SearchTooBroadError) as refused:
            search(EVERYTHING, connection, slow, limit_s=0.0)
        assert refused.value.status == 413
        connection.rollback()
        assert len(search(EVERYTHING, connection, Query(Level.STUDY)).matches) == 30


# --- scope ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(index: IndexBuilder) -> IndexBuilder:
    """A study of a CT series, then a report, then a late MR series; and a study of another patient."""
    index.add("1", "1", "1", Modality="CT")
    index.add("1", "1", "2", Modality="CT")
    index.add("1", "2", "1", Modality="SR", SOPClassUID=SR_CLASS)
    index.add("1", "3", "1", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    index.add("2", "1", "1", Modality="CT", PatientName="Other^Patient")
    return index


def test_a_share_finds_nothing_outside_its_studies_whatever_it_asks(mixed: IndexBuilder) -> None:
    scope = Scope.studies(StudyUID("1.2.1"))
    assert studies(mixed, scope=scope) == {"1"}
    assert studies(mixed, wild("PatientName", "*other*"), scope=scope) == set()
    assert studies(mixed, single("StudyInstanceUID", "1.2.2"), scope=scope) == set()
    assert run(mixed, Query(Level.SERIES, StudyUID("1.2.2")), scope).matches == ()
    assert studies(mixed, scope=Scope.nothing()) == set()


def test_a_share_without_reports_sees_neither_them_nor_their_traces(mixed: IndexBuilder) -> None:
    scope = Scope(frozenset({StudyUID("1.2.1")}), with_reports=False)
    query = Query(Level.STUDY, with_sop_classes=True)
    (study,) = run(mixed, query, scope).matches
    assert isinstance(study, StudyMatch)
    assert (study.modalities, study.series_count, study.instance_count) == (("CT", "MR"), 2, 3)
    assert SR_CLASS not in study.sop_classes
    assert studies(mixed, single("ModalitiesInStudy", "SR"), scope=scope) == set()
    assert studies(mixed, single("Modality", "SR"), scope=scope) == set()
    assert studies(mixed, single("SOPClassesInStudy", SR_CLASS), scope=scope) == set()
    assert [short(match) for match in run(mixed, Query(Level.SERIES), scope).matches] == ["1.1", "1.3"]


def test_a_frozen_share_sees_the_study_as_it_was(mixed: IndexBuilder) -> None:
    scope = Scope(None, stored_until_ms=1_700_000_000_000)
    (study,) = run(mixed, Query(Level.STUDY), scope).matches
    assert isinstance(study, StudyMatch)
    assert (study.modalities, study.series_count, study.instance_count) == (("CT",), 1, 1)
    (series,) = run(mixed, Query(Level.SERIES), scope).matches
    assert isinstance(series, SeriesMatch)
    assert (series.instance_count, series.study.instance_count) == (1, 1)
    (instance,) = run(mixed, Query(Level.INSTANCE, with_documents=True), scope).matches
    assert isinstance(instance, InstanceMatch)
    assert (instance.instance_uid, instance.sop_class_uid) == ("1.2.1.1.1", CT_CLASS)
    assert instance.document is not None


def test_what_a_scope_hides_is_not_counted_as_remaining(mixed: IndexBuilder) -> None:
    scope = Scope(frozenset({StudyUID("1.2.1")}), with_reports=False)
    assert run(mixed, Query(Level.INSTANCE, limit=1), scope).remaining == 2
