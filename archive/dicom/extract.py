"""A DICOM file → everything that the index keeps of it, in one walk."""

from typing import Any

from archive.dicom.frames import index_frames
from archive.dicom.part10 import Limits, read_file_meta, refuse
from archive.dicom.walk import URI_MEMBER, Json, Walked, walk
from archive.errors import RefusedInstanceError
from archive.identifiers import InstanceUID, SeriesUID, StudyUID, is_uid
from archive.instances import Buffer, ParsedInstance, PixelFacts

NO_SOP_CLASS = 0x0122
MAXIMUM_COUNT = {"00280008": 2**31 - 1}
"""Number of Frames is an IS, the others are US."""
PIXEL_KEYWORDS = {"7FE00010": "PixelData", "7FE00008": "FloatPixelData", "7FE00009": "DoubleFloatPixelData"}


def parse_instance(data: Buffer, limits: Limits = Limits()) -> ParsedInstance:  # noqa: B008 - frozen
    """Read a Part 10 file; `data` may be a mapping of any size, large values are not touched.

    Raises
    ------
    RefusedInstanceError
        Not DICOM, cut short, over a limit, or without the UIDs that name an instance.
    """
    meta = read_file_meta(data, limits)
    walked = walk(data, meta, limits)
    attributes = walked.attributes
    study_uid = _uid(attributes, "0020000D", "Study Instance UID")
    series_uid = _uid(attributes, "0020000E", "Series Instance UID")
    instance_uid = _uid(attributes, "00080018", "SOP Instance UID")
    if _first(attributes, "00080016") is None:
        raise RefusedInstanceError(NO_SOP_CLASS, "SOP Class UID (0008,0016) is missing.")
    sop_class_uid = _uid(attributes, "00080016", "SOP Class UID")
    root = f"/studies/{study_uid}/series/{series_uid}/instances/{instance_uid}/bulkdata/"
    facts = _pixel_facts(walked)
    if meta.media_storage_sop_instance_uid not in ("", instance_uid):
        walked.warnings.append("The file meta information names another instance than the dataset.")
    return ParsedInstance(
        StudyUID(study_uid),
        SeriesUID(series_uid),
        InstanceUID(instance_uid),
        sop_class_uid,
        meta.transfer_syntax_uid,
        index_frames(walked, facts, meta.transfer_syntax_uid),
        facts,
        walked.metadata.replace(URI_MEMBER, URI_MEMBER + root.encode()),
        attributes,
        tuple(walked.warnings),
    )


def _uid(attributes: Json, tag: str, name: str) -> str:
    value = _first(attributes, tag)
    if value is None:
        raise refuse(f"{name} ({tag[:4]},{tag[4:]}) is missing.")
    if not isinstance(value, str) or not is_uid(value):
        raise refuse(f"{name} ({tag[:4]},{tag[4:]}) is no UID: digits and single dots, at most 64 characters.")
    return value


def _first(attributes: Json, tag: str) -> Any:
    values = attributes.get(tag, {}).get("Value")
    return values[0] if values else None


def _pixel_facts(walked: Walked) -> PixelFacts | None:
    """The Image Pixel module; None where there are no pixels or the module is too broken to say anything."""
    attributes = walked.attributes
    value = next((bulk for bulk in walked.bulk if bulk.path in PIXEL_KEYWORDS), None)
    if value is None:
        return None
    keyword = PIXEL_KEYWORDS[value.path]
    rows, columns = _count(attributes, "00280010"), _count(attributes, "00280011")
    allocated = _count(attributes, "00280100")
    if keyword != "PixelData":
        allocated = 32 if keyword == "FloatPixelData" else 64
    if rows is None or columns is None or allocated is None:
        return None
    stored = _count(attributes, "00280101") or allocated
    photometric = _first(attributes, "00280004")
    return PixelFacts(
        rows=rows,
        columns=columns,
        samples_per_pixel=_count(attributes, "00280002") or 1,
        photometric_interpretation=photometric if isinstance(photometric, str) else "MONOCHROME2",
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_count(attributes, "00280102", stored - 1) or 0,
        pixel_representation=_count(attributes, "00280103") or 0,
        planar_configuration=_count(attributes, "00280006") or 0,
        number_of_frames=_count(attributes, "00280008") or 1,
        pixel_keyword=keyword,
        pixel_vr=value.vr,
    )


def _count(attributes: Json, tag: str, default: int | None = None) -> int | None:
    value = _first(attributes, tag)
    return value if isinstance(value, int) and 0 <= value <= MAXIMUM_COUNT.get(tag, 0xFFFF) else default
