"""One run as an HTML page without scripts or anything from elsewhere: filters are radio buttons and CSS."""

from __future__ import annotations

from html import escape

from conformance.model import Level, Result, Verdict
from conformance.summary import Run, counts, rate, services

CSS = """
:root{color-scheme:light dark;--pass:#1a7f37;--fail:#c62828;--off:#6b7280;--line:#8885}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid var(--line);padding:.3rem .6rem;text-align:left}
h2{margin-top:2rem}details{border-bottom:1px solid var(--line);padding:.25rem 0}summary{cursor:pointer}
summary b{display:inline-block;min-width:7.5rem}.pass>summary b{color:var(--pass)}.fail>summary b{color:var(--fail)}
.off>summary b{color:var(--off)}code,pre{font:13px/1.4 ui-monospace,monospace}small{color:var(--off)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--line);padding:.3rem .8rem;margin:.4rem 0}
.filter label{margin-right:1rem}
#f-fail:checked~main .pass,#f-fail:checked~main .off,#f-pass:checked~main .fail,#f-pass:checked~main .off,
#f-off:checked~main .pass,#f-off:checked~main .fail{display:none}
#l-required:checked~main details:not(.required){display:none}
"""


def html_report(run: Run) -> str:
    """Write the whole page."""
    title = f"DICOMweb conformance: {escape(run.server)}"
    body = "".join(_service(run, service) for service in services(run))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{CSS}</style><h1>{title}</h1><p>{escape(run.base_url)}, {escape(run.started)}, "
        f"{len(run.results)} cases</p>{_table(run)}{_filters()}<main>{body}{_not_stored(run)}</main></html>"
    )


def _filters() -> str:
    verdicts = (("all", "all verdicts", True), ("fail", "failures", False), ("pass", "passes", False),
                ("off", "neither", False))  # fmt: skip
    shown = "".join(
        f'<input type="radio" name="verdict" id="f-{key}"{" checked" if on else ""}> '
        f'<label for="f-{key}">{label}</label> '
        for key, label, on in verdicts
    )
    levels = "".join(
        f'<input type="radio" name="level" id="l-{key}"{" checked" if on else ""}> '
        f'<label for="l-{key}">{label}</label> '
        for key, label, on in (("all", "all levels", True), ("required", "required only", False))
    )
    return f"<hr>{shown}<span> · </span>{levels}"


def _table(run: Run) -> str:
    head = "".join(f"<th>{level}</th>" for level in Level)
    rows = "".join(
        f"<tr><th>{escape(service or 'all')}</th>"
        + "".join(f"<td>{rate(counts(run, service, level))}</td>" for level in Level)
        + "</tr>"
        for service in (*services(run), None)
    )
    return f"<table><tr><th>passes of what was judged</th>{head}</tr>{rows}</table>"


def _service(run: Run, service: str) -> str:
    cases = "".join(_case(result) for result in run.results if result.service == service)
    return f"<h2>{escape(service)}</h2>{cases}"


def _case(result: Result) -> str:
    kind = {Verdict.PASS: "pass", Verdict.FAIL: "fail"}.get(Verdict(result.verdict), "off")
    exchanges = "".join(
        f"<pre>→ {escape(each.request)}</pre><pre>← {escape(each.response)}</pre>" for each in result.exchanges
    )
    notes = "".join(f"<p>Note: {escape(note)}</p>" for note in result.notes)
    detail = f"<p><b>{escape(result.detail)}</b></p>" if result.detail else ""
    return (
        f'<details class="{kind} {result.level}"><summary><b>{escape(result.verdict)}</b> '
        f"<code>{escape(result.id)}</code> {escape(result.requires)} "
        f"<small>{result.level}, §{escape(result.section)}</small></summary>"
        f"{detail}{notes}{exchanges}<small>{result.duration_ms} ms</small></details>"
    )


def _not_stored(run: Run) -> str:
    if not run.not_stored:
        return ""
    items = "".join(f"<li><code>{escape(name)}</code>: {escape(why)}" for name, why in run.not_stored.items())
    return f"<h2>Samples that the server did not store</h2><ul>{items}</ul>"
