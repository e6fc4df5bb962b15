"""Put runs side by side as Markdown: passes by service and level, and what differs or fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conformance.model import Level, Result, Verdict
from conformance.summary import Run, counts, rate, services

MARK = "<!-- made by --compare; write above this line -->"
MARKS = {
    Verdict.PASS: "pass", Verdict.FAIL: "**fail**", Verdict.NOT_OFFERED: "not offered",
    Verdict.NOT_APPLICABLE: "n/a", Verdict.SKIP: "skip",
}  # fmt: skip


def compare_markdown(runs: Sequence[Run]) -> str:
    """Write a table by service and level, then every case that fails on any of the servers."""
    lines = ["## Servers", ""]
    lines += [f"- **{run.server}**, {run.started}, {len(run.results)} cases" for run in runs]
    lines += ["", "## Passes by service", "", "Passes out of what could be judged; optional features that a server",
              "does not offer are not counted.", ""]  # fmt: skip
    lines += _table(runs)
    for title, levels in (
        ("Required cases, and optional features that are offered, that fail", (Level.REQUIRED, Level.OPTIONAL)),
        ("Recommended and informative cases that fail", (Level.RECOMMENDED, Level.INFORMATIVE)),
    ):
        lines += ["", f"## {title}", "", *_failures(runs, levels)]
    return "\n".join(lines) + "\n"


def write_below_mark(path: Path, text: str) -> None:
    """Replace what stands below the mark of a file; what people wrote above it stays."""
    above, mark, _ = path.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise SystemExit(f"{path} has no line {MARK}")
    path.write_text(f"{above}{MARK}\n\n{text}", encoding="utf-8")


def _table(runs: Sequence[Run]) -> list[str]:
    head = "| service | level | cases | " + " | ".join(run.server for run in runs) + " |"
    lines = [head, "|---|---|--:|" + "--:|" * len(runs)]
    for service in (*services(runs[0]), None):
        for level in Level:
            cases = sum(counts(runs[0], service, level).values())
            if cases:
                cells = " | ".join(_cell(run, service, level) for run in runs)
                lines.append(f"| {service or '**all**'} | {level} | {cases} | {cells} |")
    return lines


def _cell(run: Run, service: str | None, level: str) -> str:
    counted = counts(run, service, level)
    absent = counted[Verdict.NOT_OFFERED]
    return rate(counted) + (f", {absent} not offered" if absent else "")


def _failures(runs: Sequence[Run], levels: tuple[Level, ...]) -> list[str]:
    tables: list[dict[str, Result]] = [
        {result.id: result for result in run.results if result.level in levels} for run in runs
    ]
    ids = [result.id for result in runs[0].results if any(_fails(table, result.id) for table in tables)]
    if not ids:
        return ["None."]
    head = "| case | level | § | required | " + " | ".join(run.server for run in runs) + " |"
    lines = [head, "|---|---|---|---|" + "---|" * len(runs)]
    for case_id in ids:
        one = next(table[case_id] for table in tables if case_id in table)
        cells = " | ".join(_verdict(table.get(case_id)) for table in tables)
        lines.append(f"| {case_id} | {one.level} | {one.section} | {_plain(one.requires)} | {cells} |")
    return lines


def _fails(table: dict[str, Result], case_id: str) -> bool:
    return case_id in table and table[case_id].verdict == Verdict.FAIL


def _verdict(result: Result | None) -> str:
    if result is None:
        return "not run"
    mark = MARKS[Verdict(result.verdict)]
    return f"{mark}: {_plain(result.detail)[:160]}" if result.verdict == Verdict.FAIL else mark


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
