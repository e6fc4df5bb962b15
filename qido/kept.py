"""What searches were answered, and how each match is put in JSON: kept in this process, within bounds.

An answer holds for as long as the index has the version that it was found in. The text of a match holds for ever: it
is found again by everything that it says, so that after a change only the studies that changed are put in JSON anew.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from aiohttp import web

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
MAXIMUM_BYTES = 16 << 20
"""Of all answers, and of all texts of matches."""
OVERHEAD_BYTES = 1 << 10
"""What an entry takes beside its text, at most about so much."""


@dataclass(frozen=True, slots=True)
class Found:
    """One search as JSON: its body and tag, the codings that it was asked for in, how many more matches there are."""

    body: bytes
    etag: str
    count: int
    remaining: int
    encoded: dict[str, bytes] = field(default_factory=dict)


class Bounded(Generic[K, T]):
    """The newest of what was kept, up to so many bytes; threads may share it."""

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._lock = Lock()
        self._kept: OrderedDict[K, tuple[T, int]] = OrderedDict()
        self._total_bytes = 0

    def find(self, key: K) -> T | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            return kept[0]

    def keep(self, key: K, value: T, length_bytes: int) -> None:
        """Keep it, instead of what was used longest ago."""
        size_bytes = length_bytes + OVERHEAD_BYTES
        with self._lock:
            before = self._kept.pop(key, None)
            self._total_bytes += size_bytes - (before[1] if before is not None else 0)
            self._kept[key] = value, size_bytes
            while self._total_bytes > self._maximum_bytes:
                self._total_bytes -= self._kept.popitem(last=False)[1][1]


class KeptSearches:
    """One for each process."""

    def __init__(self, maximum_bytes: int = MAXIMUM_BYTES) -> None:
        self._answers: Bounded[Hashable, tuple[int, Found]] = Bounded(maximum_bytes)
        self._texts: Bounded[Hashable, bytes] = Bounded(maximum_bytes)

    def answer(self, asked: Hashable, version: int) -> Found | None:
        """What was found in this version of the index."""
        kept = self._answers.find(asked)
        return kept[1] if kept is not None and kept[0] == version else None

    def keep_answer(self, asked: Hashable, version: int, found: Found) -> None:
        """Keep an answer found in this version, or in a later one; codings of it count as much as itself."""
        self._answers.keep(asked, (version, found), 2 * len(found.body))

    def text(self, match: Hashable, make: Callable[[], bytes]) -> bytes:
        """The JSON of a match, which `match` holds all of."""
        text = self._texts.find(match)
        if text is None:
            text = make()
            self._texts.keep(match, text, 2 * len(text))
        return text


KEPT_SEARCHES: web.AppKey[KeptSearches] = web.AppKey("KEPT_SEARCHES", KeptSearches)
