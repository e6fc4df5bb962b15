"""`python -m conformance.bench --base URL --token T [--json]` measures one server.

Without `--base` it starts Lightbox, Orthanc and nginx and measures them side by side. `growth`: see growth.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from conformance.bench import growth
from conformance.bench.codecs import codec_rate
from conformance.bench.corpus import MOST_SMALL_STUDIES, SMALL_STUDIES, Corpus
from conformance.bench.measure import (
    LIMIT,
    NGINX_FILES,
    Figure,
    Result,
    before,
    fill,
    measure_reads,
    measure_stores,
    memory_of,
)
from conformance.bench.report import markdown
from conformance.bench.servers import answers, debian_orthanc, lightbox, nginx
from conformance.bench.workloads import Server, read_workloads, store_workloads


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; print a table or JSON, or write it to a file."""
    if (arguments if arguments is not None else sys.argv[1:])[:1] == ["growth"]:
        return growth.main((arguments if arguments is not None else sys.argv[1:])[1:])
    parser = argparse.ArgumentParser(prog="conformance.bench", description=__doc__)
    parser.add_argument("--base", help="the DICOMweb root of a server to measure; it is filled with test objects")
    parser.add_argument("--token", default="", help="sent as Authorization: Bearer")
    parser.add_argument("--pid", type=int, action="append", default=[], help="its process, for CPU and memory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="write the table to this file")
    parser.add_argument("--only", default="", help="only workloads whose name holds this")
    parser.add_argument("--workers", type=int, default=2, help="server processes of Lightbox")
    parser.add_argument("--limit-s", type=float, default=900, help="begin no further workload after so many seconds")
    parser.add_argument(
        "--studies",
        type=int,
        default=SMALL_STUDIES,
        help="studies to search among, at most 100,000; storing them takes long",
    )
    parser.add_argument("--without-orthanc", action="store_true", help="compare with nginx alone")
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        if chosen.base:
            servers = [Server("server", chosen.base.rstrip("/"), tuple(chosen.pid), chosen.token)]
        else:
            servers = [stack.enter_context(lightbox(chosen.workers))]
            if not chosen.without_orthanc:
                servers.append(stack.enter_context(debian_orthanc()))
        compared = [] if chosen.base else [stack]
        corpus = fill(servers, min(chosen.studies, MOST_SMALL_STUDIES))
        result = measure(servers, compared, corpus, (chosen.only, time.monotonic() + chosen.limit_s))
    text = json.dumps(asdict(result), indent=1) if chosen.json else markdown(result)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 0


def measure(servers: list[Server], limit_on: Sequence[ExitStack], corpus: Corpus, chosen: tuple[str, float]) -> Result:
    """Run every workload whose name holds what is chosen, until then; nginx, as the limit, is put on the stack."""
    (only, until_s), result, load_before = chosen, Result(), os.getloadavg()[0]
    reads = [workload for workload in read_workloads(corpus) if only in workload.name]
    compared = list(servers)
    compared += [stack.enter_context(nginx(answers(servers[0], reads, NGINX_FILES))) for stack in limit_on]
    stores = [workload for workload in store_workloads() if only in workload.name]
    result.rows = measure_stores(servers, before(until_s, stores))
    result.rows += measure_reads(compared, before(until_s, reads))
    for row in result.rows:
        syntax, _, what = row.name.partition(" → ")
        if what.endswith("cold") and (rate := codec_rate(syntax)) is not None:
            row.figures[LIMIT] = Figure(rate, None)
    measured = {row.name for row in result.rows}
    names = [store.name for store in stores] + [read.name for read in reads]
    result.left_out = list(dict.fromkeys(name for name in names if name not in measured))
    result.memory_megabytes = memory_of(compared)
    result.load_average = (load_before, os.getloadavg()[0])
    return result
