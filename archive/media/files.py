"""A file of a medium, wherever the medium keeps it; its name is for people and never becomes a path."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

MAXIMUM_NAME_LENGTH = 1024


class Readable(Protocol):
    """An open file of a medium, read from its start to its end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class MediumFile:
    """`problem` says why the medium itself cannot give the file away: encrypted, or packed beyond the limits."""

    name: str
    length_bytes: int
    open: Callable[[], AbstractContextManager[Readable]]
    problem: str = ""


class MediumError(Exception):
    """The medium as a whole cannot be read; `args[0]` says why, in words for people."""


def neutral_name(name: str) -> str:
    """A name from a medium as it may be shown: no way up or to a root, nothing that a terminal would obey."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if parts and len(parts[0]) == 2 and parts[0][1] == ":":  # a drive's letter
        parts = parts[1:]
    shown = "/".join("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in part) for part in parts)
    return shown[:MAXIMUM_NAME_LENGTH] or "(no name)"
