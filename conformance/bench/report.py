"""The result as a table for people, with the versions and the machine named."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from conformance.bench.measure import GONE, LIMIT, ROUND_S, ROUNDS, Figure, Result, Row

_HEAD = """# Speed, side by side

Written by `make bench`; do not edit. Rates are medians of {rounds} interleaved rounds of {seconds} s (a fixed number
of requests where each is asked once), on loopback, with the client on the same machine. CPU is that of all
processes of a server, in user space and in the kernel, for each request; for STOW for each instance; p99 is what the
slowest hundredth of Lightbox's requests took. Every request to Lightbox carries a token, is checked against its scope
and is written to the audit trail. The limit is nginx sending the same bytes from files, for STOW the same bytes
written to files and synced, and for frames that are decoded the codec alone on all cores.

- {when}; {machine}
- {versions}
- Load average of the machine before and after: {before:.1f} and {after:.1f}; above {cores} the rates are
  those of a busy machine, and CPU for each request is the steadier figure.

| workload | clients | Lightbox /s | Orthanc /s | limit /s | × Orthanc | × limit | CPU ms | Orthanc | nginx | p99 ms |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"""


def markdown(result: Result) -> str:
    """The whole page."""
    head = _HEAD.format(
        rounds=ROUNDS,
        seconds=ROUND_S,
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        versions=versions(),
        before=result.load_average[0],
        after=result.load_average[1],
        cores=os.cpu_count(),
    )
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in result.memory_megabytes.items())
    lines = [head, *map(_line, result.rows), "", f"Memory of all processes at the end (PSS): {memory}."]
    if result.left_out:
        lines += ["", f"Not measured, for want of time: {', '.join(result.left_out)}."]
    return "\n".join(lines)


def _line(row: Row) -> str:
    own = row.figures.get("Lightbox") or row.figures.get("server")
    peer, limit = row.figures.get("Orthanc"), row.figures.get("nginx") or row.figures.get(LIMIT)
    cells = [
        row.name,
        str(row.clients),
        _rate(own, row.refused.get("Lightbox", row.refused.get("server"))),
        _rate(peer, row.refused.get("Orthanc")),
        _rate(limit, row.refused.get("nginx")),
        _ratio(own, peer),
        _ratio(own, limit),
        *(_cpu(figure) for figure in (own, peer, row.figures.get("nginx"))),
        "–" if own is None else f"{own.p99_ms:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _rate(figure: Figure | None, status: int | None) -> str:
    if figure is None:
        return {None: "–", GONE: "(broke off)"}.get(status, f"({status})")
    return f"{figure.rate:.0f}" if figure.rate >= 100 else f"{figure.rate:.1f}"


def _ratio(own: Figure | None, other: Figure | None) -> str:
    if own is None or other is None:
        return "–"
    ratio = own.rate / other.rate
    return f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.2f}"


def _cpu(figure: Figure | None) -> str:
    return "–" if figure is None or figure.cpu_ms is None else f"{figure.cpu_ms:.2f}"


def machine() -> str:
    """Processor, cores, memory, system."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    name = processor[1] if processor else platform.machine()
    return f"{os.cpu_count()} × {name}, {memory:.0f} GB, {platform.system()} {platform.release()}"


def versions() -> str:
    """What was measured with what."""
    found = [f"Python {platform.python_version()}"]
    for program, argument in (("Orthanc", "--version"), ("nginx", "-v")):
        path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
        if path is not None:
            done = subprocess.run((path, argument), check=False, capture_output=True, text=True)  # noqa: S603 - programs of the bench
            line = (done.stdout + done.stderr).splitlines()[0]
            number = re.search(r"[0-9]+\.[0-9.]+", line)
            found.append(f"{program} {number[0] if number else '?'}")
    plugin = subprocess.run(
        ("/usr/bin/dpkg-query", "-W", "-f=${Version}", "orthanc-dicomweb"), check=False, capture_output=True, text=True
    )
    found.append(f"its DICOMweb plug-in {plugin.stdout or 'of unknown version'}")
    return ", ".join(found)
