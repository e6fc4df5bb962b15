"""Attributes by the names that requests give them: keyword or tag, or several dotted (PS3.6, PS3.18 §8.3.4)."""

import re
from dataclasses import dataclass
from functools import lru_cache

from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword

MAXIMUM_DEPTH = 8
_TAG = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NamedAttribute:
    """`path`: tags as in DICOM JSON, the sequences first. `vr`: the first that PS3.6 gives; UN for private ones."""

    path: tuple[str, ...]
    vr: str

    @property
    def tag(self) -> str:
        return self.path[-1]


@lru_cache(maxsize=4096)
def find_attribute(name: str) -> NamedAttribute | None:
    """The attribute that a name means; None where PS3.6 knows none and it is not private either."""
    found: list[tuple[str, str]] = []
    for part in name.split("."):
        element = _find_element(part)
        if element is None or len(found) == MAXIMUM_DEPTH:
            return None
        found.append(element)
    if any(vr not in ("SQ", "UN") for _, vr in found[:-1]):
        return None
    return NamedAttribute(tuple(tag for tag, _ in found), found[-1][1])


def is_private(tag: str) -> bool:
    """Whether the group number is odd (PS3.5 §7.8)."""
    return int(tag[3], 16) % 2 == 1


def is_private_creator(tag: str) -> bool:
    """Whether the element reserves a block of private attributes: (gggg,0010) to (gggg,00FF)."""
    return is_private(tag) and tag[4:6] == "00" and tag[6] != "0"


def _find_element(name: str) -> tuple[str, str] | None:
    if _TAG.fullmatch(name):
        tag = name.upper()
        if is_private(tag):
            return tag, "LO" if is_private_creator(tag) else "UN"
    elif _KEYWORD.fullmatch(name) and (number := tag_for_keyword(name)) is not None:
        tag = f"{number:08X}"
    else:
        return None
    number = int(tag, 16)
    try:
        vr = str(DicomDictionary[number][0] if number in DicomDictionary else dictionary_VR(number))
    except KeyError:
        return None
    return tag, vr.partition(" ")[0]
