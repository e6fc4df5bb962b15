"""A consistent copy of the database while others write to it (SQLite's online backup)."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def copy_database(source: Path, draft: Path) -> None:
    """Copy to `draft`, whatever is there; it is durable when `name_copy` has given it its name."""
    remove_draft(draft)
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(draft)) as written,
    ):
        # In one step: between steps a writer would make the copy begin anew. In WAL a reader holds nobody up.
        read.backup(written)


def remove_draft(draft: Path) -> None:
    """Remove what is left of a copy that was broken off: its log would be read into the new one."""
    for left in ("", "-wal", "-shm"):
        draft.with_name(draft.name + left).unlink(missing_ok=True)


def name_copy(draft: Path, target: Path) -> None:
    """Give a copy that nobody has open its name, where it stands whole: one file, on the disk."""
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    _sync(draft, os.O_RDONLY)
    draft.replace(target)
    _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
