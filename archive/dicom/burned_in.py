"""Whether an instance may be given away without a name: what cannot be cleaned by its attributes alone is left out.

The pixels are not looked at. Where Burned In Annotation (0028,0301) is not told, the kind of image decides (PS3.15
E.3.1: identity in pixels is usual in ultrasound, captured screens, photographs, scanned papers).
"""

from enum import StrEnum
from typing import Any

JsonAttributes = dict[str, dict[str, Any]]

OFTEN_BURNED_IN = frozenset(
    ("AR", "BMD", "DG", "DMS", "DOC", "ECG", "EEG", "EPS", "ES", "GM", "HD", "IVUS", "IO", "KER", "LEN", "LP", "LS",
     "OP", "OPM", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PX", "RF", "RG", "SMR", "SRF", "TG", "US", "VA",
     "XC")
)  # fmt: skip
"""Modalities whose images often have words written into them."""
CAPTURED_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture, all of them
    "1.2.840.10008.5.1.4.1.1.6",  # ultrasound
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.77.1.1",  # endoscopy, microscope and photographs, as pictures and as video
    "1.2.840.10008.5.1.4.1.1.77.1.2",
    "1.2.840.10008.5.1.4.1.1.77.1.4",
)
DOCUMENT_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.")
"""Structured reports, key object selections among them, and encapsulated documents: free text."""
STANDARD_STORAGE = "1.2.840.10008.5.1.4."
RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
LABELS = frozenset(("LABEL", "OVERVIEW"))
"""Values of Image Type of a whole slide image that shows the slide's label."""


class Exclusion(StrEnum):
    """Why an instance is not given away without a name."""

    BURNED_IN = "burned-in"
    DOCUMENT = "document"
    UNCLEAR = "unclear"
    """Raw or private data: nobody can say what is in it; or the file cannot be understood."""


def exclusion_of(attributes: JsonAttributes) -> Exclusion | None:
    """Why the instance of this DICOM JSON is left out; None where it need not be."""
    sop_class = _first(attributes, "00080016")
    if sop_class.startswith(DOCUMENT_CLASSES):
        return Exclusion.DOCUMENT
    if not sop_class.startswith(STANDARD_STORAGE) or sop_class == RAW_DATA:
        return Exclusion.UNCLEAR
    if not any(tag in attributes for tag in ("7FE00010", "7FE00008", "7FE00009", "00280010")):
        return None
    told = _first(attributes, "00280301")
    if told == "YES" or LABELS & {str(value).upper() for value in attributes.get("00080008", {}).get("Value", ())}:
        return Exclusion.BURNED_IN
    if told == "NO":
        return None
    is_captured = sop_class in CAPTURED_CLASSES or sop_class.startswith(tuple(f"{one}." for one in CAPTURED_CLASSES))
    is_likely = is_captured or "00080064" in attributes or _first(attributes, "00080060") in OFTEN_BURNED_IN
    return Exclusion.BURNED_IN if is_likely else None


def _first(attributes: JsonAttributes, tag: str) -> str:
    """The first value as text, in capitals; "" where there is none."""
    values = attributes.get(tag, {}).get("Value") or [""]
    return str(values[0]).strip().upper()
