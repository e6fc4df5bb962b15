"""Keep what was computed from the index for as long as nothing of it changes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

import sqlalchemy as sa

from archive.database.index_tables import index_totals
from archive.database.statements import row_of

T = TypeVar("T")

MAXIMUM_KEPT = 256
"""Results kept, of all connections that share them."""
_INFO_KEY = "kept_results"
_VERSION = sa.select(index_totals.c.version)


class KeptResults:
    """Results by the version of the index and what was asked; the least recently used ones go."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._results: OrderedDict[Hashable, Any] = OrderedDict()

    def find(self, key: Hashable) -> tuple[bool, Any]:
        """Whether it is there, and what it is."""
        with self._lock:
            if key not in self._results:
                return False, None
            self._results.move_to_end(key)
            return True, self._results[key]

    def keep(self, key: Hashable, result: object) -> None:
        with self._lock:
            self._results[key] = result
            if len(self._results) > MAXIMUM_KEPT:
                self._results.popitem(last=False)


def share_results(info: dict[Any, Any], kept: KeptResults) -> None:
    """Let a connection, whose `info` it is, keep its results with others."""
    info[_INFO_KEY] = kept


def index_version(connection: sa.Connection) -> int:
    """What changes with every transaction that changes a study, or makes a study a copy for a share."""
    return int(row_of(connection, _VERSION)[0])


def kept_while_unchanged(connection: sa.Connection, key: Hashable, compute: Callable[[], T]) -> T:
    """The result for `key`: kept until a study changes. What is written elsewhere, as to the trail, changes nothing.

    The version is that of what the connection's transaction sees.
    """
    kept: KeptResults = connection.info.setdefault(_INFO_KEY, KeptResults())
    versioned = (index_version(connection), key)
    is_there, found = kept.find(versioned)
    if not is_there:
        found = compute()
        kept.keep(versioned, found)
    result: T = found
    return result
