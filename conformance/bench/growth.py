"""How latency grows with the archive: the same searches and frames among ever more instances.

`python -m conformance.bench growth [--sizes 1000,10000,100000,1000000]` fills an index of each size by the project's
`tests/index_filler.py`, counts the bytes of its tables, starts Lightbox on it and measures; `--base URL` measures the
server there, as it is. What is asked for is found by asking: the keys are those of studies that the server gives. A
million instances take 9 GB on the disk, and five million (`--sizes 5000000`) 45 GB, for as long as they are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from conformance.bench import index_sizes
from conformance.bench.client import fetch
from conformance.bench.corpus import Named
from conformance.bench.measure import Figure, Row, measure_reads
from conformance.bench.report import machine
from conformance.bench.servers import lightbox
from conformance.bench.workloads import JSON, OCTETS, Server, Workload

SIZES = (1_000, 10_000, 100_000, 1_000_000)
"""Instances in the index."""
PER_STUDY = 10
CLIENTS = 8
PAGE = 50
SAMPLED = 200
"""Studies whose keys are asked for."""
FILLER = Path(__file__).parents[2] / "tests" / "index_filler.py"

Dataset = Mapping[str, Mapping[str, Any]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="conformance.bench growth", description=__doc__)
    parser.add_argument(
        "--sizes", default=",".join(map(str, SIZES)), help="instances in the index, with commas between"
    )
    parser.add_argument("--workers", type=int, default=2, help="server processes of Lightbox")
    parser.add_argument("--base", help="the DICOMweb root of a server that is filled already")
    parser.add_argument("--token", default="", help="sent as Authorization: Bearer")
    parser.add_argument("--out", type=Path, help="write the table to this file")
    chosen = parser.parse_args(arguments)
    if chosen.base:
        text = markdown({"": measure(Server("server", chosen.base.rstrip("/"), (), chosen.token))})
    else:
        instances = {f"{size:,}": size for size in map(int, chosen.sizes.split(","))}
        filled = {name: _measure_filled(size, chosen.workers) for name, size in instances.items()}
        lines = index_sizes.markdown({name: one.sizes for name, one in filled.items()}, instances)
        lines += ["", "Seconds to fill each: " + ", ".join(f"{one.filled_s:.0f}" for one in filled.values()) + "."]
        text = "\n".join([markdown({name: one.rows for name, one in filled.items()}), *lines])
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 0


@dataclass(frozen=True, slots=True)
class _Filled:
    """An archive of one size: what was measured, the bytes of its index, how long it took to fill."""

    rows: list[Row]
    sizes: Mapping[str, int]
    filled_s: float


def _measure_filled(size: int, workers: int) -> _Filled:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        command = (sys.executable, str(FILLER), folder, str(size // PER_STUDY), str(PER_STUDY // 2))
        environment = os.environ | {"PYTHONPATH": str(FILLER.parents[1])}
        started_s = time.monotonic()
        subprocess.run(command, check=True, env=environment)  # noqa: S603 - our own program
        filled_s, sizes = time.monotonic() - started_s, index_sizes.sizes_of(Path(folder))
        print(f"{size:,} instances filled in {filled_s:.0f} s, {sizes[''] / 1e9:.2f} GB", file=sys.stderr, flush=True)
        return _Filled(measure(stack.enter_context(lightbox(workers, folder))), sizes, filled_s)


def measure(server: Server) -> list[Row]:
    """The workloads against one server."""
    return measure_reads([server], workloads(Sample.of(server)))


@dataclass(frozen=True, slots=True)
class Sample:
    """Studies of a server, from here and there in its list."""

    studies: Sequence[Dataset]
    frames: Sequence[str]

    @classmethod
    def of(cls, server: Server) -> Sample:
        pages = [_found(server, f"/studies?limit={PAGE}&offset={offset}") for offset in (0, 50, 100, 5_000, 50_000)]
        found = [study for page in pages for study in page]
        if not found:
            raise SystemExit("The server holds no studies.")
        studies = random.Random(1).sample(found, min(SAMPLED, len(found)))  # noqa: S311 - no secret
        instances = [
            one
            for study in studies[:40]
            for one in _found(server, f"/studies/{first(study, '0020000D')}/instances?limit=5")
        ]
        named = [Named(*(first(one, tag) for tag in ("0020000D", "0020000E", "00080018"))) for one in instances]
        return cls(studies, [f"{one.path}/frames/1" for one in named])


def workloads(sample: Sample) -> list[Workload]:
    """Searches by eight clients, frames by one and by eight."""

    def each(query: Callable[[Dataset], str]) -> tuple[str, ...]:
        return tuple(f"/studies?{query(study)}" for study in sample.studies)

    forms: dict[str, tuple[str, ...]] = {
        "PatientID": each(lambda study: f"PatientID={quote(first(study, '00100020'))}"),
        "AccessionNumber": each(lambda study: f"AccessionNumber={quote(first(study, '00080050'))}"),
        "StudyInstanceUID": each(lambda study: f"StudyInstanceUID={first(study, '0020000D')}"),
        "one week": each(lambda study: f"StudyDate={_week(first(study, '00080020'))}&limit={PAGE}"),
        "name prefix": each(lambda study: f"PatientName={quote(_name(study)[:5])}*&limit={PAGE}"),
        "name infix": each(lambda study: f"PatientName=*{quote(_name(study)[1:6])}*&limit={PAGE}"),
        "fuzzy name": each(lambda study: f"PatientName={quote(_family(study))}&fuzzymatching=true&limit={PAGE}"),
        "page 1": (f"/studies?limit={PAGE}",),
        "page 9": (f"/studies?limit={PAGE}&offset={8 * PAGE}",),
    }
    found = [
        Workload(f"QIDO {name}, first", CLIENTS, tuple(dict.fromkeys(paths)), JSON, limited=False, cold=True)
        for name, paths in forms.items()
        if len(paths) > 1
    ]
    found += [Workload(f"QIDO {name}", CLIENTS, paths, JSON, limited=False) for name, paths in forms.items()]
    accept = f"{OCTETS}; transfer-syntax=*"
    return found + [Workload("stored frame", clients, tuple(sample.frames), accept) for clients in (1, CLIENTS)]


def _found(server: Server, path: str) -> list[Dataset]:
    status, body = fetch(server.address, server.get(path, JSON))
    if status not in (200, 204):
        raise SystemExit(f"The server answered a search with {status}.")
    studies: list[Dataset] = json.loads(body) if body else []
    return studies


def first(dataset: Dataset, tag: str) -> str:
    """The first value of an attribute as text; "" where there is none."""
    value = (dataset.get(tag, {}).get("Value") or [""])[0]
    return str(value.get("Alphabetic", "") if isinstance(value, dict) else value)


def _name(study: Dataset) -> str:
    return first(study, "00100010") or "nobody"


def _family(study: Dataset) -> str:
    return _name(study).partition("^")[0]


def _week(day: str) -> str:
    begin = datetime.strptime(day or "20200101", "%Y%m%d").replace(tzinfo=UTC)
    return f"{day or '20200101'}-{begin + timedelta(days=6):%Y%m%d}"


def markdown(found: Mapping[str, Sequence[Row]]) -> str:
    """One row for each workload, one column for each size: median rate, p99, and the growth from first to last."""
    sizes = list(found)
    lines = [
        "# Growth",
        "",
        f"{machine()}.",
        "Milliseconds of a request: median / the slowest hundredth / CPU of the server, for studies of",
        f"{PER_STUDY} instances. Growth is that of the CPU from the first column to the last, as the latency of eight",
        "clients on the same cores is mostly waiting for a turn. “First” rows ask for each key once; the others ask",
        f"again and again for {SAMPLED} keys while the index stays as it is, so that most answers are kept ones. All",
        "instances are one stored file, so the background check of files is switched off.",
        f"Load average at the end: {os.getloadavg()[0]:.1f}.",
        "",
        f"| workload | clients | {' | '.join(sizes)} | growth |",
        f"|---|--:|{'--:|' * (len(sizes) + 1)}",
    ]
    for rows in zip(*found.values(), strict=True):
        figures = [next(iter(row.figures.values()), None) for row in rows]
        cells = [_cell(figure, row) for figure, row in zip(figures, rows, strict=True)]
        ends = (figures[0], figures[-1])
        growth = (
            f"{ends[1].cpu_ms / ends[0].cpu_ms:.2f}"
            if ends[0] and ends[1] and ends[0].cpu_ms and ends[1].cpu_ms
            else "–"
        )
        lines.append(f"| {rows[0].name} | {rows[0].clients} | {' | '.join(cells)} | {growth} |")
    return "\n".join(lines)


def _cell(figure: Figure | None, row: Row) -> str:
    if figure is None:
        return f"({next(iter(row.refused.values()), '–')})"
    cpu = "–" if figure.cpu_ms is None else f"{figure.cpu_ms:.2f}"
    return f"{figure.p50_ms:.2f} / {figure.p99_ms:.1f} / {cpu}"
