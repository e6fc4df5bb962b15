"""The form of a search: the search with names in the places of its values, so that one statement serves many searches.

Values that are compared as they stand change places with parameters; others (names, wildcards, ranges, times, numbers)
shape the statement and stay in the form.
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from archive.identifiers import SeriesUID, StudyUID
from archive.index.columns import COLUMNS, NAME_COLUMNS
from archive.index.query import MULTIPLE, NUMERIC, Condition, Matching, Query

MARK = "\0"
"""Begins the name of a parameter; no value that is asked for can hold it."""


def form_of(query: Query) -> tuple[Query, dict[str, Any]]:
    """The form, and by parameter the values that it leaves out."""
    values: dict[str, Any] = {}

    def moved(value: str) -> str:
        if not value:
            return value  # an open end of a range
        name = f"asked_{len(values)}"  # no column has such a name, by which SQLAlchemy would name a parameter too
        values[name] = value
        return MARK + name

    conditions = tuple(
        replace(one, values=tuple(map(moved, one.values))) if is_plain(one) else one for one in query.conditions
    )
    study_uid = StudyUID(moved(query.study_uid)) if query.study_uid is not None else None
    series_uid = SeriesUID(moved(query.series_uid)) if query.series_uid is not None else None
    return replace(query, conditions=conditions, study_uid=study_uid, series_uid=series_uid), values


def is_whole(form: Query) -> bool:
    """Whether nothing that was asked for is left in a form: then it comes again, and its statement is worth keeping."""
    return not form.moments and all(map(is_plain, form.conditions))


def is_plain(condition: Condition) -> bool:
    """Whether the values of a column are compared with those of the condition as they stand."""
    key = condition.key
    if condition.matching is Matching.RANGE and key.vr == "DA":
        return key.tag in COLUMNS
    if condition.matching not in (Matching.SINGLE, Matching.ANY) or len(key.path) != 1:
        return False
    has_column = key.tag in COLUMNS and key.tag not in NAME_COLUMNS
    is_one = key.tag not in MULTIPLE or key.vr == "UI"
    return has_column and is_one and key.vr not in NUMERIC and key.vr not in ("TM", "DT")


def bound(value: str) -> sa.BindParameter[str]:
    """A value of a form in a statement: a parameter where the value was left out."""
    if value.startswith(MARK):
        return sa.bindparam(value.removeprefix(MARK), type_=sa.Text)
    return sa.bindparam(None, value, type_=sa.Text)
