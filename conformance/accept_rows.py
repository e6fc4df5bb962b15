"""The table of Accept headers (PS3.18 §8.7): what is asked for, and what must come."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.model import Level

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
LE = "1.2.840.10008.1.2.1"
JSON, MULTI = "application/dicom+json", "multipart/related"


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
