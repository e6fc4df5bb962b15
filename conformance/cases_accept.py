"""Content negotiation (PS3.18 §8.7): what is asked for, and what must come, as one table."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import partial

import pydicom

from conformance.media_types import SYNTAX_OF_IMAGE_TYPE
from conformance.model import Case, Failure, Level, NotOffered, Service
from conformance.probe import Probe, expect, expect_status
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
LE = "1.2.840.10008.1.2.1"
JSON, MULTI = "application/dicom+json", "multipart/related"
FORBIDDEN = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.2"})


@dataclass(frozen=True, slots=True)
class AcceptRow:
    """`becomes`: acceptable essences (or `essence; type`), empty when the request must be refused."""

    id: str
    resource: str
    accept: str
    becomes: tuple[str, ...]
    says: str
    level: Level = REQ
    section: str = "8.7.8"
    refusals: tuple[int, ...] = (406,)
    sample: str = "ct1"
    syntaxes: tuple[str, ...] = field(default=())


ANY_DICOM = ("multipart/related; application/dicom", "application/dicom", "application/zip")
M_DICOM, M_XML, M_OCTETS = (f"multipart/related; application/{t}" for t in ("dicom", "dicom+xml", "octet-stream"))
D, O = 'type="application/dicom"', 'type="application/octet-stream"'  # noqa: E741 - short in a wide table
J2K, RLE, JLS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"

ROWS = (
    # metadata
    AcceptRow("C5-metadata-any", "metadata", "*/*", (JSON,), "*/* gives the default type of the resource."),
    AcceptRow("C5-metadata-application", "metadata", "application/*", (JSON,), "application/* gives JSON."),
    AcceptRow("C5-metadata-json", "metadata", JSON, (JSON,), "JSON when JSON is asked for."),
    AcceptRow(
        "C5-metadata-xml", "metadata", f'{MULTI}; type="application/dicom+xml"', (M_XML,), "XML when XML is asked for."
    ),
    AcceptRow(
        "C8-metadata-xml-unquoted",
        "metadata",
        f"{MULTI}; type=application/dicom+xml",
        (M_XML,),
        "Quoted and unquoted parameter values are equal.",
        section="8.7",
    ),
    AcceptRow(
        "C8-metadata-case", "metadata", "Application/DICOM+JSON", (JSON,), "Type names have no case.", section="8.7"
    ),
    AcceptRow(
        "C8-metadata-xml-case",
        "metadata",
        'Multipart/Related; TYPE="application/dicom+xml"',
        (M_XML,),
        "Type and parameter names have no case.",
        section="8.7",
    ),
    AcceptRow(
        "C6-metadata-q-json",
        "metadata",
        f'{MULTI}; type="application/dicom+xml"; q=0.2, {JSON}; q=0.8',
        (JSON,),
        "The greater q-value wins.",
        section="8.7.5, RFC 9110 12.5.1",
    ),
    AcceptRow(
        "C6-metadata-q-xml",
        "metadata",
        f'{JSON};q=0.2, {MULTI}; type="application/dicom+xml";q=0.9',
        (M_XML,),
        "The greater q-value wins.",
        section="8.7.5, RFC 9110 12.5.1",
    ),
    AcceptRow(
        "C6-metadata-q-zero", "metadata", f"{JSON};q=0", (), "q=0 excludes a type.", section="8.7.5, RFC 9110 12.5.1"
    ),
    AcceptRow(
        "C5-metadata-skips-unknown",
        "metadata",
        f"text/x-unknown, {JSON}",
        (JSON,),
        "A range that cannot be served is passed over.",
    ),
    AcceptRow("C5-metadata-only-unknown", "metadata", "text/x-unknown", (), "Nothing acceptable left is 406."),
    AcceptRow(
        "C5-metadata-malformed",
        "metadata",
        f"nonsense, {JSON}",
        (JSON,),
        "A malformed range is passed over.",
        REC,
        refusals=(400,),
    ),
    AcceptRow(
        "C5-metadata-dicom-json-list",
        "metadata",
        "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*",
        (JSON,),
        "OHIF's header for metadata, two categories in one, is served with JSON.",
    ),
    AcceptRow(
        "C5-metadata-plain-json",
        "metadata",
        "application/json",
        ("application/json", JSON),
        "application/json is understood (an older client's request).",
        INF,
    ),
    # instances
    AcceptRow("C5-instance-any", "instance", "*/*", ANY_DICOM, "*/* on an instance gives application/dicom."),
    AcceptRow(
        "C5-instance-multipart-any",
        "instance",
        "multipart/related",
        (M_DICOM,),
        "multipart/related without a type gives the default type.",
        REC,
    ),
    AcceptRow(
        "C5-instance-star-type",
        "instance",
        f'{MULTI}; type="*/*"',
        (M_DICOM,),
        'dicomweb-client\'s type="*/*" gives the default type.',
        REC,
    ),
    AcceptRow("C8-instance-quoted", "instance", f"{MULTI}; {D}", (M_DICOM,), "The quoted form."),
    AcceptRow(
        "C8-instance-unquoted",
        "instance",
        f"{MULTI}; type=application/dicom",
        (M_DICOM,),
        "The unquoted form.",
        section="8.7",
    ),
    AcceptRow("C8-instance-no-space", "instance", f"{MULTI};{D}", (M_DICOM,), "White space is free."),
    AcceptRow(
        "C8-instance-order",
        "instance",
        f"{MULTI}; transfer-syntax=*; {D}",
        (M_DICOM,),
        "The order of parameters is free.",
    ),
    AcceptRow(
        "C8-instance-boundary",
        "instance",
        f"{MULTI}; {D}; boundary=abc",
        (M_DICOM,),
        "A boundary in Accept, as the standard's syntax shows it, does not matter.",
        section="8.7.3.5",
    ),
    AcceptRow(
        "C5-instance-weasis", "instance", f"{MULTI};{D};transfer-syntax=*", (M_DICOM,), "Weasis' header is served."
    ),
    AcceptRow(
        "C10-instance-star",
        "instance",
        f"{MULTI}; {D}; transfer-syntax=*",
        (M_DICOM,),
        "transfer-syntax=* gives what is stored.",
        section="8.7.3.5.2",
        sample="jls",
        syntaxes=(JLS, LE),
    ),
    AcceptRow(
        "C10-instance-star-quoted",
        "instance",
        f'{MULTI}; {D}; transfer-syntax="*"',
        (M_DICOM,),
        'transfer-syntax="*" is the same.',
        section="8.7.3.5.2",
        sample="jls",
    ),
    AcceptRow(
        "C11-instance-default",
        "instance",
        f"{MULTI}; {D}",
        (M_DICOM,),
        "Without transfer-syntax an instance comes in Explicit VR Little Endian.",
        section="8.7.3",
        sample="rle-file",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C11-instance-default-jls",
        "instance",
        f"{MULTI}; {D}",
        (M_DICOM,),
        "Without transfer-syntax a JPEG-LS instance comes decoded.",
        section="8.7.3",
        sample="jls",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C11-instance-default-j2k",
        "instance",
        f"{MULTI}; {D}",
        (M_DICOM,),
        "Without transfer-syntax a lossless JPEG 2000 instance comes decoded.",
        section="8.7.3",
        sample="j2k",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C11-instance-named",
        "instance",
        f"{MULTI}; {D}; transfer-syntax={LE}",
        (M_DICOM,),
        "Explicit VR Little Endian when it is named.",
        section="8.7.3.5.2",
        sample="rle-file",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C11-instance-stored-named",
        "instance",
        f"{MULTI}; {D}; transfer-syntax={RLE}",
        (M_DICOM,),
        "The stored syntax when it is named.",
        section="8.7.3.5.2",
        sample="rle-file",
        syntaxes=(RLE,),
    ),
    AcceptRow(
        "C9-instance-two-syntaxes",
        "instance",
        f"{MULTI}; {D}; transfer-syntax={J2K};q=0.5, {MULTI}; {D}; transfer-syntax={LE}",
        (M_DICOM,),
        "Several syntaxes are several ranges; the better q wins.",
        section="8.7.3.5.2",
        sample="rle-file",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C9-instance-second-syntax",
        "instance",
        f"{MULTI}; {D}; transfer-syntax=1.2.3.4, {MULTI}; {D}; transfer-syntax={LE}",
        (M_DICOM,),
        "A syntax that cannot be made is passed over for the next range.",
        section="8.7.8",
        sample="ct1",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C9-instance-impossible-syntax",
        "instance",
        f"{MULTI}; {D}; transfer-syntax=1.2.3.4",
        (),
        "A syntax that cannot be made, alone, is 406.",
        section="8.7.8",
    ),
    AcceptRow(
        "C14-instance-encode-jls",
        "instance",
        f"{MULTI}; {D}; transfer-syntax={JLS}",
        (M_DICOM,),
        "A native instance may be had in JPEG-LS.",
        OPT,
        "8.7.3.3",
        syntaxes=(JLS,),
    ),
    AcceptRow(
        "C14-instance-encode-j2k",
        "instance",
        f"{MULTI}; {D}; transfer-syntax={J2K}",
        (M_DICOM,),
        "A native instance may be had in JPEG 2000.",
        OPT,
        "8.7.3.3",
        syntaxes=(J2K,),
    ),
    AcceptRow(
        "C14-instance-encode-rle",
        "instance",
        f"{MULTI}; {D}; transfer-syntax={RLE}",
        (M_DICOM,),
        "A native instance may be had in RLE.",
        OPT,
        "8.7.3.3",
        syntaxes=(RLE,),
    ),
    AcceptRow(
        "C12-implicit-not-sent",
        "instance",
        f"{MULTI}; {D}; transfer-syntax=*",
        (M_DICOM,),
        "Implicit VR is never sent, not even for *.",
        section="8.7.3",
        sample="implicit-le",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C12-big-endian-not-sent",
        "instance",
        f"{MULTI}; {D}; transfer-syntax=*",
        (M_DICOM,),
        "Big endian is never sent, not even for *.",
        section="8.7.3",
        sample="big-endian",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C12-implicit-default",
        "instance",
        f"{MULTI}; {D}",
        (M_DICOM,),
        "An implicit VR object comes in Explicit VR Little Endian.",
        section="8.7.3",
        sample="implicit-le",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C12-big-endian-default",
        "instance",
        f"{MULTI}; {D}",
        (M_DICOM,),
        "A big endian object comes in Explicit VR Little Endian.",
        section="8.7.3",
        sample="big-endian",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "C12-deflated-default",
        "instance",
        f"{MULTI}; {D}",
        (M_DICOM,),
        "A deflated object comes in Explicit VR Little Endian.",
        section="8.7.3",
        sample="deflated",
        syntaxes=(LE,),
    ),
    AcceptRow(
        "W3-instance-single",
        "instance",
        "application/dicom",
        ("application/dicom",),
        "One instance may be had as a single part.",
        OPT,
        "10.4.4",
    ),
    AcceptRow(
        "W3-study-single",
        "study",
        "application/dicom",
        (),
        "A study as a single part of application/dicom is 406.",
        REQ,
        "10.4.4",
    ),
    AcceptRow(
        "W3-series-single",
        "series",
        "application/dicom",
        (),
        "A series as a single part of application/dicom is 406.",
        REQ,
        "10.4.4",
    ),
    AcceptRow(
        "W4-study-zip",
        "study",
        "application/zip",
        ("application/zip",),
        "A study may be had as a zip file.",
        OPT,
        "8.6.1.3",
    ),
    AcceptRow(
        "C7-instance-mixed",
        "instance",
        f"{MULTI}; {D}, image/jpeg",
        (),
        "DICOM and rendered types in one Accept are refused.",
        INF,
        "8.7.5",
        refusals=(400, 406, 409),
    ),
    AcceptRow(
        "C5-instance-rendered-type",
        "instance",
        "image/gif",
        (),
        "A rendered type for an instance is refused.",
        REC,
        "8.7.8",
        refusals=(400, 406),
    ),
    # searches
    AcceptRow("Q2-search-any", "search", "*/*", (JSON,), "*/* on a search gives JSON.", section="10.6.4"),
    AcceptRow("Q2-search-json", "search", JSON, (JSON,), "JSON when JSON is asked for.", section="10.6.4"),
    AcceptRow(
        "Q2-search-xml",
        "search",
        f'{MULTI}; type="application/dicom+xml"',
        (M_XML,),
        "XML when XML is asked for.",
        section="10.6.4",
    ),
    AcceptRow(
        "Q2-search-q",
        "search",
        f'{MULTI}; type="application/dicom+xml";q=0.1, {JSON}',
        (JSON,),
        "The greater q-value wins.",
        section="10.6.4",
    ),
    AcceptRow("Q2-search-406", "search", "image/jpeg", (), "A search cannot be had as a picture.", section="10.6.4"),
    # frames
    AcceptRow(
        "C5-frames-any",
        "frame",
        "*/*",
        (M_OCTETS, "application/octet-stream"),
        "*/* on frames gives octets.",
        section="10.4.4",
    ),
    AcceptRow(
        "C5-frames-octets", "frame", f"{MULTI}; {O}", (M_OCTETS,), "octet-stream in multipart.", section="10.4.4"
    ),
    AcceptRow(
        "C8-frames-unquoted",
        "frame",
        f"{MULTI}; type=application/octet-stream",
        (M_OCTETS,),
        "The unquoted form.",
        section="8.7",
    ),
    AcceptRow(
        "C5-frames-ohif",
        "frame",
        f"{MULTI}; type=application/octet-stream; transfer-syntax=*",
        (M_OCTETS,),
        "OHIF's header for frames is served.",
    ),
    AcceptRow(
        "C5-frames-ohif-quoted",
        "frame",
        f'{MULTI}; {O}; transfer-syntax="*"',
        (M_OCTETS,),
        "The quoted form of OHIF's header is served.",
    ),
    AcceptRow(
        "C5-frames-microscopy",
        "frame",
        ", ".join(
            f'{MULTI}; type="image/{t}"; transfer-syntax=1.2.840.10008.1.2.4.{n}'
            for t, n in (("jls", 80), ("jls", 81), ("jp2", 90), ("jp2", 91), ("jpx", 92), ("jpx", 93))
        )
        + f', {MULTI}; {O}; transfer-syntax=*, {MULTI}; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50',
        (M_OCTETS, f"{MULTI}; image/jls", f"{MULTI}; image/jp2"),
        "The slide viewer's list of eight is served.",
    ),
    AcceptRow(
        "W13-frames-single",
        "frame",
        "application/octet-stream",
        ("application/octet-stream",),
        "One frame may be had as a single part.",
        OPT,
        "10.4.4",
    ),
    AcceptRow("C5-frames-406", "frame", "text/html", (), "A frame cannot be had as HTML.", section="8.7.8"),
    AcceptRow(
        "C5-frames-text-and-any",
        "frame",
        "text/html, */*;q=0.1",
        (M_OCTETS, "application/octet-stream"),
        "A wildcard after a type that is not there counts.",
    ),
)


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
    if row.resource in ("instance", "frame") and found != "application/zip":
        _check_syntax(row, response)


def _named(response: Response) -> str:
    media_type = response.media_type
    inner = media_type.parameter("type")
    return f"{media_type.essence}; {inner.lower()}" if inner else media_type.essence


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
    for row in ROWS
)
