"""A whole slide image made here: two levels of JPEG tiles (TILED_FULL), smooth colours, no specimen of anyone.

PS3.3 §A.32.8 (VL Whole Slide Microscopy Image IOD) with what readers of slides ask for.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate_extended
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage, generate_uid

TILE_PIXELS = 128
BASE_PIXELS = (512, 384)  # columns, rows
BASE_SPACING_MM = 0.0005
_ONE_LEVEL_DOWN = 2


@dataclass(frozen=True, slots=True)
class Slide:
    """The stored slide; `picture` holds the base level's decoded samples, rows x columns x 3 bytes."""

    name: str
    study: str
    series: str
    instance: str
    path: Path
    paths: list[Path]
    picture: Path
    columns: int
    rows: int


def make_slide(folder: Path, patient_id: str) -> Slide:
    """Write the slide's levels into `folder`, under fresh UIDs."""
    common = _common(patient_id)
    levels = []
    for level in range(2):
        columns, rows = (side // _ONE_LEVEL_DOWN**level for side in BASE_PIXELS)
        dataset, decoded = _level(common, columns, rows)
        dataset.InstanceNumber = level + 1
        path = folder / f"slide-{level}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        levels.append((dataset, decoded, path))
    base, decoded, path = levels[0]
    picture = folder / "slide.rgb"
    picture.write_bytes(decoded.tobytes())
    uids = (str(base.StudyInstanceUID), str(base.SeriesInstanceUID), str(base.SOPInstanceUID))
    return Slide("slide", *uids, path, [each[2] for each in levels], picture, *BASE_PIXELS)


def _level(common: Dataset, columns: int, rows: int) -> tuple[Dataset, np.ndarray[Any, Any]]:
    """One level as a dataset, and its samples as decoders give them back."""
    dataset = Dataset()
    dataset.update(common)
    tiles, decoded = _tiles(_painting(columns, rows))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.SOPInstanceUID = generate_uid()
    is_base = (columns, rows) == BASE_PIXELS
    dataset.ImageType = ["ORIGINAL" if is_base else "DERIVED", "PRIMARY", "VOLUME", "NONE" if is_base else "RESAMPLED"]
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = columns, rows
    dataset.NumberOfFrames = len(tiles)
    spacing_mm = BASE_SPACING_MM * BASE_PIXELS[0] / columns
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing_mm, spacing_mm], 0.001
    kind = Dataset()
    kind.FrameType = list(dataset.ImageType)
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.WholeSlideMicroscopyImageFrameTypeSequence = Sequence([kind])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    data, offsets, lengths = encapsulate_extended(tiles)
    dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = data, offsets, lengths
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset, decoded


def _painting(columns: int, rows: int) -> np.ndarray[Any, Any]:
    """A smooth picture that differs everywhere, the same at each level."""
    across = np.linspace(0, 1, columns)[np.newaxis, :]
    down = np.linspace(0, 1, rows)[:, np.newaxis]
    red = 255 * across * np.ones_like(down)
    green = 255 * down * np.ones_like(across)
    blue = 127 + 100 * np.sin(6 * across) * np.cos(5 * down)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def _tiles(painting: np.ndarray[Any, Any]) -> tuple[list[bytes], np.ndarray[Any, Any]]:
    """The JPEG tiles, by rows from the top left, and the picture they decode to; tiles at the rim are filled up."""
    rows, columns = painting.shape[:2]
    padding = [(0, -rows % TILE_PIXELS), (0, -columns % TILE_PIXELS), (0, 0)]
    padded = np.pad(painting, padding, mode="edge")
    decoded = np.empty_like(padded)
    tiles = []
    for top in range(0, rows, TILE_PIXELS):
        for left in range(0, columns, TILE_PIXELS):
            place = np.s_[top : top + TILE_PIXELS, left : left + TILE_PIXELS]
            buffer = io.BytesIO()
            Image.fromarray(padded[place]).save(buffer, "JPEG", quality=95, subsampling="4:2:2")
            tiles.append(buffer.getvalue())
            decoded[place] = np.asarray(Image.open(buffer))
    return tiles, np.ascontiguousarray(decoded[:rows, :columns])


def _common(patient_id: str) -> Dataset:
    """What all levels share."""
    dataset = Dataset()
    dataset.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.FrameOfReferenceUID, dataset.DimensionOrganizationType = generate_uid(), "TILED_FULL"
    dataset.PositionReferenceIndicator = "SLIDE_CORNER"
    dataset.PatientID, dataset.PatientName = patient_id, f"Slide^{patient_id}"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.ReferringPhysicianName = dataset.StudyID = ""
    dataset.StudyDate = dataset.ContentDate = "20240102"
    dataset.StudyTime = dataset.ContentTime = "030405"
    dataset.AcquisitionDateTime, dataset.AccessionNumber = "20240102030405", patient_id[:16]
    dataset.Modality, dataset.SeriesNumber = "SM", 1
    dataset.Manufacturer, dataset.ManufacturerModelName = "None", "Painting"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1"
    dataset.ContainerIdentifier = f"C{patient_id}"
    dataset.IssuerOfTheContainerIdentifierSequence = Sequence()
    dataset.ContainerTypeCodeSequence = Sequence([_code("433466003", "SCT", "Microscope slide")])
    dataset.AcquisitionContextSequence = Sequence()
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "S1", generate_uid()
    specimen.IssuerOfTheSpecimenIdentifierSequence = specimen.SpecimenPreparationSequence = Sequence()
    dataset.SpecimenDescriptionSequence = Sequence([specimen])
    _describe_pixels(dataset)
    _describe_optics(dataset)
    return dataset


def _describe_pixels(dataset: Dataset) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "YBR_FULL_422", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.Rows = dataset.Columns = TILE_PIXELS
    dataset.BurnedInAnnotation, dataset.SpecimenLabelInImage = "NO", "NO"
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", 10
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.VolumetricProperties, dataset.FocusMethod, dataset.ExtendedDepthOfField = "VOLUME", "AUTO", "NO"


def _describe_optics(dataset: Dataset) -> None:
    dataset.ImagedVolumeWidth, dataset.ImagedVolumeHeight = (side * BASE_SPACING_MM for side in BASE_PIXELS)
    dataset.ImagedVolumeDepth = 1.0
    dataset.TotalPixelMatrixFocalPlanes, dataset.NumberOfOpticalPaths = 1, 1
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 20.0, 40.0
    dataset.TotalPixelMatrixOriginSequence = Sequence([origin])
    path = Dataset()
    path.OpticalPathIdentifier, path.OpticalPathDescription = "1", "Brightfield"
    path.IlluminationTypeCodeSequence = Sequence([_code("111744", "DCM", "Brightfield illumination")])
    path.IlluminationColorCodeSequence = Sequence([_code("414298005", "SCT", "Full Spectrum")])
    path.ICCProfile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path.ColorSpace = "SRGB"
    path.ObjectiveLensPower = 20.0
    dataset.OpticalPathSequence = Sequence([path])


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
