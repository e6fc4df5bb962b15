"""What the first kilobytes of a DICOM file tell: whose it is, and where it belongs. Pure.

A preview is made of it before anything is sent. What is behind the head is not looked at, so a file that begins well
may still turn out to be damaged.
"""

import zlib
from dataclasses import dataclass

from archive.dicom.charset import character_sets
from archive.dicom.elements import dataset_elements, outermost
from archive.dicom.part10 import FileMeta, Limits, read_file_meta
from archive.errors import RefusedInstanceError
from archive.identifiers import is_uid

HEAD_BYTES = 1 << 20
"""A longer head is not looked at: who does not tell by then is not told apart."""
MAXIMUM_TEXT_LENGTH = 64
_CHARACTER_SET = 0x00080005
_SOP_CLASS, _INSTANCE = 0x00080016, 0x00080018
_STUDY, _SERIES, _LAST = 0x0020000D, 0x0020000E, 0x00200011
_TEXTS = {
    "patient_name": 0x00100010,
    "patient_id": 0x00100020,
    "birth_date": 0x00100030,
    "study_date": 0x00080020,
    "study_description": 0x00081030,
    "modality": 0x00080060,
    "series_number": _LAST,
    "series_description": 0x0008103E,
}
_WANTED = frozenset((_CHARACTER_SET, _SOP_CLASS, _INSTANCE, _STUDY, _SERIES, *_TEXTS.values()))
_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Head:
    """Texts as people read them, each of at most `MAXIMUM_TEXT_LENGTH` characters."""

    study_uid: str
    series_uid: str
    instance_uid: str
    sop_class_uid: str
    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    study_date: str = ""
    study_description: str = ""
    modality: str = ""
    series_number: str = ""
    series_description: str = ""

    @property
    def patient_key(self) -> str:
        """The same for the same name and ID, however they are spelled in case and padding."""
        name = self.patient_name.partition("=")[0].replace("^", " ")
        return f"{' '.join(name.split())}\n{self.patient_id}".casefold()


def read_head(data: bytes) -> Head | None:
    """What the beginning of a file tells; None when it is too short to tell study and series, or is no DICOM."""
    try:
        meta = read_file_meta(data, _LIMITS, allow_missing_preamble=True)
        values = _values(data, meta)
    except (RefusedInstanceError, zlib.error):
        return None
    uids = [values.get(tag, b"").decode("ascii", "replace").strip("\0 ") for tag in (_STUDY, _SERIES)]
    if not all(is_uid(uid) for uid in uids):
        return None
    sets = character_sets(values.get(_CHARACTER_SET, b""))
    texts = {name: _text(sets.decode(values.get(tag, b""))[0]) for name, tag in _TEXTS.items()}
    others = [values.get(tag, b"").decode("ascii", "replace").strip("\0 ")[:64] for tag in (_INSTANCE, _SOP_CLASS)]
    return Head(*uids, *others, **texts)


def _values(data: bytes, meta: FileMeta) -> dict[int, bytes]:
    """Values of the top level, as far as they are whole."""
    if meta.deflated:
        plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[meta.dataset_offset :], HEAD_BYTES)
        data, meta = plain, FileMeta("1.2.840.10008.1.2.1", "", "", 0)
    values: dict[int, bytes] = {}
    elements = dataset_elements(data, meta, _LIMITS)
    try:
        for tag, _, span in outermost(elements.events):
            if tag in _WANTED:
                values.setdefault(tag, bytes(elements.data[span.offset : span.offset + span.length_bytes]))
            if tag >= _LAST:
                break
    except RefusedInstanceError:
        pass  # cut off where the head ends, which is no fault of the file
    return values


def _text(text: str) -> str:
    return "".join(c for c in text.strip("\0 ") if c.isprintable())[:MAXIMUM_TEXT_LENGTH]
