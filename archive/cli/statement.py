"""`lightbox conformance-statement`: the DICOM conformance statement (PS3.2), made from the code's tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

import qido.routes
import stow.deletion
import stow.routes
import wado.routes
from archive.app import DICOMWEB_ROOTS, OTHER_SERVICES, TRANSACTIONS
from archive.attributes import ATTRIBUTES, SEQUENCE_PATHS, Attribute, Level
from archive.config import Settings
from archive.dicomweb.capabilities import OFFERS
from archive.dicomweb.media_types import DEFAULT_SYNTAX, MEDIA_TYPE_OF_SYNTAX
from archive.dicomweb.transactions import Transaction
from archive.errors import LightboxError
from stow.outcome import FAILURE_REASONS, WARNING_REASONS
from wado.pixels.transcode import TRANSCODINGS, Transcoding

EDITION = "2025b"
LIMITS = (
    "instance_limit_bytes",
    "request_limit_bytes",
    "parts_limit",
    "frame_timeout_s",
    "no_match_is_204",
    "strict_accept",
    "undo_days",
    "coerce",
    "coerce_missing",
)
"""Settings that change what a client sees."""


def conformance_statement(
    output: Annotated[Path | None, typer.Option(help="Write to this file. [default: standard output]")] = None,
) -> None:
    """Print the DICOM conformance statement of this version.

    Example: lightbox conformance-statement --output STATEMENT.md
    """
    if output is None:
        print(statement(), end="")
    else:
        output.write_text(statement())


def statement() -> str:
    """The whole statement as Markdown."""
    sections = [
        _overview(),
        _transactions(),
        _store(),
        _retrieve(),
        _search(),
        _capabilities(),
        _extensions(),
        _status_codes(),
        _settings(),
        _security(),
    ]
    head = (
        "# DICOM conformance statement of Lightbox\n\n"
        "Made by `lightbox conformance-statement` from the tables that the server works with; a test holds this "
        "file to "
        f"them. It follows the template of PS3.2 for web services. Edition of the standard: {EDITION}, with CP-2473."
    )
    return "\n\n".join([head, *sections]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _code(values: Iterable[str], separator: str = ", ") -> str:
    return separator.join(f"`{value}`" for value in values)


def _overview() -> str:
    services = (
        ("Studies Service: Store (STOW-RS)", "PS3.18 §10.5", "no", "yes"),
        ("Studies Service: Search (QIDO-RS)", "PS3.18 §10.6", "no", "yes"),
        ("Studies Service: Retrieve (WADO-RS)", "PS3.18 §10.4", "no", "yes"),
        ("URI Service (WADO-URI)", "PS3.18 §9", "no", "yes"),
        ("Retrieve Capabilities", "PS3.18 §8.9", "no", "yes"),
        ("Worklist Service (UPS-RS)", "PS3.18 §11", "no", "no (501)"),
        ("Non-Patient Instance Service", "PS3.18 §12", "no", "no (501)"),
    )
    roots = (
        (DICOMWEB_ROOTS[0], "machines and staff, by a token in the Authorization header"),
        (DICOMWEB_ROOTS[1], "whoever has opened a share, by its session cookie"),
        (DICOMWEB_ROOTS[2], "another viewer, by the ticket in the path"),
    )
    return (
        "## 1 Overview\n\n"
        "Lightbox keeps DICOM instances byte for byte as they were sent and gives them by DICOMweb. It has no DIMSE "
        "services.\n\n"
        + _table(("Service", "Section", "User agent", "Origin server"), services)
        + "\n\nAny Storage SOP Class is taken, known or private, in any transfer syntax.\n\n"
        "### 1.1 Roots\n\nEach root has the same resources, confined to what its holder may see; URIs in answers begin "
        "with the root that was asked.\n\n" + _table(("Root", "For"), ((f"`{path}`", who) for path, who in roots))
    )


def _transactions() -> str:
    return "## 2 Transactions\n\n" + _transaction_table(TRANSACTIONS)


def _transaction_table(transactions: Iterable[Transaction]) -> str:
    rows = ((one.name, one.method, f"`{one.template}`", one.section, _code(one.produces)) for one in transactions)
    return _table(("Transaction", "Method", "Resource", "Section", "Media types of the answer, default first"), rows)


def _store() -> str:
    reasons = ((f"{code:04X}", words) for code, words in sorted(FAILURE_REASONS.items()))
    warnings = ((f"{code:04X}", words) for code, words in sorted(WARNING_REASONS.items()))
    return (
        "## 3 Store\n\nBodies: "
        + _code(stow.routes.TRANSACTIONS[0].consumes)
        + ". An instance fails alone. Instances are durable and searchable when the answer is sent. The same bytes "
        "again "
        "are a success that changes nothing; other bytes under a known SOP Instance UID are refused, and what is "
        "stored "
        "stays. Nothing is coerced in what is sent as `application/dicom`, unless the settings `coerce` or "
        "`coerce_missing` say so: then the previous values stand in the Original Attributes Sequence (0400,0561), and "
        "the answer warns with B000H.\n\n### 3.1 Failure reasons (0008,1197)\n\n"
        + _table(("Code", "Meaning"), reasons)
        + "\n\n### 3.2 Warning reasons (0008,1196)\n\n"
        + _table(("Code", "Meaning"), warnings)
    )


def _retrieve() -> str:
    video = [
        syntax for syntax in MEDIA_TYPE_OF_SYNTAX if syntax not in {one.transfer_syntax_uid for one in TRANSCODINGS}
    ]
    rows = (_transcoding_row(one) for one in TRANSCODINGS)
    defaults = ((f"`{media_type}`", f"`{syntax}`") for media_type, syntax in DEFAULT_SYNTAX.items())
    return (
        "## 4 Retrieve\n\nWithout a `transfer-syntax` an instance is given in Explicit VR Little Endian, or as "
        "stored where "
        "that cannot be had; `transfer-syntax=*` gives it as stored, but for Implicit VR Little Endian and Explicit VR "
        "Big Endian. Single-part and multipart answers, HEAD, ETag with If-None-Match, and Range on bulk data are "
        "offered. "
        "ZIP files hold the instances as stored.\n\n### 4.1 Transfer syntaxes of frames\n\n"
        "Frames of every syntax in this table are decoded; those marked can be asked for whatever is stored, where the "
        "samples fit.\n\n"
        + _table(("Transfer syntax", "UID", "Media type", "Lossless", "Encoded to, from bits stored"), rows)
        + "\n\nStored and given whole, but neither cut into frames nor decoded: "
        + _code(video)
        + ".\n\n### 4.2 What a media type means without a transfer syntax\n\n"
        + _table(("Media type", "Transfer syntax"), defaults)
        + "\n\n### 4.3 Parameters\n\n"
        + _table(("Transaction", "Query parameters"), _parameter_rows(wado.routes.TRANSACTIONS))
    )


def _transcoding_row(one: Transcoding) -> tuple[str, ...]:
    encoded = "" if one.target is None else "{} to {}".format(*one.target.bits_stored)
    media_type = MEDIA_TYPE_OF_SYNTAX.get(one.transfer_syntax_uid, "application/octet-stream")
    return one.name, f"`{one.transfer_syntax_uid}`", f"`{media_type}`", "yes" if one.lossless else "no", encoded


def _parameter_rows(transactions: Iterable[Transaction]) -> Iterable[tuple[str, str]]:
    return ((one.name, _code(one.parameters)) for one in transactions if one.parameters)


def _search() -> str:
    keys = (_key_row(attribute) for attribute in ATTRIBUTES.values() if attribute.matched)
    paths = ((f"`{path}`", level.name.title()) for path, level in SEQUENCE_PATHS.items())
    own = len(qido.routes.PAGING + qido.routes.SWITCHES)
    others = qido.routes.TRANSACTIONS[0].parameters[:own]
    return (
        "## 5 Search\n\nMatching: single value, list of UIDs, universal, wildcard, range of dates, times and both "
        "together, "
        "sequence, empty value, multiple values; person names also fuzzily. Names match without regard to case; other "
        "texts with regard to it. Keys that cannot be matched are left out, and a Warning header says so. The order of "
        "results is stable: studies newest first, all else as it was stored. No match is answered 200 with an empty "
        "array (CP-2473), or 204 where the setting says so.\n\n### 5.1 Matching keys\n\n"
        + _table(("Keyword", "Tag", "VR", "Level", "Required by PS3.18"), keys)
        + "\n\n### 5.2 Keys within sequences\n\n"
        + _table(("Path", "Level"), paths)
        + "\n\n### 5.3 Other parameters\n\n"
        + _code(others)
        + ". Private attributes are given by `includefield` together with their creator."
    )


def _key_row(attribute: Attribute) -> tuple[str, ...]:
    tag = f"({attribute.tag[:4]},{attribute.tag[4:]})"
    level = Level(attribute.level).name.title()
    return attribute.keyword, tag, attribute.vr, level, "yes" if attribute.required else "no"


def _capabilities() -> str:
    return (
        "## 6 Capabilities\n\nOPTIONS on a root and on each resource below it: "
        + _code(str(offer) for offer in OFFERS)
        + ". The same as OpenAPI 3.1 at `/openapi.json` and at each root. Other methods are answered 405 with "
        "Allow.\n\n"
        "Services that are not offered are answered 501: "
        + _code(name.strip("{}").partition(":")[2] or name for name in OTHER_SERVICES)
        + "."
    )


def _extensions() -> str:
    return (
        "## 7 Extensions\n\nNot in PS3.18; for tokens with the role admin, at `/dicom-web` only. What is deleted is "
        "gone from "
        "every answer (410), and can be restored until it is purged; what is rejected is also refused when it is sent "
        "again.\n\n" + _transaction_table(stow.deletion.TRANSACTIONS)
    )


def _status_codes() -> str:
    rows = ((str(kind.status), f"`{kind.code}`") for kind in _errors(LightboxError))
    return (
        "## 8 Status codes of errors\n\nThe body is `application/problem+json` and names the parameter at fault. "
        "Success "
        "is 200, 202 (some instances failed), 204, 206 (some targets cannot be given, or a range) or 304.\n\n"
        + _table(("Status", "Code"), sorted(set(rows)))
    )


def _errors(base: type[LightboxError]) -> Iterable[type[LightboxError]]:
    """The errors of DICOMweb; those of links and sign-in are told by their own pages."""
    if base.__module__ == LightboxError.__module__:
        yield base
    for kind in base.__subclasses__():
        yield from _errors(kind)


def _settings() -> str:
    fields = Settings.model_fields
    rows = ((f"`{name}`", f"`{fields[name].default}`", fields[name].description or "") for name in LIMITS)
    return "## 9 Configuration\n\n" + _table(("Setting", "Default", "Meaning"), rows)


def _security() -> str:
    return (
        "## 10 Security and character sets\n\n"
        "TLS is the reverse proxy's in front. Nothing is answered to whom is not known, by a token, a share's "
        "session or a "
        "ticket; what lies outside of their scope is answered 404. Every access is written into an audit trail.\n\n"
        "Answers are in UTF-8. Every Specific Character Set of PS3.3 C.12.1.1.2 is read, with code extensions. "
        "Instances "
        "are de-identified where a share is without a name, or where WADO-URI's `anonymize` asks for it: by the Basic "
        "Profile of PS3.15 E.2, and refused where pixels may show who it is."
    )
