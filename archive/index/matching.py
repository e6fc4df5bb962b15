"""Scope and query → one WHERE (PS3.4 C.2.2.2).

Conditions on the level that is asked for, and on levels above it, are conditions on joined tables; conditions on levels
below become one EXISTS, so that they must hold together for one series or one instance. The scope is part of each.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from archive.attributes import SEQUENCE_PATHS, Level
from archive.database.index_tables import instance_metadata, instances, sequence_values, series, studies
from archive.index import patterns
from archive.index.columns import COLUMNS, DOCUMENTS, NAME_COLUMNS
from archive.index.copies import is_original
from archive.index.forms import bound
from archive.index.moment_matching import in_moments, in_range
from archive.index.name_matching import name_matches
from archive.index.patterns import Text, Truth
from archive.index.query import (
    MODALITIES_IN_STUDY,
    MULTIPLE,
    NUMERIC,
    SOP_CLASSES_IN_STUDY,
    Condition,
    Key,
    Matching,
    Query,
)
from archive.scope import Scope

MODALITY = Key(("00080060",), "CS")
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""PS3.4 C.2.2.2.4: of these representations values may hold wildcards."""


def hides_within_studies(scope: Scope) -> bool:
    """Whether a study that the scope may see can hold instances that it may not see."""
    return scope.stored_until_ms is not None or not scope.with_reports


def visible(scope: Scope, rows: sa.FromClause = instances) -> Truth:
    """Whether the scope may see a row of `instances`, its study aside."""
    conditions: list[Truth] = [sa.true()]
    if scope.stored_until_ms is not None:
        conditions.append(rows.c.stored_ms <= scope.stored_until_ms)
    if not scope.with_reports:
        conditions.append(rows.c.is_report.is_(False))
    return sa.and_(*conditions)


def where(scope: Scope, query: Query) -> list[Truth]:
    """All that must hold for a row of the query's level, joined with the levels above it."""
    conditions = _in_scope(scope, query.level)
    if query.study_uid is not None:
        conditions.append(studies.c.study_uid == bound(query.study_uid))
    if query.series_uid is not None:
        conditions.append(series.c.series_uid == bound(query.series_uid))
    above = [condition for condition in query.conditions if condition.key.level <= query.level]
    below = [condition for condition in query.conditions if condition.key.level > query.level]
    conditions += _all_of(scope, above)
    for moments in query.moments:
        if moments.date.level <= query.level:
            conditions.append(in_moments(moments))
    conditions += _exists_below(scope, query, below)
    return conditions


def _in_scope(scope: Scope, level: Level) -> list[Truth]:
    conditions: list[Truth] = []
    if scope.study_uids is not None:
        conditions.append(studies.c.study_uid.in_(sorted(scope.study_uids)))
    else:
        of_level = {Level.STUDY: studies.c.id, Level.SERIES: series.c.study_id, Level.INSTANCE: instances.c.study_id}
        conditions.append(is_original(of_level[level]))
    if level is Level.INSTANCE:
        conditions.append(visible(scope))
    elif hides_within_studies(scope):
        owner = instances.c.study_id == studies.c.id if level is Level.STUDY else instances.c.series_id == series.c.id
        conditions.append(sa.exists().where(owner, visible(scope)))
    else:
        conditions.append((studies if level is Level.STUDY else series).c.instance_count > 0)
    return conditions


def _exists_below(scope: Scope, query: Query, below: Sequence[Condition]) -> list[Truth]:
    """One EXISTS for all conditions on lower levels, moments included."""
    inner = _all_of(scope, below)
    inner += [in_moments(moments) for moments in query.moments if moments.date.level > query.level]
    if not inner:
        return []
    levels = {condition.key.level for condition in below} | {
        moments.date.level for moments in query.moments if moments.date.level > query.level
    }
    needs_instances = Level.INSTANCE in levels or hides_within_studies(scope)
    if query.level is Level.SERIES:
        return [sa.exists().where(instances.c.series_id == series.c.id, visible(scope), *inner)]
    tables: Any = series
    if needs_instances:
        tables = series.join(instances, instances.c.series_id == series.c.id)
        inner.append(visible(scope))
    return [sa.exists().select_from(tables).where(series.c.study_id == studies.c.id, *inner).correlate(studies)]


def _all_of(scope: Scope, conditions: Sequence[Condition]) -> list[Truth]:
    """Conditions on tables that are joined; keys within one sequence must hold for one item (PS3.4 C.2.2.2.6)."""
    found: list[Truth] = []
    nested = sorted((one for one in conditions if len(one.key.path) > 1), key=lambda one: one.key.path)
    for path, group in groupby(nested, key=lambda one: one.key.path[:-1]):
        found += _in_items(path, list(group))
    for condition in conditions:
        if len(condition.key.path) == 1:
            found.append(_of_attribute(scope, condition))
    return found


def _of_attribute(scope: Scope, condition: Condition) -> Truth:
    tag = condition.key.tag
    if tag == MODALITIES_IN_STUDY:
        return _through_series(scope, condition)
    if tag == SOP_CLASSES_IN_STUDY:
        return _through_instances(scope, condition)
    if tag in NAME_COLUMNS:
        return name_matches(NAME_COLUMNS[tag], condition)
    column = COLUMNS.get(tag)
    if column is not None:
        return compare(column, condition)
    return _of_document(condition)


