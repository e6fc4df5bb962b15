"""What a client is given to do, and how it says what it did; needs nothing but Python's own library.

The programs that drive a client run in the client's own environment: they read their task from the JSON file they are
given, and print one JSON line for each thing they tried.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


class Wrong(Exception):  # noqa: N818 - what came back is wrong
    """What came back is not what had to come back; the text says how."""


@dataclass(frozen=True, slots=True)
class Task:
    """The server, what was stored in it, and a folder to write into."""

    base: str
    token: str
    folder: Path
    patient_id: str
    samples: list[dict[str, Any]]
    fresh: list[dict[str, Any]]
    slide: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def write(self, path: Path) -> None:
        """Keep the task as JSON."""
        path.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a client tried."""

    does: str
    ok: bool
    detail: str


def run_steps(steps: Mapping[str, Callable[[Task], str | None]]) -> None:
    """Try each step of the task named on the command line, in this order; a step that fails stops none."""
    task = read_task(Path(sys.argv[1]))
    for does, step in steps.items():
        with reported(does) as details:
            details.append(step(task) or "")


def read_task(path: Path) -> Task:
    """Read what `Task.write` wrote."""
    values = json.loads(path.read_text(encoding="utf-8"))
    return Task(**{**values, "folder": Path(values["folder"])})


@contextmanager
def reported(does: str) -> Iterator[list[str]]:
    """Print how it went: `Wrong` and every other exception of a client is a failure of that step."""
    details: list[str] = []
    step = Step(does, True, "")
    try:
        yield details
    except Wrong as wrong:
        step = Step(does, False, str(wrong))
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        step = Step(does, False, f"{type(error).__name__} ({Path(place.filename).name}:{place.lineno}): {error}"[:600])
    else:
        step = Step(does, True, "; ".join(text for text in details if text))
    sys.stdout.write(json.dumps(asdict(step)) + "\n")
    sys.stdout.flush()


def same(what: str, got: object, expected: object) -> None:
    """Raise `Wrong` unless both are equal."""
    if got != expected:
        raise Wrong(f"{what}: {str(got)[:200]} instead of {str(expected)[:200]}")
