"""Match dates, times, and both as one moment, in their time zones (PS3.4 C.2.2.2.5)."""

import datetime

import sqlalchemy as sa

from archive.database.index_tables import studies
from archive.index import patterns
from archive.index.columns import COLUMNS, DOCUMENTS
from archive.index.forms import bound
from archive.index.patterns import Text, Truth
from archive.index.query import Key, Moments

TIMEZONE = "00080201"
AFTER_TIME = ":"
"""Sorts behind every digit and the decimal point."""


def in_range(column: Text, vr: str, first: str, last: str) -> Truth:
    """A stored date or time may leave out what is zero, and say more than the range does."""
    if vr == "DT" and (first or last)[-5:-4] in ("+", "-"):
        return _in_zoned_range(column, first, last)
    if vr == "DA":
        bounds = [column >= bound(first) if first else column != "", column <= bound(last) if last else sa.true()]
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


def in_moments(moments: Moments) -> Truth:
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
    column = COLUMNS.get(key.tag)
    return column if column is not None else patterns.first_json_value(DOCUMENTS[key.level], key.tag)


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
