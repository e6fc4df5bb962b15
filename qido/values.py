"""A value of the query string → what must match, by the attribute's VR (PS3.4 C.2.2.2, PS3.5 §6.2). Pure."""

import datetime
import re
from dataclasses import dataclass

from archive.errors import BadRequestError
from archive.identifiers import is_uid
from archive.index.matching import WILDCARD_VRS
from archive.index.query import MULTIPLE, NUMERIC, Condition, Key, Matching

EMPTY_VALUE = '""'
MAXIMUM_UIDS = 1_000
MAXIMUM_VALUES = 100
UNDIVIDED_VRS = frozenset({"LT", "ST", "UT", "UR"})
"""In these a backslash is a character like any other (PS3.5 §6.2)."""
EACH_VRS = frozenset({"AE", "AS", "CS", "LO", "PN", "SH", "UC"})
"""Of which several values can be asked for at once (PS3.4 C.2.2.2.8)."""
HIGHEST_OFFSET_MINUTES = 14 * 60

_DATE = re.compile(r"[0-9]{8}", re.ASCII)
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9]|60)?)?", re.ASCII)
_FRACTION = re.compile(r"[0-9]{1,6}", re.ASCII)
_OFFSET = re.compile(r"([+ -])([0-9]{2})([0-9]{2})", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Switches:
    """The three ways of matching that a request turns on (PS3.18 §8.3.4.2, .5, .6)."""

    fuzzy: bool = False
    empty: bool = False
    each: bool = False


def parse_values(key: Key, text: str, switches: Switches, parameter: str) -> Condition:
    """The condition that a value states. Raises BadRequestError naming the parameter."""
    if switches.empty and text == EMPTY_VALUE:
        return Condition(key, Matching.EMPTY)
    if key.vr == "UI":
        return _parse_uids(key, text, parameter)
    if key.vr in _RANGED:
        return _parse_range(key, text, parameter)
    if key.vr in NUMERIC:
        return _parse_numbers(key, text, parameter)
    if key.vr == "PN" and switches.fuzzy:
        return Condition(key, Matching.FUZZY, (text,))
    return _parse_text(key, text, switches, parameter)


def parse_offset_minutes(text: str, parameter: str) -> int:
    """Minutes east of UTC of `+0130`; a "+" that was not percent-encoded arrives as a space."""
    match = _OFFSET.fullmatch(text if text[:1] in "+-" else f"+{text.lstrip()}")
    if match is None or int(match[3]) > 59:
        raise BadRequestError(f"{parameter} is an offset such as +0130.", parameter=parameter)
    minutes = int(match[2]) * 60 + int(match[3])
    if minutes > HIGHEST_OFFSET_MINUTES:
        raise BadRequestError(f"{parameter} is an offset from -1400 to +1400.", parameter=parameter)
    return -minutes if match[1] == "-" else minutes


def _parse_uids(key: Key, text: str, parameter: str) -> Condition:
    uids = [uid for part in re.split(r"[,\\]", text) if (uid := part.strip())]
    if not uids or not all(map(is_uid, uids)):
        message = f"{parameter} is a UID, or a list of them: digits and single dots, at most 64 characters."
        raise BadRequestError(message, parameter=parameter)
    if len(uids) > MAXIMUM_UIDS:
        raise BadRequestError(f"{parameter} lists more than {MAXIMUM_UIDS} UIDs.", parameter=parameter)
    return Condition(key, Matching.ANY, tuple(dict.fromkeys(uids)))


def _parse_numbers(key: Key, text: str, parameter: str) -> Condition:
    values = [part.strip() for part in text.split("\\")]
    if len(values) > MAXIMUM_VALUES or not all(_NUMBER.fullmatch(value) for value in values):
        raise BadRequestError(f"{parameter} is a number.", parameter=parameter)
    return Condition(key, Matching.ANY, tuple(values))


def _parse_text(key: Key, text: str, switches: Switches, parameter: str) -> Condition:
    values = [text]
    if key.vr not in UNDIVIDED_VRS:
        # A CS can hold no comma; viewers list modalities with either sign.
        values = re.split(r"[,\\]" if key.vr == "CS" else r"\\", text)
        values = [value for part in values if (value := part.strip())] or [text]
    if len(values) > MAXIMUM_VALUES:
        raise BadRequestError(f"{parameter} lists more than {MAXIMUM_VALUES} values.", parameter=parameter)
    wildcards = key.vr in WILDCARD_VRS and any(set(value) & set("*?") for value in values)
    if switches.each and len(values) > 1 and key.vr in EACH_VRS and key.tag in MULTIPLE:
        if wildcards:
            message = f"{parameter}: several values to be matched at once hold no wildcards."
            raise BadRequestError(message, parameter=parameter)
        return Condition(key, Matching.EACH, tuple(values))
    if wildcards:
        return Condition(key, Matching.WILDCARD, tuple(values))
    return Condition(key, Matching.SINGLE if len(values) == 1 else Matching.ANY, tuple(values))


def _parse_range(key: Key, text: str, parameter: str) -> Condition:
    """One date, time or date and time, or a range of them, open at one end."""
    read, meant = _RANGED[key.vr]
    for position in [index for index, character in enumerate(text) if character == "-"] or [-1]:
        first, dash, last = (text, "", "") if position < 0 else (text[:position], "-", text[position + 1 :])
        first, last = first.strip(), last.strip()
        if dash and _is_offset(key.vr, first, last):
            continue
        if not dash or not (first or last):
            break
        ends = (read(first) if first else "", read(last) if last else "")
        if None in ends:
            break
        begin, end = str(ends[0]), str(ends[1])
        if begin and end and key.vr == "DA" and begin > end:
            raise BadRequestError(f"{parameter} is a range that ends before it begins.", parameter=parameter)
        return Condition(key, Matching.RANGE, _in_one_zone(begin, end) if key.vr == "DT" else (begin, end))
    single = read(text)
    if single is None:
        raise BadRequestError(f"{parameter} is {meant}, or a range of two with a hyphen.", parameter=parameter)
    return Condition(key, Matching.SINGLE, (single,))


def _is_offset(vr: str, first: str, last: str) -> bool:
    """Whether the hyphen is the sign of a date-time's zone: four digits follow that no year begins with."""
    return vr == "DT" and bool(re.match(r"(0[0-9]|1[0-4])[0-5][0-9](-|$)", last)) and len(first) >= 4


def _in_one_zone(begin: str, end: str) -> tuple[str, str]:
    """Where one bound names its zone, the other is in the same."""
    zones = [bound[-5:] for bound in (begin, end) if bound[-5:-4] in ("+", "-")]
    if not zones:
        return begin, end
    begin, end = (bound + zones[0] if bound and bound[-5:-4] not in ("+", "-") else bound for bound in (begin, end))
    return begin, end


def _read_date(text: str) -> str | None:
    text = text.replace(".", "") if re.fullmatch(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}", text) else text
    if _DATE.fullmatch(text) is None:
        return None
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return text


def _read_time(text: str) -> str | None:
    if re.fullmatch(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?", text):
        text = text.replace(":", "")
    whole, point, fraction = text.partition(".")
    if _TIME.fullmatch(whole) is None or (point and (len(whole) != 6 or _FRACTION.fullmatch(fraction) is None)):
        return None
    return text


def _read_datetime(text: str) -> str | None:
    """A DT at any precision, with or without its zone."""
    match = re.fullmatch(r"([0-9.]{4,21})([+ -][0-9]{4})?", text, re.ASCII)
    if match is None:
        return None
    moment, zone = match[1], match[2]
    date, time = moment[:8], moment[8:]
    if time and _read_time(time) is None:
        return None
    if len(date) not in (4, 6, 8) or not date.isdigit() or _read_date((date + "0101")[:8]) is None:
        return None
    return moment if zone is None else moment + zone.replace(" ", "+")


_RANGED = {
    "DA": (_read_date, "a date, YYYYMMDD"),
    "TM": (_read_time, "a time, HHMMSS.FFFFFF, or the beginning of one"),
    "DT": (_read_datetime, "a date and time, YYYYMMDDHHMMSS.FFFFFF+ZZXX, or the beginning of one"),
}
