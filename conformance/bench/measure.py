"""Run the workloads against the servers in turn, some rounds of each, and keep the medians."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from conformance.bench.client import Load, run_load
from conformance.bench.corpus import SMALL_STUDIES, Corpus, Template, build, fresh
from conformance.bench.processes import cpu_s, memory_bytes
from conformance.bench.servers import file_name
from conformance.bench.workloads import Server, Store, Workload, slice_template

T = TypeVar("T")

ROUNDS = 3
ROUND_S = 0.4
LOAD_PER_REQUEST = 25
NGINX_FILES = 40
GONE = 0
"""Stands for a status where a server broke off, or died."""
LIMIT = "write + fsync"


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell: requests or instances in a second, CPU of the server for each, the slow tail."""

    rate: float
    cpu_ms: float | None
    megabytes_per_s: float = 0.0
    p99_ms: float = 0.0
    p50_ms: float = 0.0


@dataclass(slots=True)
class Row:
    """What each server did with one workload; a server that could not do it is missing."""

    name: str
    clients: int
    figures: dict[str, Figure] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    """The status of a server that did not answer with a success."""


@dataclass(slots=True)
class Result:
    rows: list[Row] = field(default_factory=list)
    memory_megabytes: dict[str, float] = field(default_factory=dict)
    load_average: tuple[float, float] = (0.0, 0.0)
    left_out: list[str] = field(default_factory=list)
    """Workloads that the time limit left no time for."""


def fill(servers: Sequence[Server], small_studies: int = SMALL_STUDIES) -> Corpus:
    """Store the corpus, with so many small studies, in every server."""
    corpus, held = Corpus(), []
    for file in build(corpus, small_studies):
        held.append(file)
        if len(held) == LOAD_PER_REQUEST or len(file) > 10 << 20:
            _store_all(servers, held)
            held = []
    _store_all(servers, held)
    return corpus


def _store_all(servers: Sequence[Server], files: list[bytes]) -> None:
    for server in servers:
        if files:
            load = run_load(server.address, iter([server.post(files)]), 1, lambda _: False)
            if load.failed:
                raise SystemExit(f"{server.name} did not store the corpus: {load.statuses}")


def before(until_s: float, workloads: Iterable[T]) -> Iterator[T]:
    """The workloads, for as long as there is time to begin another."""
    for workload in workloads:
        if time.monotonic() < until_s:
            yield workload


def measure_reads(servers: Sequence[Server], workloads: Iterable[Workload]) -> list[Row]:
    """One row for each workload; the servers take turns, round by round."""
    return [
        _rounds(
            Row(workload.name, workload.clients),
            servers,
            lambda server, number, workload=workload: _read(server, workload, number),  # type: ignore[misc]  # mypy#12557
        )
        for workload in workloads
    ]


def _read(server: Server, workload: Workload, number: int) -> Load | None:
    if server.name == "nginx":
        if not workload.limited:
            return None
        names = tuple(f"/{file_name(workload, path)}" for path in workload.paths[:NGINX_FILES])
        workload = replace(workload, paths=names)
    requests = workload.requests(server, number)
    return run_load(server.address, requests, workload.clients, lambda passed: workload.cold or passed < ROUND_S)


def measure_stores(servers: Sequence[Server], workloads: Iterable[Store]) -> list[Row]:
    """Stores, and as their limit the same bytes written to files and synced."""
    files, rows = slice_template(), []
    for workload in workloads:
        row = _rounds(
            Row(workload.name, workload.clients),
            servers,
            lambda server, _, workload=workload: _store(server, workload, files),  # type: ignore[misc]  # mypy#12557
        )
        for name, figure in row.figures.items():
            cpu_ms = None if figure.cpu_ms is None else figure.cpu_ms / workload.per_request
            row.figures[name] = replace(figure, rate=figure.rate * workload.per_request, cpu_ms=cpu_ms)
        rates = [_write_and_sync(files, workload) for _ in range(ROUNDS)]
        row.figures[LIMIT] = Figure(statistics.median(rates), None)
        rows.append(row)
    return rows


def _store(server: Server, workload: Store, files: Template) -> Load:
    requests = workload.requests(server, files)
    return run_load(server.address, iter(requests), workload.clients, lambda _: True)


def _write_and_sync(files: Template, workload: Store) -> float:
    contents = fresh(files, workload.instances)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workload.clients) as threads:

        def write(number: int) -> None:
            with (Path(folder) / str(number)).open("wb", buffering=0) as file:
                file.write(contents[number])
                os.fsync(file.fileno())

        started_s = time.perf_counter()
        list(threads.map(write, range(len(contents))))
        return len(contents) / (time.perf_counter() - started_s)


def _rounds(row: Row, servers: Sequence[Server], run: Callable[[Server, int], Load | None]) -> Row:
    found: dict[str, list[Figure]] = {}
    for number in range(ROUNDS):
        for server in servers:
            if server.name in row.refused:
                continue
            before_s = cpu_s(server.pids)
            try:
                load = run(server, number)
            except (ConnectionError, TimeoutError):
                row.refused[server.name] = GONE
                continue
            if load is None or not load.requests:
                continue
            if load.failed:
                row.refused[server.name] = next(status for status in load.statuses if not 200 <= status < 300)
                continue
            found.setdefault(server.name, []).append(_figure(load, cpu_s(server.pids) - before_s, server))
    row.figures = {name: _median(each) for name, each in found.items() if name not in row.refused}
    return row


def _figure(load: Load, used_s: float, server: Server) -> Figure:
    ordered = sorted(load.latencies_s)
    tail = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return Figure(
        load.requests / load.elapsed_s,
        used_s * 1000 / load.requests if server.pids else None,
        load.received_bytes / load.elapsed_s / 1e6,
        tail * 1000,
        statistics.median(ordered) * 1000,
    )


def _median(figures: Sequence[Figure]) -> Figure:
    cpu = [figure.cpu_ms for figure in figures if figure.cpu_ms is not None]
    return Figure(
        statistics.median(figure.rate for figure in figures),
        statistics.median(cpu) if cpu else None,
        statistics.median(figure.megabytes_per_s for figure in figures),
        statistics.median(figure.p99_ms for figure in figures),
        statistics.median(figure.p50_ms for figure in figures),
    )


def memory_of(servers: Sequence[Server]) -> dict[str, float]:
    return {server.name: memory_bytes(server.pids) / 1e6 for server in servers if server.pids}
