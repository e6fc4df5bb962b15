"""Builders of datasets that say how they are to be drawn, and what a picture of them should be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset

from archive.dicom.extract import parse_instance
from archive.identifiers import Digest
from wado.pixels.drawing_attributes import PresentationReader
from wado.pixels.parameters import RenderParameters
from wado.pixels.render import CodedPicture, draw
from wado.pixels.source import FrameReader, FrameSource
from wado.pixels.syntaxes import (
    EXPLICIT_LE,
)

PLAIN = RenderParameters()
Stored = Callable[..., FrameSource]
RAMP: NDArray[Any] = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Writes an instance with these samples and attributes, and gives its source as the archive knows it."""
    made = 0

    def store(samples: NDArray[Any], bits_stored: int = 12, **attributes: Any) -> FrameSource:
        nonlocal made
        made += 1
        dataset = image_dataset(samples, bits_stored)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        path = tmp_path / f"image{made}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return source_of(path, f"{made:064x}")

    return store


def image_dataset(samples: NDArray[Any], bits_stored: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT_LE
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    colour = samples.ndim == 3 and samples.shape[-1] == 3
    dataset.Rows, dataset.Columns = samples.shape[-3:-1] if colour else samples.shape[-2:]
    if samples.ndim > 2 + colour:
        dataset.NumberOfFrames = samples.shape[0]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = samples.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
    dataset.PixelRepresentation = int(samples.dtype.kind == "i")
    dataset.PixelData = samples.tobytes()
    return dataset


def source_of(path: Path, digest: str = "0" * 64) -> FrameSource:
    parsed = parse_instance(path.read_bytes())
    assert parsed.pixels is not None
    return FrameSource(path, Digest(digest), parsed.pixels, parsed.frames, parsed.transfer_syntax_uid)


def coded(source: FrameSource, frame_index: int = 0) -> CodedPicture:
    location = source.frame(frame_index)
    presentation = PresentationReader().read(str(source.path), frame_index)
    frame = FrameReader().read(location)
    return CodedPicture(frame, source.facts, source.transfer_syntax_uid, location.bit_offset, presentation)


def drawn(source: FrameSource, parameters: RenderParameters = PLAIN, frame_index: int = 0) -> NDArray[Any]:
    return draw(coded(source, frame_index), parameters)


def near(picture: NDArray[Any], expected: NDArray[Any]) -> None:
    """Equal but for rounding."""
    np.testing.assert_allclose(picture.astype(float), expected, atol=0.51)


def linear(values: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """PS3.3 C.11.2.1.2.1, in its own words."""
    values = values.astype(float)
    scaled = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    scaled[values <= center - 0.5 - (width - 1) / 2] = 0
    scaled[values > center - 0.5 + (width - 1) / 2] = 255
    return scaled


def lut_item(first: int, entries: list[int], bits: int, first_is_signed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "SS" if first_is_signed else "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return item
