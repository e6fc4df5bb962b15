"""UIDs and digests as types, parsed once at the edge (PS3.5 §9.1)."""

import re
from typing import NewType

from archive.errors import BadRequestError

StudyUID = NewType("StudyUID", str)
SeriesUID = NewType("SeriesUID", str)
InstanceUID = NewType("InstanceUID", str)
Digest = NewType("Digest", str)
"""SHA-256 of a blob's bytes, 64 lower-case hexadecimal digits."""

MAXIMUM_UID_LENGTH = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_uid(text: str) -> bool:
    """Whether the text can name something: digits and single dots, 1 to 64 characters.

    A component with a leading zero is against PS3.5 §9.1 but is met in real files and harmless, so it is taken.
    """
    return len(text) <= MAXIMUM_UID_LENGTH and _UID.fullmatch(text) is not None


def parse_uid(text: str, parameter: str) -> str:
    """Return the UID, or raise BadRequestError naming the parameter; the text itself is not repeated."""
    if not is_uid(text):
        raise BadRequestError(
            f"{parameter} is not a UID: digits and single dots, at most 64 characters.", parameter=parameter
        )
    return text


def parse_study_uid(text: str) -> StudyUID:
    return StudyUID(parse_uid(text, "StudyInstanceUID"))


def parse_series_uid(text: str) -> SeriesUID:
    return SeriesUID(parse_uid(text, "SeriesInstanceUID"))


def parse_instance_uid(text: str) -> InstanceUID:
    return InstanceUID(parse_uid(text, "SOPInstanceUID"))


def parse_digest(text: str) -> Digest:
    if _DIGEST.fullmatch(text) is None:
        raise BadRequestError("A digest is 64 lower-case hexadecimal digits.", parameter="digest")
    return Digest(text)
