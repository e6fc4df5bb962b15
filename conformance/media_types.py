"""Read media types as RFC 9110 §8.3 writes them; quoted and unquoted values are equal (PS3.18 §8.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PARAMETER = re.compile(r'\s*;\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')

SYNTAX_OF_IMAGE_TYPE = {
    "image/jpeg": {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)},
    "image/dicom-rle": {"1.2.840.10008.1.2.5"},
    "image/jls": {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"},
    "image/jp2": {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"},
    "image/jpx": {"1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"},
    "image/jphc": {f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203)},
    "image/jxl": {f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112)},
}


@dataclass(frozen=True, slots=True)
class MediaType:
    essence: str
    parameters: dict[str, str] = field(default_factory=dict)

    def parameter(self, name: str) -> str | None:
        return self.parameters.get(name)


def parse_media_type(text: str) -> MediaType:
    """Split a Content-Type value; names come back in lower case, values unquoted."""
    essence, _, _ = text.partition(";")
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(text[len(essence) :]):
        value = match.group(2).strip()
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        parameters[match.group(1).lower()] = value
    return MediaType(essence.strip().lower(), parameters)
