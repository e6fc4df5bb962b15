"""What the images of a series tell of images that are not there. Pure.

Rules that would call a whole series broken are left out: only slices on an even grid have gaps in position, and gaps in
the numbers count only where positions say nothing.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

SLICED = frozenset(("CT", "MR", "PT", "NM"))
"""Modalities whose images are numbered one after another; elsewhere a number that is left out means nothing."""
MINIMUM_SPACINGS = 4
EVEN_SHARE = 0.75
"""The share of spacings that must be like the usual one for the others to be gaps."""
TOLERANCE = 0.1
SAME_MM = 0.01
MAXIMUM_MISSING = 10_000
Vector = tuple[float, ...]


class Lack(StrEnum):
    """What a finding says; each has a sentence in `archive.languages` (`lack.…`)."""

    REPORT_ONLY = "report_only"
    NO_IMAGES = "no_images"
    GAP_POSITION = "gap_position"
    GAP_NUMBER = "gap_number"
    CUT_SHORT = "cut_short"
    ANNOUNCED = "announced"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is missing: how many images, in which series ("" for the whole study)."""

    lack: Lack
    count: int = 0
    series: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """What of one single-frame image the rules look at; () and None where it does not say."""

    number: int | None
    position: Vector = ()
    orientation: Vector = ()
    group: tuple[str, ...] = ()
    """Images of one series that are not of one stack differ in this: acquisition, time, echo, size."""
    announced: int = 0
    """How many images the sender says the series has; 0 where it says nothing."""
    derived: bool = False


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    title: str
    modality: str
    image_count: int
    pictures: tuple[Picture, ...]


def findings_of_series(series: SeriesFacts) -> list[Finding]:
    """What is missing in a series; the surest reason alone, so that an image is not missed twice."""
    announced = max((picture.announced for picture in series.pictures if not picture.derived), default=0)
    if announced > series.image_count:
        return [Finding(Lack.CUT_SHORT, min(announced - series.image_count, MAXIMUM_MISSING), series.title)]
    gaps = _gaps_in_position(series.pictures)
    if gaps is not None:
        return [Finding(Lack.GAP_POSITION, gaps, series.title)] if gaps else []
    if series.modality in SLICED:
        missing = _gaps_in_number(series.pictures)
        if missing:
            return [Finding(Lack.GAP_NUMBER, missing, series.title)]
    return []


def _gaps_in_position(pictures: Iterable[Picture]) -> int | None:
    """How many slices are missing between others; None where the slices stand on no even grid."""
    stacks: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for picture in pictures:
        normal = _normal(picture.orientation)
        if normal is None or len(picture.position) != 3 or not all(map(math.isfinite, picture.position)):
            continue
        key = (picture.group, tuple(round(value, 3) for value in picture.orientation))
        stacks[key].append(sum(a * b for a, b in zip(normal, picture.position, strict=True)))
    counted = [gaps for places in stacks.values() if (gaps := _gaps_in_stack(places)) is not None]
    return min(sum(counted), MAXIMUM_MISSING) if counted else None


def _gaps_in_stack(places: Sequence[float]) -> int | None:
    distinct: list[float] = []
    for place in sorted(places):
        if not distinct or place - distinct[-1] > SAME_MM:
            distinct.append(place)
    spacings = [after - before for before, after in pairwise(distinct)]
    if len(spacings) < MINIMUM_SPACINGS:
        return None
    usual = median(spacings)
    even = sum(abs(spacing - usual) <= usual * TOLERANCE for spacing in spacings)
    if even < EVEN_SHARE * len(spacings):
        return None
    steps = [spacing / usual for spacing in spacings]
    return sum(min(round(step) - 1, MAXIMUM_MISSING) for step in steps if step > 1.5 and _is_whole(step))


def _is_whole(step: float) -> bool:
    return abs(step - round(step)) <= 2 * TOLERANCE


def _normal(orientation: Vector) -> Vector | None:
    if len(orientation) != 6:
        return None
    a, b, c, d, e, f = orientation
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.sqrt(sum(value * value for value in normal))
    if not (math.isfinite(length) and length > 0.5):
        return None
    return tuple(value / length for value in normal)


def _gaps_in_number(pictures: Iterable[Picture]) -> int:
    """How many numbers are left out between the first and the last; 0 where they are not counted in ones."""
    numbers = {picture.number for picture in pictures if picture.number is not None}
    if len(numbers) < MINIMUM_SPACINGS:
        return 0
    missing = max(numbers) - min(numbers) + 1 - len(numbers)
    return missing if missing <= len(numbers) else 0
