"""Search the index (PS3.18 §10.6). The scope is the first argument, and part of the SQL.

A statement is built once for each form of search and kept: to build it takes longer than to find a study by a key.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from archive.attributes import Level
from archive.database.deadlines import time_limit
from archive.database.index_tables import instance_metadata, instances, series, studies
from archive.database.snapshots import kept_while_unchanged
from archive.database.statements import begin_reading, row_of, rows_of
from archive.errors import SearchTooBroadError
from archive.index import patterns
from archive.index.counters import count_all
from archive.index.forms import form_of, is_whole
from archive.index.matching import hides_within_studies, visible, where
from archive.index.query import (
    MAXIMUM_DOCUMENT_BYTES,
    InstanceMatch,
    Match,
    Query,
    SearchResult,
    SeriesMatch,
    StudyMatch,
)
from archive.index.texts import INSTANCE_COLUMNS
from archive.scope import Scope

TIME_LIMIT_S = 5.0
"""No search runs longer, whatever is stored and whatever is asked."""

DOCUMENT = 12
"""Where the document stands in a row of an instance."""

Row = Any
"""Of whichever kind the database gives; by position."""

_TABLES: dict[Level, sa.FromClause] = {
    Level.STUDY: studies,
    Level.SERIES: series.join(studies, studies.c.id == series.c.study_id),
    Level.INSTANCE: instances.join(series, series.c.id == instances.c.series_id).join(
        studies, studies.c.id == instances.c.study_id
    ),
}
_ORDER: dict[Level, tuple[sa.ColumnElement[Any], ...]] = {
    Level.STUDY: (studies.c.StudyDate.desc(), studies.c.id.desc()),
    Level.SERIES: (series.c.id,),
    Level.INSTANCE: (instances.c.id,),
}
"""Studies come newest first, all else in the order in which it was stored: the same order every time (§8.3.4.4)."""


KEPT_STATEMENTS = 256
MAXIMUM_KEPT_VALUES = 32
"""Forms of search whose statements are kept, and how many values each may hold."""
KEPT_VALUES = 1_024
"""Modalities and SOP classes of studies come in few combinations."""


def search(scope: Scope, connection: sa.Connection, query: Query, *, limit_s: float = TIME_LIMIT_S) -> SearchResult:
    """One page of what matches within the scope; what lies behind it is counted.

    Raises
    ------
    SearchTooBroadError
        It took longer than `limit_s`.
    """
    try:
        begin_reading(connection)
        with time_limit(connection, limit_s):
            rows, is_all = _page(_rows(scope, connection, query), query)
            remaining = 0 if is_all else _count(scope, connection, query) - query.offset - len(rows)
    except TimeoutError as error:
        raise SearchTooBroadError(
            "This search would take too long. Ask for fewer results: give a date, an identifier, or more of the name."
        ) from error
    return SearchResult(tuple(_match(query.level, row) for row in rows), remaining)


def statement_of(scope: Scope, query: Query) -> sa.Select[*tuple[Any, ...]]:
    """The page in SQL, and one row more, which tells whether there is a rest to be counted."""
    form, values = form_of(query)
    return _statement.__wrapped__(scope, _unpaged(form)).params(**_paged(query, values))


def _rows(scope: Scope, connection: sa.Connection, query: Query) -> Iterable[Row]:
    form, values = form_of(query)
    values = _paged(query, values)
    if _is_kept(scope, form):
        return rows_of(connection, _statement(scope, _unpaged(form)), values)
    return connection.execute(_statement.__wrapped__(scope, _unpaged(form)), values)


def _unpaged(form: Query) -> Query:
    return replace(form, limit=0, offset=0)


def _paged(query: Query, values: dict[str, Any]) -> dict[str, Any]:
    return values | {"rows": query.limit + 1, "skipped": query.offset}


def _is_kept(scope: Scope, form: Query) -> bool:
    """Whether the statement is worth keeping: one with hundreds of UIDs hardly comes again, and takes room."""
    values = sum(len(one.values) for one in form.conditions) + len(scope.study_uids or ())
    return is_whole(form) and values <= MAXIMUM_KEPT_VALUES


@lru_cache(KEPT_STATEMENTS)
def _statement(scope: Scope, form: Query) -> sa.Select[*tuple[Any, ...]]:
    selected = _selection(scope, form).where(*where(scope, form)).order_by(*_ORDER[form.level])
    rows, skipped = sa.bindparam("rows", type_=sa.Integer), sa.bindparam("skipped", type_=sa.Integer)
    return selected.limit(rows).offset(skipped)


@lru_cache(KEPT_STATEMENTS)
def _counting(scope: Scope, form: Query) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(_TABLES[form.level]).where(*where(scope, form))


def _page(rows: Iterable[Row], query: Query) -> tuple[list[Row], bool]:
    """The rows of the page, and whether they are all there are."""
    page: list[Row] = []
    document_bytes = 0
    for row in rows:
        if len(page) == query.limit or document_bytes > MAXIMUM_DOCUMENT_BYTES:
            return page, False
        page.append(row)
        if query.with_documents:
            document_bytes += len(row[DOCUMENT])
    return page, True


def _count(scope: Scope, connection: sa.Connection, query: Query) -> int:
    """How many match, whatever the page; counted anew only when something was stored since."""
    unpaged = replace(query, limit=0, offset=0, with_documents=False, with_sop_classes=False)
    if scope == Scope.everything() and unpaged == Query(query.level, limit=0):
        return count_all(connection, query.level)

    def count() -> int:
        form, values = form_of(unpaged)
        if _is_kept(scope, form):
            return int(row_of(connection, _counting(scope, form), values)[0])
        return int(connection.execute(_counting.__wrapped__(scope, form), values).scalar_one())

    return kept_while_unchanged(connection, (scope, unpaged), count)


def _selection(scope: Scope, query: Query) -> sa.Select[*tuple[Any, ...]]:
    columns = _study_columns(scope, query)
    if query.level >= Level.SERIES:
        columns += _series_columns(scope)
    tables = _TABLES[query.level]
    if query.level is Level.INSTANCE:
        columns += [
            instances.c.instance_uid,
            instances.c.sop_class_uid,
            instances.c.transfer_syntax_uid,
            instance_metadata.c.document if query.with_documents else sa.null(),
            *(instances.c[name] for name in INSTANCE_COLUMNS),
        ]
        if query.with_documents:
            tables = tables.join(instance_metadata, instance_metadata.c.instance_id == instances.c.id)
    return sa.select(*columns).select_from(tables)


def _study_columns(scope: Scope, query: Query) -> list[sa.ColumnElement[Any]]:
    own, classes = instances.alias("of_study"), instances.alias("of_classes")
    modalities: sa.ColumnElement[Any] = studies.c.ModalitiesInStudy
    series_count: sa.ColumnElement[Any] = studies.c.series_count
    instance_count: sa.ColumnElement[Any] = studies.c.instance_count
    if hides_within_studies(scope):
        inside = (own.c.study_id == studies.c.id, visible(scope, own))
        of_series = series.alias("of_series")
        seen = sa.exists().where(own.c.series_id == of_series.c.id, visible(scope, own))
        found = patterns.distinct_values(of_series.c.Modality)
        modalities = _scalar(found, of_series.c.study_id == studies.c.id, seen)
        series_count = _scalar(sa.func.count(sa.distinct(own.c.series_id)), *inside)
        instance_count = _scalar(sa.func.count(own.c.id), *inside)
    sop_classes: sa.ColumnElement[Any] = sa.literal("")
    if query.with_sop_classes:
        found = patterns.distinct_values(classes.c.sop_class_uid)
        sop_classes = _scalar(found, classes.c.study_id == studies.c.id, visible(scope, classes))
    return [studies.c.study_uid, studies.c.attributes, modalities, series_count, instance_count, sop_classes]


def _series_columns(scope: Scope) -> list[sa.ColumnElement[Any]]:
    count: sa.ColumnElement[Any] = series.c.instance_count
    if hides_within_studies(scope):
        own = instances.alias("of_this_series")
        count = _scalar(sa.func.count(own.c.id), own.c.series_id == series.c.id, visible(scope, own))
    return [series.c.series_uid, series.c.attributes, count]


def _scalar(value: sa.ColumnElement[Any], *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.select(value).where(*conditions).correlate(studies, series).scalar_subquery()


def _match(level: Level, row: Row) -> Match:
    study = StudyMatch(row[0], row[1], _values(row[2]), row[3], row[4], _values(row[5]))
    if level is Level.STUDY:
        return study
    of_series = SeriesMatch(study, row[6], row[7], row[8])
    if level is Level.SERIES:
        return of_series
    values = dict(zip(INSTANCE_COLUMNS.values(), row[13:], strict=True))
    return InstanceMatch(of_series, row[9], row[10], row[11], values, row[DOCUMENT])


@lru_cache(KEPT_VALUES)
def _values(text: str | None) -> tuple[str, ...]:
    return tuple(sorted(set(filter(None, (text or "").replace(patterns.LISTED_BY, "\\").split("\\")))))
