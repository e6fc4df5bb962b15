"""Count the verdicts of a run by service and level."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from conformance.model import Level, Result, Verdict, failed


@dataclass(frozen=True, slots=True)
class Run:
    server: str
    base_url: str
    started: str
    results: tuple[Result, ...]
    not_stored: dict[str, str]


def services(run: Run) -> list[str]:
    return list(dict.fromkeys(result.service for result in run.results))


def counts(run: Run, service: str | None, level: str | None) -> Counter[str]:
    """Count verdicts; None stands for every service or level."""
    return Counter(
        result.verdict
        for result in run.results
        if (service is None or result.service == service) and (level is None or result.level == level)
    )


def rate(counted: Counter[str]) -> str:
    """Give passes out of what was judged, and the share of it."""
    judged = counted[Verdict.PASS] + counted[Verdict.FAIL]
    return f"{counted[Verdict.PASS]}/{judged} ({100 * counted[Verdict.PASS] / judged:.0f} %)" if judged else "–"


def summary_lines(run: Run) -> list[str]:
    lines = [f"{run.server}: {len(run.results)} cases"]
    for service in services(run):
        cells = [f"{level} {rate(counts(run, service, level))}" for level in Level if counts(run, service, level)]
        lines.append(f"  {service}: " + ", ".join(cells))
    total = [f"{level} {rate(counts(run, None, level))}" for level in Level]
    lines.append("  all: " + ", ".join(total))
    others = counts(run, None, None)
    lines.append("  " + ", ".join(f"{others[verdict]} {verdict}" for verdict in Verdict))
    lines.append(f"  failures that count: {sum(failed(result) for result in run.results)}")
    return lines
