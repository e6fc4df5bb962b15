"""What SQLite and PostgreSQL say in different words: patterns, JSON, numbers and dates in texts.

Each is an element of SQLAlchemy that is written out for the database at hand. `lightbox_…` are functions that a
migration makes in PostgreSQL: they answer as SQLite does where a text is no number, no date or no JSON.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_LIKE = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})
_REGEX_SIGNS = frozenset(r"\.+()[]{}^$|")


_PLAIN: Any = sa.types.NULLTYPE
"""Not Boolean: that SQLite is told as "… = 1", and then it uses no index."""


class Matches(FunctionElement[bool]):
    """The whole text matches a pattern, in which "*" and "?" are wildcards and all else is meant literally."""

    inherit_cache = True
    type = _PLAIN

    def __init__(self, text: sa.ColumnElement[str], pattern: str) -> None:
        super().__init__(text, sa.literal(_glob(pattern)), sa.literal(pattern.translate(_LIKE)))


class MatchesAnyCase(FunctionElement[bool]):
    """The same, upper and lower case letters being the same (of any script, not only of ASCII)."""

    inherit_cache = True
    type = _PLAIN

    def __init__(self, text: sa.ColumnElement[str], pattern: str) -> None:
        glob = "".join(map(_any_case, pattern))
        regex = "".join(map(_regex, pattern))
        super().__init__(text, sa.literal(glob), sa.literal(f"^{regex}$"))


class OnSQLite(FunctionElement[bool]):
    """A condition that holds anyway and leads SQLite to an index; PostgreSQL finds its own way."""

    inherit_cache = True
    type = _PLAIN


class Number(FunctionElement[float]):
    """The number that a text begins with; 0 where it begins with none."""

    inherit_cache = True
    type = sa.Float()


class WholeNumber(FunctionElement[int]):
    """The same, as a whole number."""

    inherit_cache = True
    type = sa.Integer()


class JulianDay(FunctionElement[float]):
    """The Julian day of a date such as 2026-11-24; NULL where there is no such date."""

    inherit_cache = True
    type = sa.Float()


class TextOfBytes(FunctionElement[str]):
    """Bytes in UTF-8 as text."""

    inherit_cache = True
    type = sa.Text()


class JsonValues(FunctionElement[Any]):
    """The values of an attribute of a DICOM JSON object, one row each, in the column `value`."""

    inherit_cache = True

    def __init__(self, document: sa.ColumnElement[Any], tag: str) -> None:
        super().__init__(document, sa.literal(f'$."{tag}".Value'), sa.literal(tag))


class JsonMembers(FunctionElement[Any]):
    """The members of a JSON object, one row each, in the column `value`."""

    inherit_cache = True


class FirstJsonValue(FunctionElement[str]):
    """The first value of an attribute of DICOM JSON text; NULL where there is none."""

    inherit_cache = True
    type = sa.Text()

    def __init__(self, document: sa.ColumnElement[str], tag: str) -> None:
        super().__init__(document, sa.literal(f'$."{tag}".Value[0]'), sa.literal(tag))


class Listed(FunctionElement[str]):
    """An aggregate: the values that occur, each once, with commas between them."""

    inherit_cache = True
    type = sa.Text()


def total(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """The sum of a column as a whole number, 0 of none; PostgreSQL gives sums of large numbers as decimals."""
    return sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger)


_SQLITE: dict[type[FunctionElement[Any]], str] = {
    Matches: "({0} GLOB {1})",
    MatchesAnyCase: "({0} GLOB {1})",
    OnSQLite: "{0}",
    Number: "CAST({0} AS REAL)",
    WholeNumber: "CAST({0} AS INTEGER)",
    JulianDay: "julianday({0})",
    TextOfBytes: "CAST({0} AS TEXT)",
    JsonValues: "json_each({0}, {1})",
    JsonMembers: "json_each({0})",
    FirstJsonValue: "json_extract({0}, {1})",
    Listed: "group_concat(DISTINCT {0})",
}
_POSTGRESQL: dict[type[FunctionElement[Any]], str] = {
    Matches: "({0} LIKE {2})",
    MatchesAnyCase: "({0} ~ {2})",
    OnSQLite: "true",
    Number: "lightbox_number({0})",
    WholeNumber: "trunc(lightbox_number({0}))",
    JulianDay: "lightbox_julian_day({0})",
    TextOfBytes: "convert_from({0}, 'UTF8')",
    JsonValues: "lightbox_json_values({0}, {2})",
    JsonMembers: "lightbox_json_members({0})",
    FirstJsonValue: "lightbox_first_json_value({0}, {2})",
    Listed: "string_agg(DISTINCT {0}, ',')",
}


def _written(forms: dict[type[FunctionElement[Any]], str]) -> Any:
    """A compiler by these forms; arguments that a form leaves out never become parameters."""

    def write(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
        form, arguments = forms[type(element)], list(element.clauses)
        used = [
            compiler.process(argument, **options) if f"{{{place}}}" in form else ""
            for place, argument in enumerate(arguments)
        ]
        return form.format(*used)

    return write


for _element in _SQLITE:
    compiles(_element, "sqlite")(_written(_SQLITE))
    compiles(_element, "postgresql")(_written(_POSTGRESQL))


def _glob(pattern: str) -> str:
    return pattern.replace("[", "[[]")


def _cases(character: str) -> list[str]:
    cases = {character, character.lower(), character.upper()}
    return sorted(case for case in cases if len(case) == 1)


def _any_case(character: str) -> str:
    cases = _cases(character)
    return f"[{''.join(cases)}]" if len(cases) > 1 else _glob(character)


def _regex(character: str) -> str:
    if character in "*?":
        return ".*" if character == "*" else "."
    cases = _cases(character)
    if len(cases) > 1:
        return f"[{''.join(cases)}]"
    return f"\\{character}" if character in _REGEX_SIGNS else character
