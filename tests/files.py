"""Real and made DICOM files for tests."""

import secrets
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from servers import SHARED_DATA

PREAMBLE_BYTES = 128


def part10(**values: object) -> bytes:
    """A small CT instance as a Part 10 file; keywords set or override attributes, also by invalid values."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doe^Jane", "P1", "CT"
    dataset.Rows = dataset.Columns = 2
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = b"\1\2\3\4"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    buffer = BytesIO()
    buffer.write(b"\0" * PREAMBLE_BYTES + b"DICM")
    dcmwrite(buffer, dataset, enforce_file_format=False)
    return buffer.getvalue()


def real_files() -> Iterator[Path]:
    """pydicom's own test files, and those of ../shared/data where it is there: whatever has DICM at byte 128."""
    paths = [Path(str(path)) for path in get_testdata_files()]
    if SHARED_DATA.is_dir():
        paths += sorted(SHARED_DATA.rglob("*"))
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                if file.read(PREAMBLE_BYTES + 4)[PREAMBLE_BYTES:] == b"DICM":
                    yield path


def related(parts: list[bytes], media_type: str = "application/dicom") -> tuple[bytes, str]:
    """A multipart/related body and its Content-Type."""
    boundary = secrets.token_hex(12)
    head = f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="{media_type}"; boundary={boundary}'


def parts_of_related(body: bytes, content_type: str) -> list[bytes]:
    """Contents of the parts of a multipart/related answer."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]
    return [part.partition(b"\r\n\r\n")[2] for part in parts]
