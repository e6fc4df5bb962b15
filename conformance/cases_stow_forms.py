"""Store: every legal form of a multipart request, and the forms that are refused (PS3.18 §8.6, RFC 2046)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from conformance.cases_stow import DICOM_FORM, fresh_instance, fresh_study, is_stored, post_instances, stored
from conformance.model import Case, Level, NotOffered, Service, Skipped
from conformance.multipart import BOUNDARY, Part, build, part
from conformance.probe import JSON, Probe, expect, expect_status
from conformance.samples import instance_of, ramp, sample_of, set_pixels
from conformance.wire import Request

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


def _form(form: str, boundary: str, probe: Probe, **extra: bytes) -> None:
    sample = fresh_instance(probe, "form")
    body = build([part(sample.data, "application/dicom")], boundary, **extra)
    stored(probe, probe.post("/studies", body, {"Content-Type": form, "Accept": JSON}), sample)


def _part_headers(headers: tuple[tuple[str, str], ...], probe: Probe) -> None:
    sample = fresh_instance(probe, "part headers")
    body = build([Part(headers, sample.data)])
    stored(probe, probe.post("/studies", body, {"Content-Type": DICOM_FORM, "Accept": JSON}), sample)


def _padding(probe: Probe) -> None:
    sample = fresh_instance(probe, "padding")
    body = build([part(sample.data, "application/dicom")]).replace(
        BOUNDARY.encode() + b"\r\n", BOUNDARY.encode() + b"  \r\n"
    )
    stored(probe, probe.post("/studies", body, {"Content-Type": DICOM_FORM, "Accept": JSON}), sample)


def _boundary_inside(probe: Probe) -> None:
    """The pixel data holds what looks like a delimiter but for its last character."""
    dataset = instance_of(fresh_study(probe, "delimiter"))
    tricky = (b"\r\n--" + BOUNDARY[:-1].encode() + b"x").ljust(64, b"\0")
    set_pixels(dataset, ramp(8, 8, "u1"))
    dataset.PixelData = tricky
    sample = sample_of("delimiter", dataset)
    stored(probe, post_instances(probe, [sample.data]), sample)
    frame = probe.get(f"{sample.path}/frames/1", 'multipart/related; type="application/octet-stream"')
    expect(frame.parts()[0].body == tricky, "the stored pixel data differs from what was sent")


def _content_type(form: str, probe: Probe) -> None:
    sample = fresh_instance(probe, "type")
    body = sample.data if not form.startswith("multipart") else build([part(sample.data, "application/dicom")])
    response = probe.post("/studies", body, {"Content-Type": form, "Accept": JSON})
    expect_status(response, 415, 400) if "related" in form else expect_status(response, 415)
    expect(not is_stored(probe, sample), "refused, but stored")


def _single_part(probe: Probe) -> None:
    sample = fresh_instance(probe, "single part")
    response = probe.post("/studies", sample.data, {"Content-Type": "application/dicom", "Accept": JSON})
    if response.status in (400, 415):
        raise NotOffered(f"status {response.status}")
    stored(probe, response, sample)


def _no_parts(body: bytes, probe: Probe) -> None:
    response = probe.post("/studies", body, {"Content-Type": DICOM_FORM, "Accept": JSON})
    expect_status(response, 400, 204, 409)


def _truncated_body(probe: Probe) -> None:
    sample = fresh_instance(probe, "cut body")
    body = build([part(sample.data, "application/dicom")])[:-200]
    response = probe.post("/studies", body, {"Content-Type": DICOM_FORM, "Accept": JSON})
    expect(400 <= response.status < 500, f"status {response.status} for a body that ends in the middle of a part")
    expect(not is_stored(probe, sample), "an instance that never arrived whole was stored")


def _chunked(waits: bool, probe: Probe) -> None:
    sample = fresh_instance(probe, "chunked")
    body = build([part(sample.data, "application/dicom")])
    headers = (("Content-Type", DICOM_FORM), ("Accept", JSON))
    request = Request("POST", probe.target("/studies"), headers, body, is_chunked=not waits, waits_for_continue=waits)
    if waits and probe.session.wire.base_url.startswith("https"):
        raise Skipped("looking for 100 Continue needs a connection without TLS")
    response = probe.send(request)
    stored(probe, response, sample)
    if waits:
        probe.note("100 Continue was seen" if response.saw_continue else "no 100 Continue within three seconds")


B = BOUNDARY


FORMS = (
    ("quoted", f'multipart/related; type="application/dicom"; boundary="{B}"', B, REQ, "type and boundary quoted"),
    ("boundary-bare", f'multipart/related; type="application/dicom"; boundary={B}', B, REQ, "boundary as a token"),
    ("type-bare", f"multipart/related; type=application/dicom; boundary={B}", B, REQ, "type unquoted (§8.7: equal)"),
    ("no-space", f'multipart/related;type="application/dicom";boundary={B}', B, REQ, "no white space"),
    ("order", f'multipart/related; boundary={B}; type="application/dicom"', B, REQ, "boundary before type"),
    ("case", f'Multipart/Related; Type="Application/DICOM"; Boundary={B}', B, REQ, "other case of the names"),
    ("start", f'multipart/related; type="application/dicom"; start="<a@b>"; boundary={B}', B, REQ, "a start parameter"),
    (
        "odd-boundary",
        'multipart/related; type="application/dicom"; boundary="a b\'()+_,-./:=?c"',
        "a b'()+_,-./:=?c",
        REQ,
        "a quoted boundary with every character that RFC 2046 allows",
    ),
    (
        "long-boundary",
        f'multipart/related; type="application/dicom"; boundary={"x" * 70}',
        "x" * 70,
        REQ,
        "a boundary of seventy characters",
    ),
)


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.STOW, section, level, requires, check)


CASES = (
    *(
        _case(
            f"S2-form-{name}",
            "8.7, RFC 2046",
            level,
            f"Content-Type of a request: {what}.",
            partial(_form, form, boundary),
        )
        for name, form, boundary, level, what in FORMS
    ),
    _case(
        "S2-preamble",
        "RFC 2046 5.1.1",
        REQ,
        "A preamble before the first delimiter is ignored.",
        partial(_form, DICOM_FORM, B, preamble=b"This is a message in several parts."),
    ),
    _case(
        "S2-epilogue",
        "RFC 2046 5.1.1",
        REQ,
        "An epilogue after the last delimiter is ignored.",
        partial(_form, DICOM_FORM, B, epilogue=b"The end.\r\n"),
    ),
    _case("S2-delimiter-padding", "RFC 2046 5.1.1", REC, "White space after a delimiter is ignored.", _padding),
    _case(
        "S2-delimiter-inside",
        "RFC 2046 5.1.1",
        REQ,
        "Bytes that only resemble the delimiter are content.",
        _boundary_inside,
    ),
    _case(
        "S2-part-header-case",
        "RFC 9110 5.1",
        REQ,
        "Header names of a part have no case.",
        partial(_part_headers, (("CONTENT-TYPE", "application/dicom"),)),
    ),
    _case(
        "S2-part-more-headers",
        "RFC 2046 5.1",
        REQ,
        "Further headers of a part do no harm.",
        partial(
            _part_headers, (("Content-ID", "<1@x>"), ("MIME-Version", "1.0"), ("Content-Type", "application/dicom"))
        ),
    ),
    _case(
        "S2-part-syntax",
        "8.7.9",
        REQ,
        "A part may say its transfer syntax.",
        partial(_part_headers, (("Content-Type", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),)),
    ),
    *(
        _case(
            f"S2-type-{name}",
            "10.5.3.1",
            REQ,
            "A Content-Type that is not for storing is refused with 415.",
            partial(_content_type, form),
        )
        for name, form in (
            ("text", "text/plain"),
            ("json", "application/json"),
            ("mixed", f"multipart/mixed; boundary={B}"),
            ("form", f"multipart/form-data; boundary={B}"),
            ("image", f'multipart/related; type="image/png"; boundary={B}'),
        )
    ),
    _case("S3-single-part", "8.7.3.1", OPT, "application/dicom without multipart stores one instance.", _single_part),
    _case(
        "S16-no-parts",
        "10.5.1.4",
        REC,
        "A request without parts is no success.",
        partial(_no_parts, f"--{B}--\r\n".encode()),
    ),
    _case("S16-empty-body", "10.5.1.4", REC, "A request with an empty body is no success.", partial(_no_parts, b"")),
    _case(
        "S16-truncated-body", "RFC 2046 5.1.1", REQ, "A body that ends inside a part stores nothing.", _truncated_body
    ),
    _case("S17-chunked", "RFC 9112 7.1", REQ, "A chunked request is taken.", partial(_chunked, False)),
    _case(
        "S17-continue", "RFC 9110 10.1.1", REQ, "Expect: 100-continue does not stop a request.", partial(_chunked, True)
    ),
)
