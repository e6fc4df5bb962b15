"""What the index keeps of an instance's attributes apart from the others: which columns, and the text in them."""

from typing import Any

import orjson

from archive.index.folding import fold_name, name_words

MODALITY = "00080060"
JsonAttributes = dict[str, dict[str, Any]]
STUDY_COLUMNS = {
    "StudyDate": "00080020",
    "StudyTime": "00080030",
    "AccessionNumber": "00080050",
    "ReferringPhysicianName": "00080090",
    "PatientName": "00100010",
    "PatientID": "00100020",
    "StudyID": "00200010",
    "StudyDescription": "00081030",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
}
SERIES_COLUMNS = {
    "Modality": MODALITY,
    "SeriesNumber": "00200011",
    "SeriesDescription": "0008103E",
    "BodyPartExamined": "00180015",
    "PerformedProcedureStepStartDate": "00400244",
    "PerformedProcedureStepStartTime": "00400245",
}
INSTANCE_COLUMNS = {
    "InstanceNumber": "00200013",
    "Rows": "00280010",
    "Columns": "00280011",
    "BitsAllocated": "00280100",
    "NumberOfFrames": "00280008",
    "ContentDate": "00080023",
    "ContentTime": "00080033",
    "ImageType": "00080008",
}
FOLDED = ("PatientName", "ReferringPhysicianName")
REPORT_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.")
"""Structured reports (but for key object selection) and encapsulated documents, by the start of their SOP class UID."""
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


def columns_of(attributes: JsonAttributes, columns: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {column: text_of(attributes.get(tag)) for column, tag in columns.items()}
    for column in FOLDED:
        if column in values:
            values[f"{column}_folded"] = fold_name(values[column])
            values[f"{column}_words"] = name_words(values[column])
    values["attributes"] = orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS)
    return values


def is_report(sop_class_uid: str) -> bool:
    """Whether the object is a report to read: a structured report or an encapsulated document."""
    return sop_class_uid.startswith(REPORT_CLASSES) and sop_class_uid != KEY_OBJECT_SELECTION


def text_of(entry: dict[str, Any] | None) -> str:
    """The value of a DICOM JSON attribute as the index keeps it: text, several joined by a backslash."""
    if entry is None:
        return ""
    return "\\".join(_one_text(value) for value in entry.get("Value", ()))


def readable_name(name: str) -> str:
    """A person name (PN) as it is said: given before family, the first group that has one."""
    group = next((group for group in name.split("=") if group.strip("^ ")), "")
    family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
    return " ".join(part.strip() for part in (prefix, given, middle, family, suffix) if part.strip())


def _one_text(value: Any) -> str:
    if isinstance(value, dict):
        groups = [value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return "" if value is None else str(value).replace("\0", "")  # padding; not every database has a text with it
