"""Words that are burned into a picture on request, and pictures that must not be shown small (PS3.18 §8.3.5.1.1)."""

from collections.abc import Set
from typing import Any

import orjson

BURNED_IN_ANNOTATION = "00280301"
PATIENT = (("", "00100010"), ("ID ", "00100020"), ("born ", "00100030"), ("", "00100040"))
TECHNIQUE = (
    ("", "00080060"),
    ("", "00081030"),
    ("", "0008103E"),
    ("", "00080020"),
    ("kV ", "00180060"),
    ("", "00180050"),
)
MAXIMUM_LINE_LENGTH = 64


def annotation_lines(document: bytes, asked: Set[str]) -> tuple[str, ...]:
    """Lines for `patient` and `technique`, from an instance's DICOM JSON."""
    attributes: dict[str, dict[str, Any]] = orjson.loads(document)
    chosen = (*(PATIENT if "patient" in asked else ()), *(TECHNIQUE if "technique" in asked else ()))
    lines = [(label, _text(attributes.get(tag, {}))) for label, tag in chosen]
    return tuple(f"{label}{text}"[:MAXIMUM_LINE_LENGTH] for label, text in lines if text)


def is_free_of_identity(document: bytes) -> bool:
    """Whether nothing says that words about the patient are in the pixels themselves."""
    return _text(orjson.loads(document).get(BURNED_IN_ANNOTATION, {})) != "YES"


def _text(entry: dict[str, Any]) -> str:
    values = entry.get("Value") or [""]
    value = values[0]
    if isinstance(value, dict):
        return str(value.get("Alphabetic", "")).replace("^", " ").strip()
    return "" if value is None else str(value)
