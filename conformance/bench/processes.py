"""CPU and memory of processes and all their children, as Linux tells them in /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_PARENT, _USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM = 1, 11, 12, 13, 14


def family(roots: Iterable[int]) -> set[int]:
    """The processes and everything that descends from them."""
    children: dict[int, list[int]] = {}
    for path in _PROC.iterdir():
        if path.name.isdigit() and (fields := _stat(int(path.name))) is not None:
            children.setdefault(int(fields[_PARENT]), []).append(int(path.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def cpu_s(roots: Iterable[int]) -> float:
    """Seconds of CPU that the processes have used, in user space and in the kernel, with children that ended."""
    total = 0
    for pid in family(roots):
        fields = _stat(pid)
        if fields is not None:
            total += sum(int(fields[index]) for index in (_USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM))
    return total / TICKS_PER_S


def memory_bytes(roots: Iterable[int]) -> int:
    """Proportional set size: pages that several processes share are counted once altogether."""
    return sum(_pss_bytes(pid) for pid in family(roots))


def _pss_bytes(pid: int) -> int:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        return 0
    return 0


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name, which may hold spaces; None when the process is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
