"""Store the corpus, try the cases, gather results. Case modules are tables; this is what walks them."""

from __future__ import annotations

import http.client
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

from pydicom.errors import BytesLengthException, InvalidDicomError

from conformance.model import Case, CaseOutcome, Level, Result, Verdict
from conformance.multipart import BOUNDARY, build, part
from conformance.probe import JSON, Probe, Session
from conformance.samples import Sample

# what a malformed answer makes a reader of it raise; anything else is a fault of the suite and stops it
_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, OSError, EOFError, ArithmeticError, NotImplementedError,
    RecursionError, struct.error, zlib.error, zipfile.BadZipFile, http.client.HTTPException,
    ElementTree.ParseError, InvalidDicomError, BytesLengthException,
)  # fmt: skip


def store_corpus(session: Session, say: Callable[[str], None]) -> None:
    """Store each sample by a request of its own, so that one refusal does not cost the others."""
    for sample in session.corpus.values():
        reason = store(Probe(session), sample)
        if reason is not None:
            session.stored[sample.name] = reason
            say(f"not stored: {sample.name}: {reason}")


def store(probe: Probe, sample: Sample) -> str | None:
    """Store one sample; give the reason when the server did not take it."""
    body = build([part(sample.data, "application/dicom")])
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"',
        "Accept": JSON,
    }
    try:
        response = probe.post("/studies", body, headers)
        if response.status in (200, 202):
            found = probe.get(sample.path + "/metadata", JSON)
            return None if found.status == 200 else f"stored with {response.status}, metadata {found.status}"
    except _UNREADABLE as error:
        return f"no answer: {error}"
    return f"status {response.status} {response.reason}"


def run_case(session: Session, case: Case) -> Result:
    """Try one case; whatever the server answers ends as a verdict."""
    probe = Probe(session)
    started = time.monotonic()
    verdict, detail = Verdict.PASS, ""
    try:
        case.check(probe)
    except CaseOutcome as outcome:
        verdict, detail = outcome.verdict, str(outcome)
        if verdict == Verdict.NOT_OFFERED and case.level == Level.REQUIRED:
            verdict, detail = Verdict.FAIL, f"required, but not offered: {detail}"
    except _UNREADABLE as error:
        verdict, detail = Verdict.FAIL, f"the answer cannot be read: {type(error).__name__}: {error}"
    return Result(
        id=case.id, service=case.service, section=case.section, level=case.level, requires=case.requires,
        verdict=verdict, detail=detail, notes=tuple(probe.notes), exchanges=tuple(probe.exchanges),
        duration_ms=round((time.monotonic() - started) * 1000),
    )  # fmt: skip


def run_cases(session: Session, cases: Sequence[Case], jobs: int, say: Callable[[str], None]) -> list[Result]:
    """Try all cases, `jobs` at a time; results come back in the order of the cases."""
    results = []
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        for result in pool.map(lambda case: run_case(session, case), cases):
            results.append(result)
            if result.verdict == Verdict.FAIL:
                say(f"{result.verdict}  {result.id} ({result.level}, §{result.section}): {result.detail}")
    return results
