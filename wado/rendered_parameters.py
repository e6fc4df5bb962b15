"""Query parameters of rendered resources (PS3.18 §8.3.5) → `RenderParameters`. Pure."""

import math
from collections.abc import Mapping

from archive.errors import BadRequestError
from wado.pixels.parameters import DEFAULT_QUALITY, RenderParameters, Viewport, Window, WindowShape

MAXIMUM_SIDE = 8192
"""Longest side of a picture, in pixels."""
ICC_PROFILES = frozenset(("no", "yes", "srgb", "adobergb", "rommrgb"))
ANNOTATIONS = frozenset(("patient", "technique"))


def parse_rendering(query: Mapping[str, str], media_type: str) -> RenderParameters:
    """Read `window`, `viewport`, `quality` and `iccprofile`; others are not looked at.

    Raises BadRequestError naming the parameter at fault.
    """
    return RenderParameters(
        media_type,
        viewport=parse_viewport(query["viewport"]) if "viewport" in query else None,
        window=parse_window(query["window"]) if "window" in query else None,
        quality=parse_quality(query["quality"]) if "quality" in query else DEFAULT_QUALITY,
        icc_profile=parse_icc_profile(query["iccprofile"]) if "iccprofile" in query else "no",
    )


def parse_window(text: str) -> Window:
    """`center,width` or `center,width,shape`."""
    parts = text.split(",")
    if len(parts) not in (2, 3):
        raise BadRequestError("window is center,width,shape.", parameter="window")
    center, width = (_number(part, "window") for part in parts[:2])
    try:
        shape = WindowShape(parts[2].lower()) if len(parts) == 3 else WindowShape.LINEAR
    except ValueError:
        raise BadRequestError("The shape of window is linear, linear-exact or sigmoid.", parameter="window") from None
    least = 1.0 if shape is WindowShape.LINEAR else math.ulp(0.0)
    if width < least:
        raise BadRequestError("The width of window is at least 1, or above 0 for the other shapes.", parameter="window")
    return Window(center, width, shape)


def parse_viewport(text: str) -> Viewport:
    """`vw,vh` or `vw,vh,sx,sy,sw,sh`; of the last four, sx and sy may be empty and mean 0."""
    parts = text.split(",")
    if len(parts) not in (2, 6):
        raise BadRequestError("viewport is vw,vh or vw,vh,sx,sy,sw,sh.", parameter="viewport")
    width, height = (_side(part) for part in parts[:2])
    if len(parts) == 2:
        return Viewport(width, height)
    left, top = (_number(part, "viewport") if part else 0.0 for part in parts[2:4])
    shown_width, shown_height = (_number(part, "viewport") for part in parts[4:])
    if left < 0 or top < 0 or shown_width == 0 or shown_height == 0:
        raise BadRequestError("viewport's sx and sy are not below 0, sw and sh are not 0.", parameter="viewport")
    return Viewport(width, height, (left, top, shown_width, shown_height))


def parse_quality(text: str) -> int:
    """1 to 100."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= 100:
        raise BadRequestError("quality is a whole number from 1 to 100.", parameter="quality")
    return int(text)


def parse_icc_profile(text: str) -> str:
    if text.lower() not in ICC_PROFILES:
        raise BadRequestError("iccprofile is no, yes, srgb, adobergb or rommrgb.", parameter="iccprofile")
    return text.lower()


def parse_annotation(text: str) -> frozenset[str]:
    """`patient`, `technique` or both; unknown words are not looked at (§8.3.5.1.1)."""
    return ANNOTATIONS & {word.strip().lower() for word in text.split(",")}


def _number(text: str, parameter: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or len(text) > 32 or "_" in text:
        raise BadRequestError(f"{parameter} is made of decimal numbers.", parameter=parameter)
    return number


def _side(text: str) -> int:
    number = _number(text, "viewport")
    if not 1 <= number <= MAXIMUM_SIDE or number != int(number):
        message = f"The width and height of viewport are whole numbers from 1 to {MAXIMUM_SIDE}."
        raise BadRequestError(message, parameter="viewport")
    return int(number)
