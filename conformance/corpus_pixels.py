"""Pixel data in every form that numpy and pydicom's installed files give, with the frames known beforehand.

Lossless compressed samples are expected to equal an uncompressed twin, so no decoder is needed to judge them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels.encoders import RLELosslessEncoder

from conformance.samples import (
    Sample,
    Study,
    instance_of,
    new_uid,
    part10,
    ramp,
    sample_of,
    set_pixels,
    set_raw,
    split_frames,
)

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG_50, JPEG_51, JPEG_70 = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 70))
JLS, J2K, J2K_LOSSY = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 90, 91))
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
# name → (pydicom's file, file whose native pixels it must decode to or None when it is lossy)
FILES = {
    "jls": ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
    "j2k": ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
    "rle-file": ("MR_small_RLE.dcm", "MR_small.dcm"),
    "implicit-file": ("MR_small_implicit.dcm", "MR_small.dcm"),
    "big-endian-16": ("MR_small_bigendian.dcm", "MR_small.dcm"),
    "big-endian-rgb": ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
    "dose-32": ("rtdose.dcm", "rtdose.dcm"),
    "rgb-odd": ("SC_rgb_small_odd.dcm", "SC_rgb_small_odd.dcm"),
    "ybr-422": ("SC_ybr_full_422_uncompressed.dcm", "SC_ybr_full_422_uncompressed.dcm"),
    "jpeg-lossless": ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"),
    "rle-rgb-2": ("SC_rgb_rle_2frame.dcm", "SC_rgb_rle_2frame.dcm"),
    "rle-16-2": ("SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm"),
    "segmentation-1": ("liver_1frame.dcm", "liver_1frame.dcm"),
    "jpeg-baseline": ("SC_rgb_dcmtk_+eb+cy+np.dcm", None),
    "jpeg-extended": ("JPGExtended.dcm", None),
    "j2k-lossy": ("JPEG2000.dcm", None),
}


def pixel_samples(token: str) -> list[Sample]:
    study = Study(f"{token}-X", f"Pixel{token}^Pat", new_uid(), {"AccessionNumber": f"{token}X"})
    made = [*_native(study), *_syntaxes(study), *_encapsulated(study), *_one_bit(study), *_other(study)]
    made += [sample for name, names in FILES.items() if (sample := _from_file(study, name, *names)) is not None]
    return made


def _native(study: Study) -> Iterable[Sample]:
    planes = np.stack([ramp(5, 7, "<u2", start=1000 * n) for n in range(3)])
    odd = np.stack([ramp(3, 3, "u1", start=50 * n) for n in range(3)])
    rgb = np.stack([ramp(6, 5, "u1", start=n) for n in (0, 80, 160)], axis=-1)
    for name, array, photometric, frames in (
        ("native-u8", ramp(9, 8, "u1"), "MONOCHROME2", 0),
        ("native-odd", ramp(3, 3, "u1"), "MONOCHROME2", 0),
        ("native-u16", ramp(10, 12, "<u2", step=17), "MONOCHROME2", 0),
        ("native-s16", ramp(10, 12, "<i2", step=3, start=-200), "MONOCHROME2", 0),
        ("native-rgb", rgb, "RGB", 0),
        ("frames-u16", planes, "MONOCHROME2", 3),
        ("frames-odd", odd, "MONOCHROME2", 3),
    ):
        dataset = instance_of(study)
        set_pixels(dataset, array, photometric=photometric, frames=frames)
        known = tuple(f.tobytes() for f in array) if frames else (array.tobytes(),)
        yield sample_of(name, dataset, frames=known, bytes_per_sample=array.dtype.itemsize)
    dataset = instance_of(study)
    set_pixels(dataset, rgb, photometric="RGB")
    dataset.PlanarConfiguration = 1
    dataset.PixelData = np.moveaxis(rgb, -1, 0).tobytes()
    yield sample_of("native-planar", dataset, frames=(np.moveaxis(rgb, -1, 0).tobytes(),))


def _syntaxes(study: Study) -> Iterable[Sample]:
    """The same image in the uncompressed syntaxes that shall never be sent, and deflated."""
    array = ramp(10, 12, "<u2", step=19)
    for name, syntax in (("implicit-le", IMPLICIT), ("big-endian", BIG_ENDIAN), ("deflated", DEFLATED)):
        dataset = instance_of(study)
        set_pixels(dataset, array)
        if syntax == BIG_ENDIAN:
            dataset.PixelData = array.astype(">u2").tobytes()
        yield sample_of(name, dataset, syntax, frames=(array.tobytes(),), bytes_per_sample=2)


def _encapsulated(study: Study) -> Iterable[Sample]:
    planes = np.stack([ramp(16, 16, "<u2", start=500 * n) for n in range(3)])
    dataset = instance_of(study)
    set_pixels(dataset, planes, frames=3)
    streams = [RLELosslessEncoder.encode(plane, **_options(dataset)) for plane in planes]
    known = {"frames": split_frames(planes, 3), "bytes_per_sample": 2}
    for name, has_bot in (("rle-3", True), ("rle-3-no-bot", False)):
        yield _with_streams(study, name, dataset, RLE, encapsulate(streams, has_bot=has_bot), streams, known)
    data, offsets, lengths = encapsulate_extended(streams)
    table = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
    yield _with_streams(study, "rle-3-extended-table", dataset, RLE, data, streams, known, table)
    source = _read("MR_small_jp2klossless.dcm")
    twin = _read("MR_small.dcm")
    if source is None or twin is None:
        return
    stream = next(generate_frames(source.PixelData, number_of_frames=1)).rstrip(b"\0")
    pair = [stream, stream]
    template = instance_of(study)
    set_pixels(template, np.stack([twin.pixel_array] * 2), frames=2)
    for keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
        setattr(template, keyword, getattr(source, keyword))
    known = {"frames": (twin.pixel_array.tobytes(),) * 2, "bytes_per_sample": 2}
    for name, has_bot in (("j2k-fragments", True), ("j2k-fragments-no-bot", False)):
        pieces = encapsulate(pair, fragments_per_frame=3, has_bot=has_bot)
        yield _with_streams(study, name, template, J2K, pieces, pair, known)


def _options(dataset: Dataset) -> dict[str, Any]:
    return {
        "rows": dataset.Rows,
        "columns": dataset.Columns,
        "samples_per_pixel": 1,
        "bits_allocated": 16,
        "bits_stored": 16,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2",
        "number_of_frames": 1,
    }


def _with_streams(
    study: Study,
    name: str,
    template: Dataset,
    syntax: str,
    pixels: bytes,
    streams: list[bytes],
    known: dict[str, Any],
    extra: dict[str, bytes] | None = None,
) -> Sample:
    dataset = instance_of(study)
    for element in template:
        if element.tag.group == 0x0028:
            dataset[element.tag] = element
    for keyword, value in (extra or {}).items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixels
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    return sample_of(name, dataset, syntax, stored_frames=tuple(streams), **known)


def _one_bit(study: Study) -> Iterable[Sample]:
    """Bit-packed frames: 16x16 ends on a byte, 10x10 does not, so its second frame begins inside a byte."""
    for name, side in (("bits-aligned", 16), ("bits-unaligned", 10)):
        rng = np.random.default_rng(side)
        bits = rng.integers(0, 2, (3, side, side), dtype="u1")
        packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
        dataset = instance_of(study, SEGMENTATION, Modality="SEG", SegmentationType="BINARY")
        set_pixels(dataset, bits, frames=3)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)
        frames = tuple(np.packbits(frame.ravel(), bitorder="little").tobytes() for frame in bits)
        yield sample_of(name, dataset, frames=frames)


def _other(study: Study) -> Iterable[Sample]:
    """Instances that are no ordinary image: float pixels, a PDF, a waveform, a report."""
    floats = np.linspace(-1, 1, 30, dtype="<f4").reshape(5, 6)
    dataset = instance_of(study, PARAMETRIC_MAP, Modality="OT")
    set_pixels(dataset, ramp(5, 6, "<u2"))
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = floats.tobytes()
    yield sample_of("float-pixels", dataset, frames=(floats.tobytes(),), bytes_per_sample=4)
    dataset = instance_of(study, "1.2.840.10008.5.1.4.1.1.104.1", Modality="DOC")
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.DocumentTitle = "Conformance"
    set_raw(dataset, 0x00420011, "OB", PDF)
    yield sample_of("pdf", dataset)
    dataset = instance_of(study, "1.2.840.10008.5.1.4.1.1.9.1.2", Modality="ECG")
    item = Dataset()
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = 1, 64
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
    item.SamplingFrequency = "500"
    set_raw(item, 0x54001010, "OW", np.arange(64, dtype="<i2").tobytes())
    dataset.WaveformSequence = [item]
    yield sample_of("waveform", dataset)
    dataset = instance_of(study, "1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    dataset.ValueType, dataset.CompletionFlag, dataset.VerificationFlag = "CONTAINER", "PARTIAL", "UNVERIFIED"
    dataset.ContinuityOfContent = "SEPARATE"
    text, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "121071", "DCM", "Finding"
    text.RelationshipType, text.ValueType, text.TextValue = "CONTAINS", "TEXT", "No finding, über alles"
    text.ConceptNameCodeSequence = [code]
    dataset.ConceptNameCodeSequence = [code]
    dataset.ContentSequence = [text]
    yield sample_of("report", dataset)


PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def _read(file_name: str) -> pydicom.FileDataset | None:
    """Read one of pydicom's installed files; None when this installation has not got it."""
    try:
        path = get_testdata_file(file_name, download=False)
        return pydicom.dcmread(path) if path and Path(path).is_file() else None
    except (OSError, InvalidDicomError):
        return None


