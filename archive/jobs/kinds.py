"""What a kind of job has to offer so that workers can do it; the queue and the workers know no kind by its name.

A job begins as a single unit that is to be planned. Planning finds the units of the job, a page at a time; each page is
added in the transaction that ends its planning. Whatever a kind does may be done again after a worker died over it, and
by two workers at once: it has to come to the same.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from archive.errors import BusyError, StorageFullError, StoreUnreachableError

Argument = Mapping[str, Any]
"""Of a job or of a unit: what JSON can say."""
PLANNING = 0
"""Size of a unit that finds more units."""
HINDRANCES = (BusyError, StorageFullError, StoreUnreachableError)
"""No fault of a unit: the work stops, and goes on when disk, database or store can be had again."""


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A piece of a job. `size` is how many things it does, by which progress is counted."""

    argument: Argument
    size: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a unit came to: counts that are added up over the job, and lines for whoever asked for it."""

    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Work(Protocol):
    """A kind that is ready to work. Both raise LightboxError and OSError when a unit fails; it is then tried again.

    One of `HINDRANCES` ends the worker's turn and counts as no attempt.
    """

    async def plan(self, job: Argument, unit: Argument) -> Sequence[NewUnit]:
        """The next units of a job; with one of size `PLANNING` among them it goes on. `unit` is {} at first."""

    async def do(self, job: Argument, unit: Argument) -> Outcome:
        """Do one unit."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job. `open` makes it ready, for as long as there is work for it.

    A worker takes `batch` units of it together and does `at_once` of them at the same time.
    """

    open: Callable[[], AbstractAsyncContextManager[Work]]
    batch: int = 1
    at_once: int = 1
