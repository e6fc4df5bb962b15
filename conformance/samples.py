"""One instance of the corpus: its Part 10 bytes and what is known of its frames; helpers that make them."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

IMPLEMENTATION_UID = "2.25.302584177311764263929873158270190142713"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True, slots=True)
class Study:
    """What the instances of one study share; fresh UIDs on every run."""

    patient_id: str
    patient_name: str
    uid: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """`frames` are the native frames in little endian order, `stored_frames` the code streams as stored."""

    name: str
    data: bytes
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    syntax: str
    frames: tuple[bytes, ...] = ()
    stored_frames: tuple[bytes, ...] = ()
    is_lossy: bool = False
    bytes_per_sample: int = 1

    @property
    def study_path(self) -> str:
        return f"/studies/{self.study_uid}"

    @property
    def series_path(self) -> str:
        return f"{self.study_path}/series/{self.series_uid}"

    @property
    def path(self) -> str:
        return f"{self.series_path}/instances/{self.sop_uid}"


def new_uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def instance_of(study: Study, sop_class: str = SECONDARY_CAPTURE, **attributes: Any) -> Dataset:
    """Make a dataset with the study's attributes, a fresh SOP Instance UID and the given attributes."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = new_uid()
    dataset.StudyInstanceUID = study.uid
    dataset.SeriesInstanceUID = attributes.pop("SeriesInstanceUID", None) or new_uid()
    dataset.PatientID = study.patient_id
    dataset.PatientName = study.patient_name
    values = {
        "PatientBirthDate": "19700131", "PatientSex": "O", "StudyDate": "20200115", "StudyTime": "101530",
        "AccessionNumber": "", "ReferringPhysicianName": "", "StudyID": "1", "Modality": "OT",
        "SeriesNumber": "1", "InstanceNumber": "1", "ConversionType": "SYN",
    }  # fmt: skip
    values.update(study.attributes)
    values.update(attributes)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def set_pixels(dataset: Dataset, array: np.ndarray, *, photometric: str = "MONOCHROME2", frames: int = 0) -> None:
    """Set native pixel data and the Image Pixel module from an array (frames, rows, columns[, samples])."""
    samples = 3 if photometric in ("RGB", "YBR_FULL") else 1
    shape = array.shape[1:] if frames else array.shape
    dataset.Rows, dataset.Columns = shape[0], shape[1]
    dataset.SamplesPerPixel = samples
    if samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    bits = array.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    if frames:
        dataset.NumberOfFrames = frames
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def set_raw(dataset: Dataset, tag: int, vr: str, value: bytes) -> None:
    """Set the bytes of a value as they shall stand in the file, legal or not."""
    padded = value + b"\0" * (len(value) % 2)
    dataset[Tag(tag)] = RawDataElement(Tag(tag), vr, len(padded), padded, 0, False, True)


def part10(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Write a Part 10 file; the dataset is encoded as the syntax says."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    plain = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    plain.update(dataset)
    buffer = io.BytesIO()
    is_little = syntax != "1.2.840.10008.1.2.2"
    dcmwrite(buffer, plain, enforce_file_format=True, little_endian=None if is_little else False)
    return buffer.getvalue()


def sample_of(
    name: str, dataset: Dataset, syntax: str = ExplicitVRLittleEndian, *, data: bytes | None = None, **known: Any
) -> Sample:
    return Sample(
        name=name, data=part10(dataset, syntax) if data is None else data,
        study_uid=str(dataset.StudyInstanceUID), series_uid=str(dataset.SeriesInstanceUID),
        sop_uid=str(dataset.SOPInstanceUID), sop_class=str(dataset.SOPClassUID), syntax=str(syntax), **known,
    )  # fmt: skip


def split_frames(array: np.ndarray, frames: int = 1) -> tuple[bytes, ...]:
    """Give each frame's bytes in little endian order, without padding."""
    little = array.astype(array.dtype.newbyteorder("<"))
    if frames == 1 and (array.ndim < 3 or array.shape[0] != 1):
        return (little.tobytes(),)
    return tuple(frame.tobytes() for frame in little)


def ramp(rows: int, columns: int, dtype: str = "<u2", step: int = 1, start: int = 0) -> np.ndarray:
    """Make an image whose samples count upwards: every sample's place can be told from its value."""
    count = rows * columns
    return (start + step * np.arange(count, dtype=np.int64)).astype(dtype).reshape(rows, columns)


SampleMaker = Callable[[str], list[Sample]]
