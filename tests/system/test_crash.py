"""Kill -9 of all processes while four clients store: a few rounds of `python -m tests.kill_rounds`."""

from pathlib import Path

from kill_rounds import kill_rounds

START_LIMIT_S = 60.0


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    figures = kill_rounds(tmp_path, rounds=4, clients=4, seed=3, longest_s=1.0)
    assert figures.faults == [], figures.text()
    assert figures.acknowledged > 0
    assert max(figures.starts_s) < START_LIMIT_S
