"""What is stored before anything is measured: CT-like series, a multi-frame object, compressed images, small studies.

Each object is a template whose UIDs and names are exchanged in its bytes, so that thousands cost little.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SIDE = 512
SERIES_INSTANCES = 500
FRAMES = 200
COLD_INSTANCES = 120
SMALL_STUDIES = 1_000
"""For searches, unless told otherwise: as many as every server that is compared takes in within a minute."""
MOST_SMALL_STUDIES = 100_000
J2K, JPEG_LS, RLE, HTJ2K = (
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.201",
)
SYNTAXES = {"J2K": J2K, "JPEG-LS": JPEG_LS, "RLE": RLE, "HTJ2K": HTJ2K}
_STUDY, _SERIES, _INSTANCE = (f"2.25.{digit * 30}" for digit in "345")
_PATIENT, _NUMBER, _ACCESSION = "BENCHNAME0000", "BENCHID000000", "BENCHACC00000"
_DAY = "20260102"


@dataclass(frozen=True, slots=True)
class Named:
    """The UIDs of one object; its path below a DICOMweb root."""

    study: str
    series: str
    instance: str

    @property
    def path(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"


def new_uid() -> str:
    """A UID as long as those of the templates."""
    return f"2.25.{random.randint(10**29, 10**30 - 1)}"  # noqa: S311 - a name, not a secret


def day_of(number: int) -> str:
    """The day of a study, as they are spread over twenty-one years."""
    return f"{2005 + number % 21}{1 + number // 21 % 12:02d}{1 + number // 252 % 28:02d}"


@dataclass(frozen=True, slots=True)
class Template:
    """A Part 10 file whose names can be exchanged."""

    content: bytes

    def make(self, named: Named, number: int = 0) -> bytes:
        """The file of another object; `number` tells patients apart, ten of whom may have one name, and days."""
        head_end = self.content.find(_NUMBER.encode(), 0) + 4096
        head, rest = self.content[:head_end], self.content[head_end:]
        exchanges = (
            (_STUDY, named.study),
            (_SERIES, named.series),
            (_INSTANCE, named.instance),
            (_PATIENT, f"{_PATIENT[:-4]}{number % 10_000:04d}"),
            (_NUMBER, f"{_NUMBER[:-6]}{number:06d}"),
            (_ACCESSION, f"{_ACCESSION[:-5]}{number:05d}"),
            (_DAY, day_of(number)),
        )
        for old, new in exchanges:
            head = head.replace(old.encode(), new.encode())
        return head + rest


@dataclass(slots=True)
class Corpus:
    """What was made, by what it is for."""

    series: list[Named] = field(default_factory=list)
    multi_frame: Named | None = None
    compressed: dict[str, list[Named]] = field(default_factory=dict)
    small: list[Named] = field(default_factory=list)


def picture(seed: int = 1) -> np.ndarray[Any, Any]:
    """A disc with soft shading and noise, 12 bits in 16: compresses as a CT does, to about 2.5:1."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    shade = np.where(x * x + y * y < 0.8, 1000 + 400 * np.cos(3 * x) * np.sin(5 * y), 30)
    noise = generator.normal(0, 12, shade.shape) * (x * x + y * y < 0.9)
    return np.asarray(np.clip(shade + noise, 0, 4095), "<u2")


def template(pixels: np.ndarray[Any, Any], syntax: str = ExplicitVRLittleEndian, frames: int = 1) -> Template:
    """A CT of about a hundred elements."""
    dataset = _dataset(frames > 1)
    dataset.Rows, dataset.Columns = pixels.shape
    content = pixels.tobytes() * frames
    if syntax != ExplicitVRLittleEndian:
        content = encapsulate([_encode(pixels, syntax, dataset)] * frames)
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = content
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    file = FileDataset("", dataset, file_meta=meta, preamble=bytes(128))
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return Template(out.getvalue())


def _encode(pixels: np.ndarray[Any, Any], syntax: str, dataset: Dataset) -> bytes:
    if syntax == J2K:
        return bytes(imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="j2k"))
    if syntax == JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(pixels))
    if syntax == HTJ2K:
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    encoded: bytes = RLELosslessEncoder.encode(
        pixels.tobytes(),
        rows=SIDE,
        columns=SIDE,
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=dataset.BitsStored,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        number_of_frames=1,
    )
    return encoded


def _dataset(multi_frame: bool) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = ENHANCED_CT if multi_frame else CT, _INSTANCE
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _STUDY, _SERIES
    dataset.StudyDate, dataset.StudyTime, dataset.Modality = _DAY, "101112", "CT"
    dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = f"{_PATIENT}^Ada", _NUMBER, _ACCESSION
    dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyID = "19700101", "O", "1"
    dataset.StudyDescription, dataset.SeriesDescription = "CT thorax", "axial 1 mm"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-170, -170, 12.5], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness, dataset.KVP = [0.66, 0.66], 1.0, 120
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
    dataset.WindowCenter, dataset.WindowWidth = [40, -500], [400, 1500]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    block = dataset.private_block(0x0029, "BENCH PRIVATE", create=True)
    for element in range(70):
        block.add_new(element, "LO", f"A value of the device, number {element}")
    dataset.add_new(0x7FE00010, "OW", b"")
    return dataset


def build(corpus: Corpus, small_studies: int = SMALL_STUDIES) -> Iterator[bytes]:
    """Every file of the corpus, in the order in which it is stored; `corpus` is filled beside it."""
    study, series = new_uid(), new_uid()
    slice_template = template(picture())
    for _ in range(SERIES_INSTANCES):
        corpus.series.append(Named(study, series, new_uid()))
        yield slice_template.make(corpus.series[-1])
    corpus.multi_frame = Named(new_uid(), new_uid(), new_uid())
    yield template(picture(), frames=FRAMES).make(corpus.multi_frame)
    for name, syntax in SYNTAXES.items():
        compressed, study, series = template(picture(), syntax), new_uid(), new_uid()
        corpus.compressed[name] = []
        for _ in range(COLD_INSTANCES):
            corpus.compressed[name].append(Named(study, series, new_uid()))
            yield compressed.make(corpus.compressed[name][-1])
    small = template(picture()[::16, ::16].copy())
    for number in range(small_studies):
        corpus.small.append(Named(new_uid(), new_uid(), new_uid()))
        yield small.make(corpus.small[-1], number)


def fresh(template_of: Template, count: int) -> list[bytes]:
    """Files of one new series, for a store."""
    study, series = new_uid(), new_uid()
    return [template_of.make(Named(study, series, new_uid())) for _ in range(count)]
