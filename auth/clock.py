"""The time that expiry is measured by: it never goes back, so a clock set back revives no link."""

import time
from collections.abc import Callable


class Clock:
    """Milliseconds since 1970, UTC, never less than it has said before, nor than `floor_ms`.

    `floor_ms` is when the newest event of the audit trail happened: it carries the promise over a restart.
    """

    def __init__(self, floor_ms: int = 0, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._latest_ms = floor_ms
        self._wall_ms = wall_ms

    def __call__(self) -> int:
        self._latest_ms = max(self._latest_ms, self._wall_ms())
        return self._latest_ms
