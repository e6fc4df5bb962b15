"""Discs as they come to a desk, made of small instances."""

from pathlib import Path

from files import part10
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid


def record(kind: str, **values: object) -> Dataset:
    one = Dataset()
    one.OffsetOfTheNextDirectoryRecord, one.RecordInUseFlag = 0, 0xFFFF
    one.OffsetOfReferencedLowerLevelDirectoryEntity, one.DirectoryRecordType = 0, kind
    for keyword, value in values.items():
        setattr(one, keyword, value)
    return one


def write_dicomdir(path: Path, *file_ids: list[str]) -> None:
    """A DICOMDIR of one series that lists these files."""
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    directory.FileSetID = "DISC"
    directory.DirectoryRecordSequence = [
        record("PATIENT", PatientName="Doe^Jane", PatientID="P1"),
        record("STUDY", StudyInstanceUID="1.2.3"),
        record("SERIES", SeriesInstanceUID="1.2.3.4", Modality="CT"),
        *(record("IMAGE", ReferencedFileID=parts, ReferencedSOPInstanceUIDInFile=generate_uid()) for parts in file_ids),
    ]
    directory.save_as(path, enforce_file_format=True)


def ihe_pdi(root: Path, *, lower: bool = False) -> Path:
    """IHE PDI: DICOMDIR, files with eight-character names, web pages and README beside them."""
    images = root / ("dicom" if lower else "DICOM")
    images.mkdir(parents=True)
    for name in ("IM00001", "IM00002"):
        (images / (name.lower() if lower else name)).write_bytes(part10())
    write_dicomdir(root / ("dicomdir" if lower else "DICOMDIR"), ["DICOM", "IM00001"], ["DICOM", "IM00002"])
    (root / "INDEX.HTM").write_text("<html></html>")
    (root / "IHE_PDI").mkdir()
    (root / "IHE_PDI" / "P1.JPG").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    (root / "README.TXT").write_text("Made by a hospital")
    return root


def browser_files(folder: Path) -> dict[str, bytes]:
    """A folder as a browser gives it: paths that begin with the folder's name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{folder.name}/{path.relative_to(folder)}": path.read_bytes() for path in paths}
