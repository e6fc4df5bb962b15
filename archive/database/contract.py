"""What every database of an archive does, whichever keeps the rows.

A unit of work is a plain function that takes a `sqlalchemy.Connection` and runs whole inside one transaction, so the
same function serves SQLite and PostgreSQL. Writing units run one after another, also those of other processes and
hosts: what one has read, no other changes before it ends.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

P = ParamSpec("P")
T = TypeVar("T")
Connection = sa.Connection
"""For those who write no SQL and only hand one on."""
Work = Callable[Concatenate[sa.Connection, P], T]
Place = Path | str
"""Where the rows are: SQLite's file, or the URL of a PostgreSQL database."""

WAIT_S = 30.0
"""How long a lock that another process holds is waited for."""
DAMAGED = "The database is damaged: bring back a backup, or make the index anew with `lightbox reindex`."


class Database(ABC):
    """The archive's database. Every method may raise BusyError, StorageFullError and StoreError."""

    @abstractmethod
    async def read(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading unit of work; it sees one moment."""

    @abstractmethod
    async def keyed(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading unit of work that only looks rows up by key; short by promise."""

    @abstractmethod
    async def write(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a writing unit of work; when this returns, its changes are on the disk.

        Not cancellable once begun: a client that goes away must not leave the connection inside a transaction.
        """

    @abstractmethod
    async def write_batch(self, work: Work[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`write` for units of many statements."""

    @abstractmethod
    def turn(self, name: str, /) -> AbstractAsyncContextManager[bool] | None:
        """Whether it is this process's turn at the work of this name, among all hosts; held for the block.

        None where all processes are on one host, which has locks of its own.
        """

    @abstractmethod
    async def size_bytes(self) -> int:
        """What the database takes on its disks."""

    @abstractmethod
    async def close(self) -> None:
        """End all work and all connections."""
