"""Some five hundred inputs that lie, against a real server: refused or kept, and nothing else happens."""

from pathlib import Path

import pytest
from hostile_run import GROWTH, SETTINGS, Trial, cases
from servers import running_server


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
        figures = Trial(server).run()
    assert figures.faults == [], figures.text()
    assert figures.memory_after < figures.memory_before * (1 + GROWTH), figures.text()
