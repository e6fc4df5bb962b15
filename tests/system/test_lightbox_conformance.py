"""Lightbox against the conformance suite, as any other server would meet it."""

import json
from pathlib import Path

from servers import running_server

from conformance.cli import main


def test_lightbox_fails_no_case_that_counts_and_skips_none(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    with running_server(tmp_path / "data") as server:
        arguments = ["--base", server.dicomweb, "--token", server.token("admin"), "--json", str(results)]
        status = main(arguments)
    run = json.loads(results.read_text(encoding="utf-8"))
    wrong = [f"{each['id']}: {each['detail']}" for each in run["results"] if each["verdict"] in ("fail", "skip")]
    assert status == 0, wrong
    assert run["not_stored"] == {}
    assert len(run["results"]) > 800
