"""The DICOMDIR (PS3.10 §8) as a hint: what the disc says is on it, held against what is."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from archive.identifiers import is_uid
from archive.media.files import neutral_name

MAXIMUM_BYTES = 64 << 20
MAXIMUM_RECORDS = 200_000


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A file that the DICOMDIR names. A UID is "" where the DICOMDIR does not tell it."""

    name: str
    study_uid: str
    series_uid: str
    instance_uid: str


def read_directory(data: bytes) -> list[DirectoryEntry] | None:
    """The entries of a DICOMDIR, of at most `MAXIMUM_BYTES`; None when it cannot be read."""
    try:
        records = dcmread(BytesIO(data)).get("DirectoryRecordSequence") or []
        return _entries(list(records[:MAXIMUM_RECORDS]))
    except (InvalidDicomError, ValueError, TypeError, AttributeError, KeyError, EOFError, RecursionError, OSError):
        return None  # whatever a library says of a broken hint: the files themselves are what counts


def _entries(records: list[Dataset]) -> list[DirectoryEntry]:
    """Records stand in the order of the tree in practice, whatever their offsets say."""
    entries: list[DirectoryEntry] = []
    study_uid = series_uid = ""
    for record in records:
        kind = str(record.get("DirectoryRecordType", ""))
        if kind == "PATIENT":
            study_uid = series_uid = ""
        elif kind == "STUDY":
            study_uid, series_uid = _uid(record, "StudyInstanceUID"), ""
        elif kind == "SERIES":
            series_uid = _uid(record, "SeriesInstanceUID")
        components = record.get("ReferencedFileID")
        if not components:
            continue
        parts = [components] if isinstance(components, str) else [str(part) for part in components]
        name = neutral_name("/".join(parts))
        entries.append(DirectoryEntry(name, study_uid, series_uid, _uid(record, "ReferencedSOPInstanceUIDInFile")))
    return entries


def _uid(record: Dataset, keyword: str) -> str:
    text = str(record.get(keyword, ""))
    return text if is_uid(text) else ""


def missing_entries(
    directory_name: str, entries: Iterable[DirectoryEntry], names: Iterable[str]
) -> list[DirectoryEntry]:
    """The entries of the DICOMDIR called `directory_name` that none of the files is. Case and `.` do not count."""
    folder = PurePosixPath(directory_name).parent
    present = {_folded(name) for name in names}
    return [entry for entry in entries if _folded(str(folder / entry.name)) not in present]


def unlisted_names(directory_name: str, entries: Iterable[DirectoryEntry], names: Iterable[str]) -> list[str]:
    """The files that the DICOMDIR does not name."""
    folder = PurePosixPath(directory_name).parent
    listed = {_folded(str(folder / entry.name)) for entry in entries}
    return [name for name in names if _folded(name) not in listed]


def _folded(name: str) -> str:
    return name.partition(";")[0].rstrip(".").casefold()
