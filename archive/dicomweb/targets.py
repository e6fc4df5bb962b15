"""Path ↔ value: which resource a request names (PS3.18 §10.1, §10.4.1). Pure.

Route patterns name their variables `study`, `series`, `instance`, `frames` and `path`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from archive.errors import BadRequestError
from archive.identifiers import (
    InstanceUID,
    SeriesUID,
    StudyUID,
    parse_instance_uid,
    parse_series_uid,
    parse_study_uid,
)

ROOT_SEGMENT = "/dicom-web"
"""Where a DICOMweb root ends: `/dicom-web` itself, or `/s/<id>/dicom-web` of a share."""
MAXIMUM_FRAMES = 10_000
_FRAME = re.compile(r"[0-9]{1,10}", re.ASCII)
_BULK_PATH = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,9}/[0-9A-Fa-f]{8}){0,64}", re.ASCII)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StudyTarget:
    study_uid: StudyUID

    @classmethod
    def parse(cls, match_info: Mapping[str, str]) -> Self:
        return cls(parse_study_uid(match_info["study"]))

    def path(self) -> str:
        return f"/studies/{self.study_uid}"


@dataclass(frozen=True, slots=True)
class SeriesTarget:
    study_uid: StudyUID
    series_uid: SeriesUID

    @classmethod
    def parse(cls, match_info: Mapping[str, str]) -> Self:
        return cls(parse_study_uid(match_info["study"]), parse_series_uid(match_info["series"]))

    def path(self) -> str:
        return f"/studies/{self.study_uid}/series/{self.series_uid}"


@dataclass(frozen=True, slots=True)
class InstanceTarget:
    study_uid: StudyUID
    series_uid: SeriesUID
    instance_uid: InstanceUID

    @classmethod
    def parse(cls, match_info: Mapping[str, str]) -> Self:
        return cls(
            parse_study_uid(match_info["study"]),
            parse_series_uid(match_info["series"]),
            parse_instance_uid(match_info["instance"]),
        )

    def path(self) -> str:
        return f"/studies/{self.study_uid}/series/{self.series_uid}/instances/{self.instance_uid}"


@dataclass(frozen=True, slots=True)
class FramesTarget:
    """Frames of an instance in the order asked for, repeats kept; numbers begin with 1."""

    instance: InstanceTarget
    frame_numbers: tuple[int, ...]

    @classmethod
    def parse(cls, match_info: Mapping[str, str]) -> Self:
        return cls(InstanceTarget.parse(match_info), parse_frame_numbers(match_info["frames"]))

    def path(self) -> str:
        return f"{self.instance.path()}/frames/{','.join(map(str, self.frame_numbers))}"

    def frame_path(self, frame_number: int) -> str:
        """Path of one of the frames, for the Content-Location of its part."""
        return f"{self.instance.path()}/frames/{frame_number}"


@dataclass(frozen=True, slots=True)
class BulkdataTarget:
    """A bulk value: tag, or tag/item/tag/… into sequences, tags in upper case."""

    instance: InstanceTarget
    element_path: str

    @classmethod
    def parse(cls, match_info: Mapping[str, str]) -> Self:
        text = match_info["path"]
        if _BULK_PATH.fullmatch(text) is None:
            message = "A bulk value is named by a tag of eight hexadecimal digits, or tag/item/tag."
            raise BadRequestError(message, parameter="bulkdata")
        return cls(InstanceTarget.parse(match_info), text.upper())

    def path(self) -> str:
        return f"{self.instance.path()}/bulkdata/{self.element_path}"


def parse_frame_numbers(text: str) -> tuple[int, ...]:
    """Read `1,2,5`. Raises BadRequestError on anything but whole numbers from 1, or on too many of them."""
    members = text.split(",")
    if len(members) > MAXIMUM_FRAMES:
        raise BadRequestError(f"A request may name at most {MAXIMUM_FRAMES} frames.", parameter="frames")
    if not all(_FRAME.fullmatch(member) and int(member) > 0 for member in members):
        raise BadRequestError("Frames are a comma-separated list of whole numbers from 1.", parameter="frames")
    return tuple(map(int, members))


@dataclass(frozen=True, slots=True)
class PublicRoot:
    """The DICOMweb root of a request as the outside sees it; every URI in an answer lies under it.

    `base` is scheme, host and perhaps a path, without a slash at the end; empty makes URIs absolute paths.
    """

    base: str
    prefix: str

    @classmethod
    def of(cls, request_path: str, public_base: str = "") -> Self:
        """The root under which a path was asked for: everything up to its first `/dicom-web`."""
        head, found, _ = f"{request_path}/".partition(f"{ROOT_SEGMENT}/")
        return cls(public_base.rstrip("/"), head + ROOT_SEGMENT if found else "")

    def __str__(self) -> str:
        return f"{self.base}{self.prefix}"

    def uri(self, path: str) -> str:
        """The URI of a path such as `/studies/1.2.3`."""
        return f"{self.base}{self.prefix}{path}"


def origin_of(scheme: str, host: str) -> str:
    """`scheme://host` where the Host header is one; empty where it is not, so that URIs become absolute paths."""
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""
