"""How text, numbers and moments are matched in SQL.

`*` and `?` are wildcards in patterns; everything else is meant literally.
"""

import datetime
import re
from typing import Any

import sqlalchemy as sa

from archive.database import dialects
from archive.database.index_tables import studies, study_text

Text = sa.ColumnElement[str]
Truth = sa.ColumnElement[bool]

TRIGRAM = 3
LISTED_BY = ","
HIGHEST = "\U0010ffff"
_STARRED = re.compile(r"[*?]*\*[*?]*")


def matches(column: Text, pattern: str) -> Truth:
    """The whole text matches. A pattern that begins with literals is a range of the column's index, too."""
    pattern = tidy(pattern)
    prefix = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if not prefix:
        return _found_by_trigrams(column, pattern)
    return sa.and_(column >= prefix, column < prefix + HIGHEST, _is_like(column, pattern))


def contains_value(column: Text, pattern: str) -> Truth:
    r"""One of the values, joined by backslashes, matches the pattern."""
    joined = sa.literal("\\").concat(column).concat("\\")
    return _is_like(joined, f"*\\{tidy(pattern)}\\*")


def contains(column: Text, *parts: str) -> Truth:
    """One of the patterns matches somewhere in the text."""
    return _found_by_trigrams(column, *(tidy(f"*{part}*") for part in parts))


def _found_by_trigrams(column: Text, *whole: str) -> Truth:
    """One of the patterns matches the whole text.

    If each has three literals in a row, the index of trigrams leads there, where it has the column. PostgreSQL sees
    that by itself.
    """
    holds = sa.or_(*(_is_like(column, pattern) for pattern in whole))
    indexed = study_text.c.get(column.key) if isinstance(column, sa.Column) and column.table is studies else None
    leads = [_literal_runs(pattern) for pattern in whole]
    if indexed is None or not all(set(lead) - {"*", "?"} for lead in leads):
        return holds
    found = [sa.select(study_text.c.rowid).where(indexed.op("GLOB", is_comparison=True)(lead)) for lead in leads]
    return sa.and_(dialects.OnSQLite(studies.c.id.in_(sa.union_all(*found) if len(found) > 1 else found[0])), holds)


def _literal_runs(pattern: str) -> str:
    """The pattern with "?" for every literal that is not one of three in a row: it matches no less.

    SQLite 3.40's FTS5 measures such runs in bytes: it finds nothing, or crashes, where one or two letters of several
    bytes stand between wildcards; its character classes are left out with them.
    """
    runs = re.findall(r"[*?]|\[|[^*?\[]+", pattern)
    return "".join(run if run in "*?" or len(run) >= TRIGRAM else "?" * len(run) for run in runs)


def _is_like(column: Text, pattern: str) -> Truth:
    return dialects.Matches(column, pattern)


def matches_any_case(column: Text, pattern: str) -> Truth:
    """The whole text matches, upper and lower case letters being the same (of any script, not only of ASCII)."""
    return dialects.MatchesAnyCase(column, tidy(pattern))


def number_equals(column: Text, value: float) -> Truth:
    return sa.and_(column != "", dialects.Number(column) == value)


def json_text(document: sa.ColumnElement[bytes]) -> Text:
    """A column of JSON bytes as JSON."""
    return dialects.TextOfBytes(document)


def json_values(document: sa.ColumnElement[Any], tag: str, name: str) -> sa.TableValuedAlias:
    """The values of an attribute of a DICOM JSON object, one row each, in the column `value`."""
    return dialects.JsonValues(document, tag).table_valued("value", name=name, joins_implicitly=True)


def json_members(value: sa.ColumnElement[Any], name: str) -> sa.TableValuedAlias:
    """The members of a JSON object, one row each, in the column `value`."""
    return dialects.JsonMembers(value).table_valued("value", name=name, joins_implicitly=True)


def first_json_value(document: sa.ColumnElement[bytes], tag: str) -> Text:
    """The first value of an attribute of DICOM JSON bytes; NULL where there is none."""
    return dialects.FirstJsonValue(json_text(document), tag)


def distinct_values(column: Text) -> sa.ColumnElement[str]:
    """An aggregate: the values that occur, each once, with `LISTED_BY` between them."""
    return dialects.Listed(column)


def minutes_of(date: Text, time: Text, zone: Text) -> sa.ColumnElement[float]:
    """Minutes in UTC of a date and a time as DICOM writes them, in a zone such as "+0130"; NULL for an odd date."""
    part = sa.func.substr
    clock = time.concat(part("000000", sa.func.length(time) + 1))
    whole = dialects.WholeNumber
    minute = whole(part(clock, 1, 2)) * 60 + whole(part(clock, 3, 2)) + dialects.Number(part(clock, 5)) / 60.0
    dashed = part(date, 1, 4).concat("-").concat(part(date, 5, 2)).concat("-").concat(part(date, 7, 2))
    offset = whole(part(zone, 1, 3)) * 60 + whole(part(zone, 1, 1).concat(part(zone, 4, 2)))
    return dialects.JulianDay(dashed) * 1440.0 + minute - offset


def minutes_of_datetime(value: Text, zone: Text) -> sa.ColumnElement[float]:
    """The same of a DT; `zone` is that of a value which names none."""
    part, length = sa.func.substr, sa.func.length(value)
    has_zone = part(value, length - 4, 1).in_(("+", "-"))
    local = sa.case((has_zone, part(value, 1, length - 5)), else_=value)
    date = part(local, 1, 8)
    whole_date = date.concat(part("00000101", sa.func.length(date) + 1))
    return minutes_of(whole_date, part(local, 9), sa.case((has_zone, part(value, length - 4)), else_=zone))


def minutes_of_values(date: str, time: str, offset_minutes: int) -> float:
    """The same of known values; both count from the same beginning."""
    julian_day = datetime.date(int(date[:4]), int(date[4:6]), int(date[6:8])).toordinal() + 1721424.5
    clock = time + "000000"[len(time) :]
    return julian_day * 1440.0 + (int(clock[:2]) * 60 + int(clock[2:4]) + float(clock[4:]) / 60.0) - offset_minutes


def tidy(pattern: str) -> str:
    """The pattern with runs of wildcards in one form, so that matching it takes no longer than it must."""
    return _STARRED.sub(lambda run: "?" * run[0].count("?") + "*", pattern)
