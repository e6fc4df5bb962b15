"""Query string → `Query` (PS3.18 §8.3.4, PS3.4 C.2.2.2). Pure.

What is not an attribute that can be matched is ignored and told; what is malformed is refused by name.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from archive.attributes import Level
from archive.dicom.names import NamedAttribute, find_attribute, is_private, is_private_creator
from archive.errors import BadRequestError
from archive.identifiers import SeriesUID, StudyUID
from archive.index.columns import is_searched_by_document
from archive.index.query import MAXIMUM_PAGE, SOP_CLASSES_IN_STUDY, Condition, Key, Matching, Moments, Query
from qido.values import Switches, parse_offset_minutes, parse_values

MAXIMUM_PARAMETERS = 500
MAXIMUM_VALUE = 1024
"""Characters of a value; lists of UIDs may be longer."""
NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)

NOT_ATTRIBUTES = frozenset({"accept", "charset"})
"""Known parameters that are read elsewhere."""
SWITCHES = frozenset({"fuzzymatching", "emptyvaluematching", "multiplevaluematching"})
TIMEZONE, CHARACTER_SET = "00080201", "00080005"
UNMATCHED = frozenset({"00080056", "00081190", "00083002", "00201206", "00201208", "00201209"})
"""Made by the archive when it answers; they are returned and never matched."""
UNMATCHED_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ", "AT"})
MOMENTS = (("00080020", "00080030"), ("00080021", "00080031"), ("00400244", "00400245"), ("00080023", "00080033"))
"""Dates and their times; ranges of both are one range of moments (PS3.4 C.2.2.2.5.4)."""

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Fields:
    """What is returned beside the tables of PS3.18: by includefield, and because it was asked for.

    `creators`: by the tag of a private creator, whom the request means by it.
    """

    everything: bool = False
    keys: tuple[Key, ...] = ()
    creators: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    query: Query
    fields: Fields
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """Which of the six resources is searched (PS3.18 Table 10.6.1-1)."""

    level: Level
    study_uid: StudyUID | None = None
    series_uid: SeriesUID | None = None

    @property
    def form(self) -> "Resource":
        """The same resource of any study and series: its answers are put in the same way."""
        study_uid = StudyUID("") if self.study_uid is not None else None
        return Resource(self.level, study_uid, SeriesUID("") if self.series_uid is not None else None)


def parse_pairs(raw_query: str) -> Pairs:
    """Names and values of a query string, percent-decoded once; empty pairs are left out."""
    try:
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_PARAMETERS)
    except UnicodeDecodeError:
        raise BadRequestError("The query is not percent-encoded UTF-8.", parameter="query") from None
    except ValueError:
        raise BadRequestError(f"A query has at most {MAXIMUM_PARAMETERS} parameters.", parameter="query") from None
    for name, value in pairs:
        if any(character < " " or character == "\x7f" for character in name + value):
            raise BadRequestError(f"{_named(name)} holds a control character.", parameter=_named(name))
    return pairs


def parse_search(resource: Resource, pairs: Pairs) -> SearchRequest:
    """Read a whole query.

    Raises
    ------
    BadRequestError
        Names the parameter that is malformed.
    """
    reading = _Reading(resource, _parse_switches(pairs))
    for name, value in pairs:
        reading.take(name, value)
    return reading.finish(pairs)


class _Reading:
    """One query while it is read."""

    def __init__(self, resource: Resource, switches: Switches) -> None:
        self._resource = resource
        self._switches = switches
        self._conditions: dict[tuple[str, ...], Condition] = {}
        self._keys: dict[tuple[str, ...], Key] = {}
        self._creators: dict[str, str] = {}
        self._warnings: list[str] = []
        self._everything = False
        self._offset_minutes: int | None = None

    def take(self, name: str, value: str) -> None:
        if not name or name in NOT_ATTRIBUTES or name in SWITCHES or name in ("limit", "offset"):
            return
        if name == "includefield":
            self._include(value)
            return
        attribute = find_attribute(name)
        if attribute is None:
            self._warn(f"The parameter {_named(name)} is not known and has been ignored.")
            return
        self._match(name, attribute, value.strip())

    def _include(self, value: str) -> None:
        for name in filter(None, (part.strip() for part in value.split(","))):
            if name == "all":
                self._everything = True
            elif (attribute := find_attribute(name)) is not None:
                self._return(Key(attribute.path, attribute.vr))
            else:
                self._warn(f"The includefield {_named(name)} is not known and has been ignored.")

    def _return(self, key: Key) -> None:
        if key.level <= self._resource.level:
            self._keys[key.path] = key

    def _match(self, name: str, attribute: NamedAttribute, value: str) -> None:
        key = Key(attribute.path, attribute.vr)
        if attribute.tag == CHARACTER_SET:
            return  # says how a DIMSE request is coded; never matched (PS3.4 C.2.2.2)
        if attribute.tag == TIMEZONE:
            self._offset_minutes = parse_offset_minutes(value, name) if value else None
            return
        if is_private(attribute.path[0]):
            self._match_private(name, key, value)
            return
        self._return(key)
        if not value or not value.strip("*"):
            return  # universal matching
        if not self._can_match(key):
            self._warn(f"{_named(name)} cannot be matched here; it has been ignored.")
            return
        if key.path in self._conditions and key.vr != "UI":
            raise BadRequestError(f"{_named(name)} is given more than once.", parameter=_named(name))
        if key.vr != "UI" and len(value) > MAXIMUM_VALUE:
            raise BadRequestError(f"{_named(name)} is longer than {MAXIMUM_VALUE} characters.", parameter=_named(name))
        condition = parse_values(key, value, self._switches, _named(name))
        before = self._conditions.get(key.path)
        if before is not None:
            condition = replace(condition, values=(*before.values, *condition.values))
        self._conditions[key.path] = condition

    def _match_private(self, name: str, key: Key, value: str) -> None:
        """A private creator says whose block an includefield means (PS3.18 §8.3.4.3); nothing private is matched."""
        if is_private_creator(key.tag) and value:
            self._creators[key.tag] = value
            return
        self._return(key)
        if value.strip("*"):
            self._warn(f"{_named(name)} is private and cannot be matched; it has been ignored.")

    def _can_match(self, key: Key) -> bool:
        if key.path[0] in UNMATCHED or key.vr in UNMATCHED_VRS:
            return False
        # Whole documents are read through within one study, not across the archive.
        return self._resource.study_uid is not None or not is_searched_by_document(key)

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    def finish(self, pairs: Pairs) -> SearchRequest:
        moments = self._moments()
        fields = Fields(self._everything, tuple(self._keys.values()), tuple(self._creators.items()))
        query = Query(
            self._resource.level,
            self._resource.study_uid,
            self._resource.series_uid,
            tuple(self._conditions.values()),
            moments,
            limit=min(_parse_number(pairs, "limit", MAXIMUM_PAGE), MAXIMUM_PAGE),
            offset=_parse_number(pairs, "offset", 0),
            with_sop_classes=self._everything or (SOP_CLASSES_IN_STUDY,) in self._keys,
        )
        return SearchRequest(query, fields, tuple(self._warnings))

    def _moments(self) -> tuple[Moments, ...]:
        """Take date and time ranges that belong together out of the conditions."""
        found: list[Moments] = []
        for date_tag, time_tag in MOMENTS:
            date, time = self._conditions.get((date_tag,)), self._conditions.get((time_tag,))
            if date is None or time is None or not self._are_one(date, time):
                continue
            first, last = (pair if all(pair) else None for pair in zip(_ends(date), _ends(time), strict=True))
            found.append(Moments(date.key, time.key, first, last, self._offset_minutes))
            del self._conditions[date.key.path], self._conditions[time.key.path]
        return tuple(found)

    def _are_one(self, date: Condition, time: Condition) -> bool:
        if Matching.EMPTY in (date.matching, time.matching):
            return False
        if date.matching is Matching.RANGE or self._offset_minutes is not None:
            same_form = [bool(end) for end in _ends(date)] == [bool(end) for end in _ends(time)]
            return same_form and (time.matching is Matching.RANGE or self._offset_minutes is not None)
        return False


def _ends(condition: Condition) -> tuple[str, str]:
    return condition.values[0], condition.values[-1]


def _parse_switches(pairs: Pairs) -> Switches:
    given = {name: value for name, value in pairs if name in SWITCHES}
    for name, value in given.items():
        if value not in ("true", "false"):
            raise BadRequestError(f"{name} is true or false.", parameter=name)
    on = {name for name, value in given.items() if value == "true"}
    return Switches("fuzzymatching" in on, "emptyvaluematching" in on, "multiplevaluematching" in on)


def _parse_number(pairs: Pairs, name: str, default: int) -> int:
    values = [value for key, value in pairs if key == name]
    if not values:
        return default
    if len(values) > 1 or NUMBER.fullmatch(values[0]) is None:
        raise BadRequestError(f"{name} is one whole number of at most twelve digits.", parameter=name)
    return int(values[0])


def _named(name: str) -> str:
    """A parameter's name as errors and warnings repeat it: short, and only what names are made of."""
    return re.sub(r"[^A-Za-z0-9._-]", "?", name[:64])
