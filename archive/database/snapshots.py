"""Keep what was computed for as long as nobody writes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")

MAXIMUM_KEPT = 64
"""Results kept for each connection."""
_INFO_KEY = "kept_results"


def kept_while_unchanged(connection: sa.Connection, key: Hashable, compute: Callable[[], T]) -> T:
    """The result for `key`: kept with this connection until another one has changed the database.

    Only for connections that do not write themselves, and inside a transaction that has read already: then the version
    is that of what the transaction sees.
    """
    version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
    kept_version, results = connection.info.get(_INFO_KEY, (None, OrderedDict[Hashable, Any]()))
    if kept_version != version:
        results = OrderedDict()
        connection.info[_INFO_KEY] = (version, results)
    if key in results:
        results.move_to_end(key)
        found: T = results[key]
        return found
    computed = results[key] = compute()
    if len(results) > MAXIMUM_KEPT:
        results.popitem(last=False)
    return computed
