"""Scope and query → one WHERE (PS3.4 C.2.2.2).

Conditions on the level that is asked for, and on levels above it, are conditions on joined tables; conditions on levels
below become one EXISTS, so that they must hold together for one series or one instance. The scope is part of each.
"""

import datetime
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from archive.attributes import SEQUENCE_PATHS, Level
from archive.database.index_tables import instance_metadata, instances, sequence_values, series, studies
from archive.index import patterns
from archive.index.folding import SOUND_MARK, fold, sound_of, words_of
from archive.index.patterns import Text, Truth
from archive.index.query import (
    MODALITIES_IN_STUDY,
    MULTIPLE,
    SOP_CLASSES_IN_STUDY,
    Condition,
    Key,
    Matching,
    Moments,
    Query,
)
from archive.index.writer import FOLDED, INSTANCE_COLUMNS, SERIES_COLUMNS, STUDY_COLUMNS
from archive.scope import Scope

TIMEZONE = "00080201"
NUMERIC = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""PS3.4 C.2.2.2.4: of these representations values may hold wildcards."""
_AROUND_DELIMITER = re.compile(r" ?\^ ?")
SHORTEST_SOUNDING = 4
"""Shorter words sound like too many others."""
AFTER_TIME = ":"
"""Sorts behind every digit and the decimal point."""

_COLUMNS: dict[str, Text] = {
    **{tag: studies.c[name] for name, tag in STUDY_COLUMNS.items()},
    **{tag: series.c[name] for name, tag in SERIES_COLUMNS.items()},
    **{tag: instances.c[name] for name, tag in INSTANCE_COLUMNS.items()},
    "0020000D": studies.c.study_uid,
    "0020000E": series.c.series_uid,
    "00080018": instances.c.instance_uid,
    "00080016": instances.c.sop_class_uid,
}
_NAME_COLUMNS = {STUDY_COLUMNS[name]: name for name in FOLDED}
_DOCUMENTS: dict[Level, sa.Column[bytes]] = {
    Level.STUDY: studies.c.attributes,
    Level.SERIES: series.c.attributes,
    Level.INSTANCE: instance_metadata.c.document,
}


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


def is_searched_by_document(key: Key) -> bool:
    """Whether matching the key means to read the documents of instances: nothing of it is kept apart."""
    kept = key.tag in _COLUMNS if len(key.path) == 1 else SEQUENCE_PATHS.get(key.dotted) is Level.INSTANCE
    return key.level is Level.INSTANCE and not kept


def where(scope: Scope, query: Query) -> list[Truth]:
    """All that must hold for a row of the query's level, joined with the levels above it."""
    conditions = _in_scope(scope, query.level)
    if query.study_uid is not None:
        conditions.append(studies.c.study_uid == query.study_uid)
    if query.series_uid is not None:
        conditions.append(series.c.series_uid == query.series_uid)
    above = [condition for condition in query.conditions if condition.key.level <= query.level]
    below = [condition for condition in query.conditions if condition.key.level > query.level]
    conditions += _all_of(scope, above)
    for moments in query.moments:
        if moments.date.level <= query.level:
            conditions.append(_in_moments(moments))
    conditions += _exists_below(scope, query, below)
    return conditions


def _in_scope(scope: Scope, level: Level) -> list[Truth]:
    conditions: list[Truth] = []
    if scope.study_uids is not None:
        conditions.append(studies.c.study_uid.in_(sorted(scope.study_uids)))
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
    inner += [_in_moments(moments) for moments in query.moments if moments.date.level > query.level]
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
    if tag in _NAME_COLUMNS:
        return _of_name(_NAME_COLUMNS[tag], condition)
    column = _COLUMNS.get(tag)
    if column is not None:
        return compare(column, condition)
    return _of_document(condition)


def _through_series(scope: Scope, condition: Condition) -> Truth:
    """ModalitiesInStudy: what the scope sees of the study's series, not what the study's row says."""
    own = series.alias("modality")

    def exists(inner: Condition) -> Truth:
        holds = [own.c.study_id == studies.c.id, own.c.instance_count > 0]
        if hides_within_studies(scope):
            seen = instances.alias("seen")
            holds.append(sa.exists().where(seen.c.series_id == own.c.id, visible(scope, seen)))
        if inner.matching is Matching.EMPTY:
            return ~sa.exists().where(*holds, own.c.Modality != "")
        return sa.exists().where(*holds, compare(own.c.Modality, inner))

    return _each(condition, exists)


