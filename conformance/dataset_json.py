"""Read the DICOM JSON Model (PS3.18 Annex F) and compare attributes with what they should be."""

from __future__ import annotations

import base64
import math
from typing import Any

from pydicom.datadict import tag_for_keyword

from conformance.model import Failure
from conformance.wire import Response

Attributes = dict[str, dict[str, Any]]

NUMBER_OR_STRING = frozenset({"DS", "IS", "SV", "UV"})
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
BY_ADDRESS = BINARY | {"DS", "FL", "FD", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US", "UT", "UV"}


def tag_name(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(keyword)
    return f"{tag:08X}"


def datasets(response: Response) -> list[Attributes]:
    """Give the objects of an answer; Failure where it is not an array of objects."""
    body = response.json() if response.body else []
    if not isinstance(body, list) or not all(isinstance(each, dict) for each in body):
        raise Failure("the answer is not a JSON array of objects (PS3.18 F.2.1)")
    return body


def matches(response: Response) -> list[Attributes]:
    """Give the matches of a search: 204 and 200 with an empty array are both no match."""
    if response.status == 204:
        return []
    if response.status != 200:
        raise Failure(f"status {response.status} {response.reason}; expected 200 (or 204 for no match)")
    return datasets(response)


def values(attributes: Attributes, keyword: str) -> list[Any]:
    return list(attributes.get(tag_name(keyword), {}).get("Value", []))


def first(attributes: Attributes, keyword: str) -> Any:
    found = values(attributes, keyword)
    return found[0] if found else None


def uids(found: list[Attributes], keyword: str) -> list[str]:
    return [str(first(each, keyword)) for each in found]


def same_values(vr: str, expected: list[Any], found: list[Any]) -> bool:
    """Compare members; DS, IS, SV and UV may be numbers or strings (F.2.3)."""
    return len(expected) == len(found) and all(
        _same_value(vr, one, other) for one, other in zip(expected, found, strict=True)
    )


def _same_value(vr: str, expected: Any, found: Any) -> bool:
    if expected is None or found is None:
        return expected is None and found is None
    if vr in NUMBER_OR_STRING:
        return _same_number(expected, found)
    if vr in ("FL", "FD"):
        return isinstance(found, int | float) and math.isclose(expected, found, rel_tol=1e-7 if vr == "FL" else 0)
    if vr == "PN":
        return isinstance(found, dict) and _groups(expected) == _groups(found)
    return type(expected) is type(found) and bool(expected == found)


def _same_number(expected: float, found: Any) -> bool:
    try:
        if isinstance(expected, int):
            return int(found) == expected and not isinstance(found, float)
        return math.isclose(float(found), expected, rel_tol=1e-14)
    except (TypeError, ValueError):
        return False


def _groups(name: dict[str, str]) -> dict[str, str]:
    return {key: value.rstrip("^") for key, value in name.items()}


def inline_bytes(attribute: dict[str, Any]) -> bytes:
    return base64.b64decode(attribute["InlineBinary"], validate=True)
