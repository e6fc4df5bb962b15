"""The images that the clients store, find, retrieve and decode: one picture in the usual lossless transfer syntaxes.

The picture is pydicom's MR_small.dcm, so every client must come to the same pixels, whatever the encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

PLAIN = "uncompressed"


@dataclass(frozen=True, slots=True)
class Sample:
    """One stored instance, and the sum of its pixels after decoding."""

    name: str
    study: str
    series: str
    instance: str
    path: Path
    transfer_syntax: str
    pixel_sum: int
    rows: int
    columns: int


def make_samples(folder: Path, patient_id: str) -> list[Sample]:
    """Write the picture in every encoding into `folder`, as one study of one series with fresh UIDs."""
    plain = dcmread(str(get_testdata_file("MR_small.dcm")))
    plain.PatientID, plain.PatientName = patient_id, f"Clients^{patient_id}"
    plain.StudyInstanceUID, plain.SeriesInstanceUID = generate_uid(), generate_uid()
    plain.AccessionNumber = patient_id[:16]
    pixels = plain.pixel_array
    made = []
    for number, (name, encode) in enumerate(_ENCODINGS.items(), start=1):
        dataset = dcmread(str(get_testdata_file("MR_small.dcm")))
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber"):
            setattr(dataset, keyword, getattr(plain, keyword))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber = number
        encode(dataset, pixels)
        path = folder / f"{name}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        uids = (str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID))
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        made.append(Sample(name, *uids, path, syntax, int(pixels.sum()), *pixels.shape))
    return made


def _plain(_dataset: Dataset, _pixels: np.ndarray[Any, Any]) -> None:
    """Leave the pixels as they are."""


def _rle(dataset: Dataset, _pixels: np.ndarray[Any, Any]) -> None:
    dataset.compress(RLELossless, generate_instance_uid=False)


def _jpeg_ls(dataset: Dataset, pixels: np.ndarray[Any, Any]) -> None:
    _encapsulated(dataset, imagecodecs.jpegls_encode(_unsigned(pixels)), JPEGLSLossless)


def _jpeg_lossless(dataset: Dataset, pixels: np.ndarray[Any, Any]) -> None:
    _encapsulated(dataset, imagecodecs.ljpeg_encode(_unsigned(pixels), bitspersample=16), JPEGLossless)


def _jpeg_2000(dataset: Dataset, pixels: np.ndarray[Any, Any]) -> None:
    stream = imagecodecs.jpeg2k_encode(_unsigned(pixels), level=0, reversible=True, codecformat="j2k")
    _encapsulated(dataset, stream, JPEG2000Lossless)


def _htj2k(dataset: Dataset, pixels: np.ndarray[Any, Any]) -> None:
    _encapsulated(dataset, imagecodecs.htj2k_encode(_unsigned(pixels), reversible=True), HTJ2KLossless)


def _unsigned(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same values, none of which is negative, without a sign: what the codecs take as it is."""
    return np.ascontiguousarray(pixels.astype(np.uint16))


def _encapsulated(dataset: Dataset, stream: bytes | bytearray, transfer_syntax: str) -> None:
    dataset.PixelData = encapsulate([bytes(stream)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.PixelRepresentation = 0
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"):
        if keyword in dataset:
            dataset[keyword].VR = "US"
    dataset.file_meta.TransferSyntaxUID = transfer_syntax


_ENCODINGS = {
    PLAIN: _plain,
    "rle": _rle,
    "jpeg-ls": _jpeg_ls,
    "jpeg-lossless": _jpeg_lossless,
    "jpeg-2000": _jpeg_2000,
    "htj2k": _htj2k,
}
