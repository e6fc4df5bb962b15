"""The attribute table is true to the dictionary and consistent with itself."""

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag

from archive.attributes import (
    ATTRIBUTES,
    SEQUENCE_PATHS,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
    Attribute,
    Level,
    level_of,
)


@pytest.mark.parametrize("attribute", ATTRIBUTES.values(), ids=lambda attribute: attribute.tag)
def test_tag_keyword_and_vr_are_those_of_the_dictionary(attribute: Attribute) -> None:
    assert keyword_for_tag(attribute.tag) == attribute.keyword
    assert dictionary_VR(attribute.tag) == attribute.vr


@pytest.mark.parametrize("path", SEQUENCE_PATHS)
def test_every_sequence_path_is_of_a_sequence_and_a_known_attribute(path: str) -> None:
    *sequences, last = path.split(".")
    assert [dictionary_VR(tag) for tag in sequences] == ["SQ"] * len(sequences)
    assert keyword_for_tag(last)


def test_every_key_of_table_10_6_1_5_is_required() -> None:
    assert {tag for tag, attribute in ATTRIBUTES.items() if attribute.required} == {
        *("00080020", "00080030", "00080050", "00080061", "00080090", "00100010", "00100020", "0020000D", "00200010"),
        *("00080060", "0020000E", "00200011", "00400244", "00400245", "00400275"),
        *("00080016", "00080018", "00200013"),
    }
    assert {"00400275.00400009", "00400275.00401001"} <= set(SEQUENCE_PATHS)


def test_what_is_listed_nowhere_belongs_to_the_instance() -> None:
    assert level_of("00280106") is Level.INSTANCE
    assert level_of("00091001") is Level.INSTANCE


def test_the_tables_of_study_and_series_agree_with_the_levels() -> None:
    assert all(level_of(tag) is Level.STUDY for tag in STUDY_ATTRIBUTES)
    assert all(level_of(tag) is Level.SERIES for tag in SERIES_ATTRIBUTES)
    assert not set(STUDY_ATTRIBUTES) & set(SERIES_ATTRIBUTES)