def _through_instances(scope: Scope, condition: Condition) -> Truth:
    def exists(inner: Condition) -> Truth:
        own = instances.c.study_id == studies.c.id
        if inner.matching is Matching.EMPTY:
            return sa.false()
        return sa.exists().where(own, visible(scope), compare(instances.c.sop_class_uid, inner)).correlate(studies)

    return _each(condition, exists)


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
        return _in_range(column, key.vr, *values)
    if key.vr in NUMERIC:
        return sa.or_(*(patterns.number_equals(column, float(value)) for value in values))
    if key.vr in ("TM", "DT"):
        return sa.or_(*(_in_range(column, key.vr, value, value) for value in values))
    if condition.matching is Matching.EACH:
        return sa.and_(*(patterns.contains_value(column, value) for value in values))
    if condition.matching is Matching.WILDCARD:
        matches = patterns.contains_value if key.tag in MULTIPLE else patterns.matches
        return sa.or_(*(matches(column, value) for value in values))
    if key.tag in MULTIPLE and key.vr != "UI":
        return sa.or_(*(patterns.contains_value(column, value) for value in values))
    return column == values[0] if len(values) == 1 else column.in_(values)


def _in_range(column: Text, vr: str, first: str, last: str) -> Truth:
    """A stored date or time may leave out what is zero, and say more than the range does."""
    if vr == "DT" and (first or last)[-5:-4] in ("+", "-"):
        return _in_zoned_range(column, first, last)
    if vr == "DA":
        bounds = [column >= first if first else column != "", column <= last if last else sa.true()]
    else:
        bounds = [column >= shortest(first, 8 if vr == "DT" else 0) if first else column != ""]
        bounds.append(column < last + AFTER_TIME if last else sa.true())
    return sa.and_(*bounds)


def shortest(moment: str, date_length: int = 0) -> str:
    """The shortest text that means this time, or date and time: it sorts before all others that mean it."""
    date, clock = moment[:date_length], moment[date_length:]
    whole, _, fraction = clock.partition(".")
    if fraction.strip("0"):
        return f"{date}{whole}.{fraction.rstrip('0')}"
    while whole.endswith("00") and (len(whole) > 2 or date):
        whole = whole[:-2]
    return date + whole


def _in_moments(moments: Moments) -> Truth:
    date, time = _first_text(moments.date), _first_text(moments.time)
    bounds: list[Truth] = [date != ""]
    if moments.offset_minutes is not None:
        return sa.and_(*bounds, *_in_zone(moments, date, time))
    if moments.first is not None:
        day, clock = moments.first
        bounds += [date >= day, sa.or_(date > day, time >= shortest(clock))]
    if moments.last is not None:
        day, clock = moments.last
        bounds += [date <= day, sa.or_(date < day, time < clock + AFTER_TIME)]
    return sa.and_(*bounds)


def _first_text(key: Key) -> Text:
    """The text of a study's or series' attribute; "" where there is none."""
    column = _COLUMNS.get(key.tag)
    return column if column is not None else patterns.first_json_value(_DOCUMENTS[key.level], key.tag)


def _in_zone(moments: Moments, date: Text, time: Text) -> list[Truth]:
    """The bounds as moments of UTC, each value in its own time zone; the index leads to the days around."""
    offset = moments.offset_minutes or 0
    stated = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    zone = _zone_of_study(stated)
    minutes = patterns.minutes_of(date, time, zone)
    bounds: list[Truth] = []
    if moments.first is not None:
        day, clock = moments.first
        bounds += [date >= _days_later(day, -2), minutes >= patterns.minutes_of_values(day, clock, offset)]
    if moments.last is not None:
        day, clock = moments.last
        end = patterns.minutes_of_values(day, clock, offset) + _precision_minutes(clock)
        bounds += [date <= _days_later(day, 2), minutes < end]
    return bounds


def _zone_of_study(otherwise: str) -> Text:
    known = patterns.first_json_value(studies.c.attributes, TIMEZONE)
    return sa.case((sa.func.coalesce(known, "") != "", known), else_=otherwise)


