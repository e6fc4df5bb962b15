"""Match person names: in any component group, whatever the case and the diacritics (PS3.4 C.2.2.2.1.1)."""

import re
from collections.abc import Sequence

import sqlalchemy as sa

from archive.database.index_tables import studies
from archive.index import patterns
from archive.index.folding import SOUND_MARK, fold, sound_of, words_of
from archive.index.patterns import Text, Truth
from archive.index.query import Condition, Matching

SHORTEST_SOUNDING = 4
"""Shorter words sound like too many others."""
_AROUND_DELIMITER = re.compile(r" ?\^ ?")


def name_matches(name: str, condition: Condition) -> Truth:
    """A person name, in any of its component groups; case and diacritics do not count."""
    folded, words = studies.c[f"{name}_folded"], studies.c[f"{name}_words"]
    if condition.matching is Matching.EMPTY:
        return folded == ""
    if condition.matching is Matching.FUZZY:
        return _name_is_like(folded, words, condition.values[0])
    holds = [_value_matches(folded, value) for value in condition.values]
    return sa.and_(*holds) if condition.matching is Matching.EACH else sa.or_(*holds)


def _name_is_like(folded: Text, words: Text, value: str) -> Truth:
    asked = words_of(value)
    if not asked:
        return _value_matches(folded, value)
    if set(value) & set("*?"):
        return sa.or_(_value_matches(folded, value), _words_match(words, asked))
    return _words_match(words, asked)


def _value_matches(folded: Text, value: str) -> Truth:
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


def _words_match(words: Text, asked: Sequence[str]) -> Truth:
    """Each word asked for begins a word of the name or, unless it is short, sounds like one."""
    holds: list[Truth] = []
    for word in asked:
        parts = [f" {word}"]
        if len(word) >= SHORTEST_SOUNDING:
            parts.append(f" {SOUND_MARK}{sound_of(word)} ")
        holds.append(patterns.contains(words, *parts))
    return sa.and_(*holds)
