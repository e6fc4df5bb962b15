"""The synthetic head as DICOM: one CT series of Part 10 files (PS3.3 §A.3, CT Image IOD)."""

import io
import uuid
from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from archive.samples.head import FIELD_MM, HIGHEST_MM, LOWEST_MM, noise, paint_head
from archive.samples.painting import Pixels, Slice

_NAMESPACE = uuid.UUID("5e0f0d4e-6e0c-4d0b-9c3a-51a2b7d0c9e4")
_RESCALE_INTERCEPT = -1024
_PADDING_LIMITS_HU = (-1024, 3071)


def _uid(name: str) -> str:
    """A UID below 2.25. (PS3.5 §B.2) that is always the same for the same name."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


PHANTOM_STUDY_UID = _uid("study")
PHANTOM_SERIES_UID = _uid("series")
_FRAME_OF_REFERENCE_UID = _uid("frame of reference")
_IMPLEMENTATION_UID = _uid("implementation")


def head_phantom(slices: int = 60, rows: int = 512) -> Iterator[bytes]:
    """Yield the series' files from the neck upwards, always the same bytes for the same arguments.

    The files of another number of slices or rows have SOP Instance UIDs of their own.
    """
    if slices < 1 or rows < 16:
        raise ValueError("A phantom has at least 1 slice of at least 16 rows.")
    thickness_mm = round((HIGHEST_MM - LOWEST_MM) / slices, 4)
    for index in range(slices):
        canvas = Slice(LOWEST_MM + (index + 0.5) * thickness_mm, rows, FIELD_MM)
        paint_head(canvas)
        yield _part10(canvas, canvas.hu + noise(index, rows), _Place(index, slices, thickness_mm))


class _Place:
    """Where a slice stands in its series."""

    __slots__ = ("index", "slices", "thickness_mm")

    def __init__(self, index: int, slices: int, thickness_mm: float) -> None:
        self.index = index
        self.slices = slices
        self.thickness_mm = thickness_mm


def _part10(canvas: Slice, hu: Pixels, place: _Place) -> bytes:
    dataset = _study_and_series()
    rows = len(hu)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = _uid(f"instance {place.slices} {rows} {place.index}")
    _add_geometry(dataset, canvas, place)
    _add_pixels(dataset, hu)
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = "LIGHTBOX_SAMPLE"
    dataset.file_meta = meta
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _study_and_series() -> Dataset:
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceCreationDate = "20260102"
    dataset.InstanceCreationTime = "101500"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.AccessionNumber = "LB0001"
    dataset.Modality = "CT"
    dataset.Manufacturer = "Lightbox"
    dataset.ManufacturerModelName = "Synthetic phantom"
    dataset.SoftwareVersions = "1"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "CT head (synthetic phantom)"
    dataset.SeriesDescription = "Axial, no contrast"
    dataset.PatientName = "PHANTOM^HEAD"
    dataset.PatientID = "PHANTOM-1"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.BodyPartExamined = "HEAD"
    dataset.KVP = "120"
    dataset.AcquisitionNumber = "1"
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = PHANTOM_STUDY_UID
    dataset.SeriesInstanceUID = PHANTOM_SERIES_UID
    dataset.StudyID = "1"
    dataset.SeriesNumber = "1"
    dataset.FrameOfReferenceUID = _FRAME_OF_REFERENCE_UID
    dataset.PositionReferenceIndicator = ""
    return dataset


def _add_geometry(dataset: Dataset, canvas: Slice, place: _Place) -> None:
    corner_mm = float(canvas.x[0, 0])
    dataset.SliceThickness = f"{place.thickness_mm:.4f}"
    dataset.InstanceNumber = str(place.index + 1)
    dataset.ImagePositionPatient = [f"{corner_mm:.5f}", f"{corner_mm:.5f}", f"{canvas.z_mm:.4f}"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceLocation = f"{canvas.z_mm:.4f}"
    dataset.PixelSpacing = [f"{canvas.pixel_mm:.6f}"] * 2


def _add_pixels(dataset: Dataset, hu: Pixels) -> None:
    stored = np.rint(np.clip(hu, *_PADDING_LIMITS_HU)) - _RESCALE_INTERCEPT
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = ["40", "400"], ["80", "2000"]
    dataset.WindowCenterWidthExplanation = ["BRAIN", "BONE"]
    dataset.RescaleIntercept, dataset.RescaleSlope = str(_RESCALE_INTERCEPT), "1"
    dataset.RescaleType = "HU"
    dataset.PixelData = stored.astype("<u2").tobytes()
