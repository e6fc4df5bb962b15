"""Some five hundred inputs that lie, against a real server: refused or kept, and nothing else happens."""

from pathlib import Path

import pytest
from hostile_run import SETTINGS, Trial, cases
from servers import running_server

RETURNED_BYTES = 100 << 20
"""What all processes may have grown by; R21 allows 200 MB. `python -m tests.hostile_run` asks for a fifth, and was seen
to miss that by a little (23 %)."""
EVERY = 3
"""Each third input, so that the tests end in time; `python -m tests.hostile_run` sends them all."""


def test_every_hostile_input_has_a_name_of_its_own() -> None:
    names = [name for name, _ in cases()]
    assert len(names) > 200
    assert len(set(names)) == len(names)


def test_hostile_input_is_refused_or_kept_and_costs_nobody_else_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    with running_server(tmp_path / "data") as server:
        figures = Trial(server).run(every=EVERY, grown_bytes=RETURNED_BYTES)
    assert figures.faults == [], figures.text()
    assert figures.memory_after - figures.memory_before < RETURNED_BYTES, figures.text()
