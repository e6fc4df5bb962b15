"""The command line: run the cases against a server, or put the JSON of several runs side by side."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from conformance.catalogue import all_cases, chosen
from conformance.compare import compare_markdown, write_below_mark
from conformance.corpus import build_corpus, new_token
from conformance.model import Case, Result, failed
from conformance.probe import Session
from conformance.report_html import html_report
from conformance.runner import run_cases, store_corpus
from conformance.summary import Run, summary_lines
from conformance.wire import Request, Wire

EXIT_FAILED = 1
EPILOG = """examples:
  python -m conformance --base http://127.0.0.1:8042/dicom-web --report orthanc.html --json orthanc.json
  python -m conformance --base https://pacs.example/dicom-web --token TOKEN --only QIDO --jobs 4
  python -m conformance --compare lightbox.json orthanc.json --into conformance/RESULTS.md

The suite stores its own small studies (fresh UIDs, a random token in every name) and leaves them there.
exit status: 0 nothing required is wrong, 1 a required or an offered optional feature is wrong, 2 usage."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; give the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.compare:
        runs = [_read_run(Path(path)) for path in options.compare]
        if options.into:
            write_below_mark(options.into, compare_markdown(runs))
        else:
            sys.stdout.write(compare_markdown(runs))
        return 0
    if options.list:
        for case in chosen(all_cases(), options.only):
            sys.stdout.write(f"{case.id}\t{case.level}\t§{case.section}\t{case.requires}\n")
        return 0
    if not options.base:
        parser.error("--base is needed")
    cases = chosen(all_cases(), options.only)
    if not cases:
        parser.error("--only fits no case; --list shows them")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that the corpus holds on purpose
        return _run(options, cases)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m conformance",
        description="Try a DICOMweb server against PS3.18.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", help="base URL of the service, as in http://host/dicom-web")
    parser.add_argument("--token", help="bearer token, sent with every request")
    parser.add_argument("--header", action="append", default=[], metavar="'K: V'", help="a header for every request")
    parser.add_argument("--report", type=Path, help="write an HTML report here")
    parser.add_argument("--json", type=Path, help="write the results as JSON here")
    parser.add_argument("--name", help="what to call the server in reports; else its Server header")
    parser.add_argument(
        "--only", action="append", default=[], metavar="SECTION", help="service, section or start of an id"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cases tried at the same time (default 2)")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for each answer (default 60)")
    parser.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    parser.add_argument("--compare", nargs="+", metavar="JSON", help="put runs side by side as Markdown and stop")
    parser.add_argument("--into", type=Path, metavar="MD", help="put the comparison into this file, below its mark")
    return parser


def _run(options: argparse.Namespace, cases: tuple[Case, ...]) -> int:
    headers = [tuple(text.partition(":")[::2]) for text in options.header]
    if options.token:
        headers.append(("Authorization", f"Bearer {options.token}"))
    clean = tuple((key.strip(), value.strip()) for key, value in headers)
    wire = Wire(options.base, clean, options.timeout, not options.insecure)
    session = Session(wire, build_corpus(new_token()))
    started = datetime.now(UTC)
    server = options.name or _server(wire)
    _say(f"storing {len(session.corpus)} instances at {options.base}")
    store_corpus(session, _say)
    if len(session.stored) == len(session.corpus):
        _say("nothing of the corpus could be stored: is the address right, may this client store?")
        return EXIT_FAILED
    results = run_cases(session, cases, max(1, options.jobs), _say)
    run = Run(server, options.base, started.isoformat(timespec="seconds"), tuple(results), dict(session.stored))
    if options.json:
        options.json.write_text(json.dumps(asdict(run), ensure_ascii=False, indent=1), encoding="utf-8")
    if options.report:
        options.report.write_text(html_report(run), encoding="utf-8")
    for line in summary_lines(run):
        sys.stdout.write(line + "\n")
    return EXIT_FAILED if any(failed(result) for result in results) else 0


def _server(wire: Wire) -> str:
    """Ask the server for its name; a server that hides it is called by its address."""
    try:
        response = wire.send(Request("GET", "/", (("Accept", "*/*"),)))
    except OSError:
        return wire.base_url
    return response.header("Server") or wire.base_url


def _read_run(path: Path) -> Run:
    data = json.loads(path.read_text(encoding="utf-8"))
    results = tuple(Result(**{**each, "notes": tuple(each["notes"]), "exchanges": ()}) for each in data["results"])
    return Run(data["server"], data["base_url"], data["started"], results, data["not_stored"])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