def _from_file(study: Study, name: str, file_name: str, twin_name: str | None) -> Sample | None:
    """Put one of pydicom's files into our study under a fresh UID; its pixel data stays as it is."""
    source = _read(file_name)
    twin = _read(twin_name) if twin_name else None
    if source is None or (twin_name and twin is None):
        return None
    syntax = str(source.file_meta.TransferSyntaxUID)
    encapsulated = source.file_meta.TransferSyntaxUID.is_encapsulated
    count = int(source.get("NumberOfFrames", None) or 1)
    stored: tuple[bytes, ...] = ()
    if encapsulated:
        stored = tuple(generate_frames(source.PixelData, number_of_frames=count))
    own = instance_of(study, str(source.SOPClassUID), Modality=source.get("Modality", None) or "OT")
    kept = own.SpecificCharacterSet
    for element in own:
        source[element.tag] = element
    source.SpecificCharacterSet = kept
    width = max(1, int(source.BitsAllocated) // 8)
    return sample_of(
        name,
        source,
        syntax,
        data=part10(source, syntax),
        frames=_native_frames(twin) if twin else (),
        stored_frames=stored,
        is_lossy=twin is None,
        bytes_per_sample=width,
    )


def _native_frames(twin: pydicom.FileDataset) -> tuple[bytes, ...]:
    """Give the twin's frames as they stand in Explicit VR Little Endian."""
    count = int(twin.get("NumberOfFrames", None) or 1)
    if twin.file_meta.TransferSyntaxUID.is_encapsulated:
        array = twin.pixel_array
        return split_frames(array, count) if count > 1 else (split_frames(array[None])[0],)
    length = len(twin.PixelData) // count if count > 1 else _frame_bytes(twin)
    return tuple(twin.PixelData[at * length : (at + 1) * length] for at in range(count))


def _frame_bytes(twin: pydicom.FileDataset) -> int:
    bits = twin.Rows * twin.Columns * twin.SamplesPerPixel * twin.BitsAllocated
    return int((bits + 7) // 8 if twin.PhotometricInterpretation != "YBR_FULL_422" else bits * 2 // 3 // 8)
