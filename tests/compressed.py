"""One slice in every compressed transfer syntax that OHIF decodes, each as a series of one study."""

import io
from collections.abc import Callable
from copy import deepcopy

import imagecodecs
import numpy as np
import pydicom
from chromium import windowed
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

STUDY_UID = "2.25.7100"
WINDOW = (40.0, 80.0)
Pixels = np.ndarray


def rle(pixels: Pixels, source: pydicom.Dataset) -> bytes:
    copy = deepcopy(source)
    copy.compress(RLELossless, generate_instance_uid=False)
    return next(generate_frames(copy.PixelData, number_of_frames=1))


ENCODERS: dict[str, Callable[[Pixels, pydicom.Dataset], bytes]] = {
    RLELossless: rle,
    "1.2.840.10008.1.2.4.70": lambda pixels, _: imagecodecs.ljpeg_encode(pixels, bitspersample=12),
    "1.2.840.10008.1.2.4.80": lambda pixels, _: imagecodecs.jpegls_encode(pixels),
    "1.2.840.10008.1.2.4.90": lambda pixels, _: imagecodecs.jpeg2k_encode(
        pixels, level=0, reversible=True, codecformat="j2k", bitspersample=12
    ),
    "1.2.840.10008.1.2.4.201": lambda pixels, _: imagecodecs.htj2k_encode(pixels),
    "1.2.840.10008.1.2.4.50": lambda pixels, _: imagecodecs.jpeg8_encode(grey(pixels), level=95),
}


def grey(pixels: Pixels) -> Pixels:
    return windowed(pixels - 1024.0, *WINDOW).astype(np.uint8)


def compressed_study(part10: bytes) -> list[bytes]:
    """The slice as it is and in each compressed transfer syntax; series are numbered in that order."""
    source = pydicom.dcmread(io.BytesIO(part10))
    pixels = source.pixel_array
    files = []
    for number, syntax in enumerate([ExplicitVRLittleEndian, *ENCODERS], start=1):
        dataset = deepcopy(source)
        dataset.StudyInstanceUID = STUDY_UID
        dataset.SeriesInstanceUID, dataset.SeriesNumber = f"{STUDY_UID}.{number}", str(number)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{STUDY_UID}.{number}.1"
        dataset.SeriesDescription = pydicom.uid.UID(syntax).name[:60]
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax in ENCODERS:
            dataset.PixelData = encapsulate([ENCODERS[syntax](pixels, source)])
            dataset["PixelData"].is_undefined_length = True
        if syntax == "1.2.840.10008.1.2.4.50":
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
            dataset.RescaleIntercept, dataset.WindowCenter, dataset.WindowWidth = "0", "128", "256"
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def report_study(part10: bytes, study_uid: str, pdf: bytes) -> bytes:
    """An encapsulated PDF of the same patient, as a study of its own."""
    dataset = pydicom.dcmread(io.BytesIO(part10))
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"):
        delattr(dataset, keyword)
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study_uid}.1.1"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.EncapsulatedPDFStorage
    dataset.Modality, dataset.SeriesDescription, dataset.StudyDescription = "DOC", "Report", "Report"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + b"\n" * (len(pdf) % 2)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
