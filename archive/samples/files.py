"""Real files that pydicom's wheel carries for its own tests: one of each kind, nothing is downloaded."""

from pathlib import Path

import pydicom.data

_NAMES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "693_J2KI.dcm",
    "ExplVR_BigEnd.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG-lossy.dcm",
    "JPEG2000.dcm",
    "SC_jpeg_no_color_transform.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_small_odd.dcm",
    "examples_jpeg2k.dcm",
    "examples_overlay.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "reportsi.dcm",
    "rtdose_rle.dcm",
    "waveform_ecg.dcm",
)
_FOLDERS = ("dicomdirtests/77654033", "dicomdirtests/98892001", "dicomdirtests/98892003")


def sample_files() -> list[Path]:
    """Return files that can be stored: each whole, with its UIDs, no SOP Instance UID twice.

    A name that a later pydicom no longer carries is left out.
    """
    root = Path(pydicom.data.__file__).parent / "test_files"
    named = [root / name for name in _NAMES]
    found = [path for folder in _FOLDERS for path in sorted((root / folder).rglob("*"))]
    return [path for path in named + found if path.is_file()]