def _through_series(scope: Scope, condition: Condition) -> Truth:
    """ModalitiesInStudy: what the scope sees of the study's series, not what the study's row says."""
    own, seen = series.alias("modality"), instances.alias("seen")

    def holds(inner: Condition) -> Truth:
        inner = replace(inner, key=MODALITY)
        conditions = [own.c.instance_count > 0]
        if hides_within_studies(scope):
            conditions.append(sa.exists().where(seen.c.series_id == own.c.id, visible(scope, seen)))
        if inner.matching is Matching.EMPTY:
            return ~sa.exists().where(own.c.study_id == studies.c.id, own.c.Modality != "", *conditions)
        selected = sa.select(own.c.study_id).where(compare(own.c.Modality, inner), *conditions)
        return studies.c.id.in_(selected)

    return _each(condition, holds)


def _through_instances(scope: Scope, condition: Condition) -> Truth:
    """SOPClassesInStudy, which no study is without."""
    own = instances.alias("of_class")

    def holds(inner: Condition) -> Truth:
        if inner.matching is Matching.EMPTY:
            return sa.false()
        selected = sa.select(own.c.study_id).where(compare(own.c.sop_class_uid, inner), visible(scope, own))
        return studies.c.id.in_(selected)

    return _each(condition, holds)


def _each(condition: Condition, exists: Callable[[Condition], Truth]) -> Truth:
    if condition.matching is not Matching.EACH:
        return exists(condition)
    singles = [Condition(condition.key, Matching.SINGLE, (value,)) for value in condition.values]
    return sa.and_(*(exists(single) for single in singles))


def compare(column: Text, condition: Condition) -> Truth:
    """The condition on a column of text; several values of an attribute are joined by backslashes in it."""
    key, values = condition.key, condition.values
    if condition.matching is Matching.EMPTY:
        return column == ""
    if condition.matching is Matching.RANGE:
        return in_range(column, key.vr, *values)
    if key.vr in NUMERIC:
        return sa.or_(*(patterns.number_equals(column, float(value)) for value in values))
    if key.vr in ("TM", "DT"):
        return sa.or_(*(in_range(column, key.vr, value, value) for value in values))
    if condition.matching is Matching.EACH:
        return sa.and_(*(patterns.contains_value(column, value) for value in values))
    if condition.matching is Matching.WILDCARD:
        matches = patterns.contains_value if key.tag in MULTIPLE else patterns.matches
        return sa.or_(*(matches(column, value) for value in values))
    if key.tag in MULTIPLE and key.vr != "UI":
        return sa.or_(*(patterns.contains_value(column, value) for value in values))
    return column == bound(values[0]) if len(values) == 1 else column.in_([bound(value) for value in values])


def _in_items(path: tuple[str, ...], conditions: Sequence[Condition]) -> list[Truth]:
    """All conditions hold for one item of the sequence; the kept values of sequences lead there quickly."""
    found: list[Truth] = []
    kept = [condition for condition in conditions if _is_kept(condition)]
    for condition in kept:
        owner = series.c.id if condition.key.level is Level.SERIES else instances.c.id
        column = sequence_values.c.series_id if condition.key.level is Level.SERIES else sequence_values.c.instance_id
        selected = sa.select(column).where(
            sequence_values.c.path == condition.key.dotted, compare(sequence_values.c.value, condition)
        )
        found.append(owner.in_(selected))
    if len(conditions) == 1 and kept:
        return found
    return [*found, _of_items(path, conditions)]


def _is_kept(condition: Condition) -> bool:
    kept_level = SEQUENCE_PATHS.get(condition.key.dotted)
    return (
        kept_level is condition.key.level
        and condition.matching is not Matching.EMPTY
        and condition.key.vr not in ("PN", *NUMERIC)
    )


def _of_items(path: tuple[str, ...], conditions: Sequence[Condition]) -> Truth:
    """The same by the attributes themselves, item by item."""
    level = conditions[0].key.level
    source: Any = patterns.json_text(DOCUMENTS[level])
    tables = []
    for depth, tag in enumerate(path):
        items = patterns.json_values(source, tag, f"items{depth}")
        tables.append(items)
        source = items.c.value
    holds = [_of_json(source, condition) for condition in conditions]
    inside = sa.exists().select_from(*tables).where(*holds)
    return _owning_document(level, inside)


def _of_document(condition: Condition) -> Truth:
    level = condition.key.level
    return _owning_document(level, _of_json(patterns.json_text(DOCUMENTS[level]), condition))


def _owning_document(level: Level, holds: Truth) -> Truth:
    if level is not Level.INSTANCE:
        return holds
    own = sa.exists().where(instance_metadata.c.instance_id == instances.c.id, holds)
    return own.correlate(instances, series, studies)  # and not the documents that a search may bring along


def _of_json(document: sa.ColumnElement[Any], condition: Condition) -> Truth:
    """One of the attribute's values in a DICOM JSON object matches."""
    values = patterns.json_values(document, condition.key.tag, f"values{condition.key.tag}")
    value = sa.cast(values.c.value, sa.Text)
    if condition.matching is Matching.EMPTY:
        return ~sa.exists().select_from(values).where(sa.func.coalesce(value, "") != "")
    if condition.matching is Matching.EACH:
        singles = [Condition(condition.key, Matching.SINGLE, (one,)) for one in condition.values]
        return sa.and_(*(_of_json(document, single) for single in singles))
    if condition.key.vr == "PN":
        groups = patterns.json_members(values.c.value, "groups")
        text = sa.cast(groups.c.value, sa.Text)
        holds = sa.or_(*(patterns.matches_any_case(text, one) for one in condition.values))
        return sa.exists().select_from(values, groups).where(holds)
    return sa.exists().select_from(values).where(compare(value, condition))
