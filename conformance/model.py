"""What a case is, what may come of it, and what was seen on the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.probe import Probe


class Level(StrEnum):
    """How binding the statement behind a case is."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"
    INFORMATIVE = "informative"


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    NOT_OFFERED = "not offered"
    NOT_APPLICABLE = "not applicable"
    SKIP = "skip"


class Service(StrEnum):
    COMMON = "Common HTTP rules"
    STOW = "Store (STOW-RS)"
    QIDO = "Search (QIDO-RS)"
    WADO = "Retrieve (WADO-RS)"
    METADATA = "Metadata and the JSON and XML models"
    PIXELS = "Frames and bulkdata"
    RENDERED = "Rendered resources"
    URI = "WADO-URI"


class CaseOutcome(Exception):  # noqa: N818 - not an error: it ends a case with its verdict
    """Ends a case early with a verdict; the message is the reason."""

    verdict = Verdict.FAIL


class Failure(CaseOutcome):
    """What came back contradicts what the case requires."""


class NotOffered(CaseOutcome):
    """The server says that it has not got this optional feature."""

    verdict = Verdict.NOT_OFFERED


class NotApplicable(CaseOutcome):
    """The server made a legal choice after which there is nothing to check."""

    verdict = Verdict.NOT_APPLICABLE


class Skipped(CaseOutcome):
    """The case could not be tried; the reason is not the feature itself."""

    verdict = Verdict.SKIP


@dataclass(frozen=True, slots=True)
class Case:
    """One statement and the function that tries it; the function returns or raises a `CaseOutcome`."""

    id: str
    service: Service
    section: str
    level: Level
    requires: str
    check: Callable[[Probe], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, trimmed for a report."""

    request: str
    response: str


@dataclass(frozen=True, slots=True)
class Result:
    id: str
    service: str
    section: str
    level: str
    requires: str
    verdict: str
    detail: str
    notes: tuple[str, ...]
    exchanges: tuple[Exchange, ...]
    duration_ms: int


def failed(result: Result) -> bool:
    """Tell whether this result makes a run fail: a required or an offered optional feature is wrong."""
    return result.verdict == Verdict.FAIL and result.level in (Level.REQUIRED, Level.OPTIONAL)
