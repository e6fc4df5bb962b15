"""A DICOMDIR (PS3.3 Annex F, PS3.10 §8.6), made from what is known of the files, without reading them.

pydicom's FileSet makes one by copying every file into a folder of its own; a bundle is streamed and has no folder.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeAlias

from pydicom.charset import default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from archive.media.directory_keys import INVENTED, KEYWORDS, RECORD_KEYS, record_type_of

Json: TypeAlias = Mapping[str, Any]
UTF_8 = "ISO_IR 192"
IN_USE = 0xFFFF
TAGS = frozenset(f"{tag_for_keyword(keyword):08X}" for keyword in KEYWORDS)
"""Tags, as in DICOM JSON, of the attributes that a directory is made from."""
NEXT_AT, LOWER_AT = 8 + 8, 8 + 12 + 10 + 8
"""Where an item holds its two offsets: (0004,1400) and (0004,1420) are its first and third elements."""


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file of the medium: the components of its name, and its DICOM JSON (`TAGS` of it are enough)."""

    file_id: tuple[str, ...]
    attributes: Json
    transfer_syntax_uid: str


@dataclass(slots=True)
class _Record:
    item: bytearray
    lower: list["_Record"] = field(default_factory=list)
    offset: int = 0


def directory_attributes(document: Json) -> dict[str, Any]:
    """What the directory needs of an instance's DICOM JSON: small, whatever the instance holds."""
    return {tag: element for tag, element in document.items() if tag in TAGS and "BulkDataURI" not in element}


def dicomdir(files: Iterable[MediaFile], file_set_id: str = "LIGHTBOX") -> bytes:
    """The DICOMDIR of the files: patients, their studies, their series, their instances, in the order given."""
    roots = _tree(files)
    records = list(_depth_first(roots))
    start = len(_head(file_set_id, 0, 0, sum(len(record.item) for record in records)))
    for record in records:
        record.offset = start
        start += len(record.item)
    _link(roots)
    length = sum(len(record.item) for record in records)
    first, last = (roots[0].offset, roots[-1].offset) if roots else (0, 0)
    return _head(file_set_id, first, last, length) + b"".join(bytes(record.item) for record in records)


def _tree(files: Iterable[MediaFile]) -> list[_Record]:
    roots: list[_Record] = []
    known: dict[tuple[str, ...], _Record] = {}
    for file in files:
        source = _readable(file.attributes)
        place: tuple[str, ...] = ()
        siblings = roots
        for kind, key in (("PATIENT", "PatientID"), ("STUDY", "StudyInstanceUID"), ("SERIES", "SeriesInstanceUID")):
            place = (*place, str(source.get(key, "")))
            if place not in known:
                known[place] = _record(kind, source, len(siblings) + 1)
                siblings.append(known[place])
            siblings = known[place].lower
        siblings.append(_record(record_type_of(str(source.get("SOPClassUID", ""))), source, len(siblings) + 1, file))
    return roots


def _readable(attributes: Json) -> Dataset:
    """The attributes as a dataset; a value that its VR does not allow is as good as none."""
    source = Dataset()
    for tag, element in attributes.items():
        try:
            source.update(Dataset.from_json({tag: element}))
        except (ValueError, TypeError, ArithmeticError):
            continue
    return source


def _record(kind: str, source: Dataset, number: int, file: MediaFile | None = None) -> _Record:
    record = Dataset()
    record.OffsetOfTheNextDirectoryRecord = 0
    record.RecordInUseFlag = IN_USE
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = kind
    record.SpecificCharacterSet = UTF_8
    if file is not None:
        record.ReferencedFileID = list(file.file_id)
        record.ReferencedSOPClassUIDInFile = source.get("SOPClassUID")
        record.ReferencedSOPInstanceUIDInFile = source.get("SOPInstanceUID")
        record.ReferencedTransferSyntaxUIDInFile = file.transfer_syntax_uid
    keys = RECORD_KEYS[kind]
    for keyword in (*keys.required, *keys.optional):
        element = source[keyword] if keyword in source else None  # noqa: SIM401 - get() gives the value
        if element is not None and not element.is_empty:
            record[keyword] = element
        elif keyword in keys.required:
            setattr(record, keyword, _invented(keyword, number))
        elif kind in ("PATIENT", "STUDY") or element is not None:
            setattr(record, keyword, None)
    return _Record(_item(record))


def _invented(keyword: str, number: int) -> object:
    if keyword == "ConceptNameCodeSequence":
        title = Dataset()
        title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "121181", "DCM", "DICOM Object Catalog"
        return [title]
    return INVENTED.get(keyword, number)


def _item(record: Dataset) -> bytearray:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, record, default_encoding)
    content = buffer.getvalue()
    return bytearray(struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content)


def _depth_first(records: Iterable[_Record]) -> Iterator[_Record]:
    for record in records:
        yield record
        yield from _depth_first(record.lower)


def _link(siblings: list[_Record]) -> None:
    for record, following in zip(siblings, [*siblings[1:], None], strict=False):
        struct.pack_into("<I", record.item, NEXT_AT, following.offset if following is not None else 0)
        struct.pack_into("<I", record.item, LOWER_AT, record.lower[0].offset if record.lower else 0)
        _link(record.lower)


def _head(file_set_id: str, first: int, last: int, length_bytes: int) -> bytes:
    """Everything before the first record's item."""
    directory = Dataset()
    directory.FileSetID = file_set_id
    directory.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first
    directory.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = last
    directory.FileSetConsistencyFlag = 0
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = _INSTANCE_UID
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.preamble = b"\0" * 128
    buffer = BytesIO()
    dcmwrite(buffer, directory, enforce_file_format=True)
    return buffer.getvalue() + struct.pack("<HH2sHI", 0x0004, 0x1220, b"SQ", 0, length_bytes)


_INSTANCE_UID = "2.25.302170906427317171131312512310823640353"
"""Of the directory itself. Nothing refers to it, and a bundle made twice is the same twice."""
