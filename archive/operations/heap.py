"""Memory that the process has freed and its allocator still holds, given back to the system.

glibc keeps freed memory for the next one who asks, also after a rare large file: a process would stay as large as it
once was. Where the C library is another one, nothing is done.
"""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

GROWTH = 1.05
AT_MOST_EVERY_S = 15.0
_PAGES = Path("/proc/self/statm")


def give_back() -> None:
    """Give back what is free; takes some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Heap:
    """Gives memory back when the process has grown since the last time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pages = 0
        self._next_s = 0.0

    def look(self) -> bool:
        """Give back where it is due; whether it was."""
        if self._clock() < self._next_s or _held_pages() <= self._pages * GROWTH:
            return False
        give_back()
        self._next_s, self._pages = self._clock() + AT_MOST_EVERY_S, _held_pages()
        return True


def _held_pages() -> int:
    """Pages that are in memory and no file's: those of a mapped database are the system's to drop."""
    try:
        _, resident, shared, *_ = _PAGES.read_text().split()
    except OSError:  # systems without /proc
        return 0
    return int(resident) - int(shared)