def _in_zoned_range(column: Text, first: str, last: str) -> Truth:
    """Bounds of a DT that name their zone, held against values with their own zone or the study's."""
    stated = (first or last)[-5:]
    minutes = patterns.minutes_of_datetime(column, _zone_of_study(stated))
    bounds: list[Truth] = [column != ""]
    if first:
        bounds.append(minutes >= _minutes(first)[0])
    if last:
        bounds.append(minutes < _minutes(last)[1])
    return sa.and_(*bounds)


def _minutes(value: str) -> tuple[float, float]:
    """The first minute of a DT with a zone and the first one after it."""
    moment, zone = value[:-5], value[-5:]
    offset = (int(zone[1:3]) * 60 + int(zone[3:])) * (-1 if zone[0] == "-" else 1)
    date, clock = moment[:8], moment[8:]
    begin = patterns.minutes_of_values(date + "00000101"[len(date) :], clock, offset)
    if clock:
        return begin, begin + _precision_minutes(clock)
    if len(date) == 8:
        return begin, begin + 1440.0
    year, month = int(date[:4]), int(date[4:] or 12)
    year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return begin, patterns.minutes_of_values(f"{year:04}{month:02}01", "", offset)


def _days_later(day: str, days: int) -> str:
    ordinal = datetime.date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal() + days
    return datetime.date.fromordinal(min(max(ordinal, 1), datetime.date.max.toordinal())).strftime("%Y%m%d").zfill(8)


def _precision_minutes(clock: str) -> float:
    """How long the time lasts that is written so: an hour, a minute, a second or a part of it."""
    if len(clock) <= 4:
        return 60.0 if len(clock) == 2 else 1.0
    return 10.0 ** -len(clock.partition(".")[2]) / 60.0


def _of_name(name: str, condition: Condition) -> Truth:
    """A person name, in any of its component groups; case and diacritics do not count."""
    folded, words = studies.c[f"{name}_folded"], studies.c[f"{name}_words"]
    if condition.matching is Matching.EMPTY:
        return folded == ""
    if condition.matching is Matching.FUZZY:
        return sa.or_(_name_matches(folded, condition.values[0]), _words_match(words, condition.values[0]))
    holds = [_name_matches(folded, value) for value in condition.values]
    return sa.and_(*holds) if condition.matching is Matching.EACH else sa.or_(*holds)


def _name_matches(folded: Text, value: str) -> Truth:
    groups = [group for group in folded_pattern(value).split("=") if group]
    return sa.and_(sa.true(), *(_group_matches(folded, group) for group in groups))


def _group_matches(folded: Text, group: str) -> Truth:
    if group.startswith("*") or group.endswith("*"):
        # What is open at an end needs no sign there.
        inner = group.strip("*")
        head, tail = "" if group.startswith("*") else "=", "" if group.endswith("*") else "="
        holds = patterns.contains(folded, f"{head}{inner}{tail}") if inner else folded != ""
        if group.endswith("^*"):  # DOE^* is also DOE, whose trailing delimiter is left out
            return sa.or_(holds, _group_matches(folded, group.rstrip("*^")))
        return holds
    return patterns.contains(folded, f"={group}=")


def folded_pattern(value: str) -> str:
    """A name with wildcards, folded as stored names are; what is folded never becomes a wildcard."""
    parts: list[str] = []
    literal = ""
    for character in value:
        if character in "*?":
            parts += [_fold_part(literal), character]
            literal = ""
        else:
            literal += character
    parts.append(_fold_part(literal))
    pattern = _AROUND_DELIMITER.sub("^", " ".join("".join(parts).split()))
    return "=".join(group.strip().rstrip("^") for group in pattern.split("="))


def _fold_part(literal: str) -> str:
    groups = (fold(group).replace("*", "＊").replace("?", "？") for group in literal.split("="))
    return "=".join(group.replace("=", " ") for group in groups)


def _words_match(words: Text, value: str) -> Truth:
    """Each word asked for begins a word of the name or, unless it is short, sounds like one."""
    holds: list[Truth] = [sa.true()]
    for word in words_of(value):
        begins = patterns.contains(words, f" {word}")
        sounds = patterns.contains(words, f" {SOUND_MARK}{sound_of(word)} ")
        holds.append(sa.or_(begins, sounds) if len(word) >= SHORTEST_SOUNDING else begins)
    return sa.and_(*holds)


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
    source: Any = patterns.json_text(_DOCUMENTS[level])
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
    return _owning_document(level, _of_json(patterns.json_text(_DOCUMENTS[level]), condition))


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
