"""What the index of a data folder takes on the disk, by table and index: SQLite's own count of pages (dbstat)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

DATABASE = "lightbox.sqlite"


def sizes_of(folder: Path) -> dict[str, int]:
    """Bytes by the name of the table or index; under "" the size of the file."""
    path = folder / DATABASE
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE")
        return {**dict(rows), "": path.stat().st_size}


def markdown(sizes: Mapping[str, Mapping[str, int]], instances: Mapping[str, int]) -> list[str]:
    """One row for each table and index, one column for each size of the archive: bytes for each instance."""
    last = list(sizes)[-1]
    names = sorted(sizes[last], key=lambda name: -sizes[last][name])
    shown = [name for name in names if sizes[last][name] / instances[last] >= 2]
    lines = [
        "",
        "## Bytes of the index for each instance",
        "",
        "The rows of studies, series and searched sequences are shared out among the instances; what takes less than",
        "two bytes is left out.",
        "",
        f"| table or index | {' | '.join(sizes)} |",
        f"|---|{'--:|' * len(sizes)}",
    ]
    for name in shown:
        cells = [f"{sizes[size].get(name, 0) / instances[size]:,.0f}" for size in sizes]
        lines.append(f"| {name or 'the whole file'} | {' | '.join(cells)} |")
    return lines
