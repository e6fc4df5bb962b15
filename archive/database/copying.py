"""A consistent copy of the database while others write to it (SQLite's online backup)."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def copy_database(source: Path, target: Path) -> None:
    """Copy to `target`, which has its name only when it is whole and on the disk."""
    draft = target.with_name(f"{target.name}.part")
    draft.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as connection,
        closing(sqlite3.connect(draft)) as written,
    ):
        # In one step: between steps a writer would make the copy begin anew. In WAL a reader holds nobody up.
        connection.backup(written)
        written.execute("PRAGMA journal_mode = DELETE")
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
