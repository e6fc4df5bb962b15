"""Content negotiation (PS3.18 §8.7): try each row of the table of Accept headers."""

from __future__ import annotations

import io
from functools import partial

import pydicom

from conformance.accept_rows import MULTI, OPT, REC, ROWS, AcceptRow
from conformance.accept_rows_instances import INSTANCE_ROWS
from conformance.media_types import SYNTAX_OF_IMAGE_TYPE
from conformance.model import Case, Failure, NotOffered, Service
from conformance.probe import Probe, expect, expect_status
from conformance.wire import Response

FORBIDDEN = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.2"})


def _try(row: AcceptRow, probe: Probe) -> None:
    sample = probe.sample(row.sample)
    path = {
        "metadata": f"{sample.path}/metadata",
        "instance": sample.path,
        "series": sample.series_path,
        "study": sample.study_path,
        "search": f"{sample.study_path}/series",
        "frame": f"{sample.path}/frames/1",
    }[row.resource]
    response = probe.get(path, row.accept)
    if not row.becomes:
        expect_status(response, *row.refusals)
        return
    if row.level == OPT and response.status in (400, 404, 406, 415, 501):
        raise NotOffered(f"status {response.status} {response.reason}")
    expect_status(response, 200, *(row.refusals if row.level == REC and row.refusals != (406,) else ()))
    if response.status != 200:
        return
    found = _named(response)
    expect(
        found in row.becomes, f"Content-Type is {response.header('Content-Type')}; expected {' or '.join(row.becomes)}"
    )
    if row.resource in ("metadata", "search"):
        expect(sample.series_uid.encode() in response.body, "the answer does not hold what was asked for")
    if row.resource in ("instance", "frame") and found != "application/zip":
        _check_syntax(row, response)


def _named(response: Response) -> str:
    media_type = response.media_type
    inner = media_type.parameter("type")
    # a parameter inside the type parameter is judged by a case of its own, C16-frames-outer-type
    return f"{media_type.essence}; {inner.lower().partition(';')[0]}" if inner else media_type.essence


def _check_syntax(row: AcceptRow, response: Response) -> None:
    """See that the part is what it says: the file's own syntax is allowed and agrees with the label."""
    is_multipart = response.media_type.essence == MULTI
    parts = response.parts() if is_multipart else ()
    label = parts[0].media_type if parts else response.media_type
    if is_multipart and not parts:
        raise Failure("a multipart answer without parts")
    said = label.parameter("transfer-syntax")
    if row.resource == "frame":
        allowed = SYNTAX_OF_IMAGE_TYPE.get(label.essence)
        expect(not (allowed and said and said not in allowed), f"a part of {label.essence} says transfer-syntax={said}")
        return
    file = pydicom.dcmread(io.BytesIO(parts[0].body if parts else response.body), stop_before_pixels=True)
    syntax = str(file.file_meta.TransferSyntaxUID)
    expect(syntax not in FORBIDDEN, f"the object is in {syntax}, which shall not be sent (§8.7.3)")
    expect(
        not row.syntaxes or syntax in row.syntaxes, f"the object is in {syntax}; expected {' or '.join(row.syntaxes)}"
    )
    expect(said in (None, syntax), f"the part says transfer-syntax={said}, the object is in {syntax}")


CASES = tuple(
    Case(
        row.id,
        Service.QIDO if row.resource == "search" else Service.COMMON,
        row.section,
        row.level,
        row.says,
        partial(_try, row),
    )
    for row in (*ROWS, *INSTANCE_ROWS)
)
