"""Rendering parameters (PS3.18 §8.3.5): window, viewport, quality, annotation, profiles, looked at sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from conformance.cases_rendered import grey, linear, near, picture_of
from conformance.corpus_rendered import WINDOW_CENTER, WINDOW_WIDTH, ramp_pixels
from conformance.model import Case, Level, NotOffered, Service
from conformance.pictures import jpeg_head
from conformance.probe import Probe, expect, expect_status, offered

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


WINDOW = f"window={WINDOW_CENTER},{WINDOW_WIDTH},linear"


def linear_exact(values: np.ndarray, center: float, width: float) -> np.ndarray:
    return np.clip((values - center) / width + 0.5, 0, 1) * 255


def sigmoid(values: np.ndarray, center: float, width: float) -> np.ndarray:
    return 255 / (1 + np.exp(-4 * (values - center) / width))


def _own_window(name: str, probe: Probe) -> None:
    wanted = linear(ramp_pixels().astype(float), WINDOW_CENTER, WINDOW_WIDTH)
    if name == "ramp-rescaled":
        wanted = linear(ramp_pixels() * 2.0 - 1000, 2 * WINDOW_CENTER - 1000, 2 * WINDOW_WIDTH)
    near(picture_of(probe, name), 255 - wanted if name == "ramp-inverted" else wanted)


def _window(shape: str, probe: Probe) -> None:
    function = {"linear": linear, "linear-exact": linear_exact, "sigmoid": sigmoid}[shape]
    plain = grey(picture_of(probe, "ramp"))
    picture = picture_of(probe, "ramp", f"window=300,200,{shape}")
    if (grey(picture) == plain).all():
        raise NotOffered("window changes nothing")
    near(picture, function(ramp_pixels().astype(float), 300, 200))


def _bad(query: str, probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ramp').path}/rendered", "image/jpeg", query)
    if response.status in (200, 404, 501):
        raise NotOffered(f"the parameter is not looked at: status {response.status}")
    expect_status(response, 400)


def _viewport(query: str, wanted: tuple[int, int], probe: Probe) -> None:
    picture = grey(picture_of(probe, "ramp", query))
    if picture.shape == (32, 32) != wanted:
        raise NotOffered("viewport changes nothing")
    expect(picture.shape == wanted, f"the picture is {picture.shape}, expected {wanted}")


def _region(query: str, rows: slice, columns: slice, flip: int, probe: Probe) -> None:
    """A 6-value viewport: the region of the source, scaled one to one, perhaps mirrored."""
    picture = grey(picture_of(probe, "ramp", query))
    if picture.shape == (32, 32):
        raise NotOffered("the region changes nothing")
    wanted = linear(ramp_pixels().astype(float), WINDOW_CENTER, WINDOW_WIDTH)[rows, columns]
    near(picture, wanted[:, ::flip])


def _quality(probe: Probe) -> None:
    sizes = []
    for quality in (10, 95):
        response = probe.get(f"{probe.sample('colour').path}/rendered", "image/jpeg", f"quality={quality}")
        offered(response, 200)
        sizes.append(len(response.body))
    if sizes[0] == sizes[1]:
        raise NotOffered("quality changes nothing")
    expect(sizes[0] < sizes[1], f"quality=10 gives {sizes[0]} bytes, quality=95 {sizes[1]}")


def _annotation(value: str, probe: Probe) -> None:
    query = "viewport=256,256"
    plain = grey(picture_of(probe, "ramp", query))
    noted = grey(picture_of(probe, "ramp", f"{query}&annotation={value}"))
    if plain.shape == noted.shape and (plain == noted).all():
        raise NotOffered("annotation changes nothing")


def _icc(value: str, probe: Probe) -> None:
    response = probe.get(f"{probe.sample('colour').path}/rendered", "image/jpeg", f"iccprofile={value}")
    offered(response, 200)
    has_profile = b"ICC_PROFILE" in response.body
    if value == "no":
        expect(not has_profile, "a profile is there although iccprofile=no")
    elif not has_profile:
        raise NotOffered("no ICC profile in the picture")


def _thumbnail_size(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ramp').path}/thumbnail", "image/jpeg", "viewport=16,16")
    offered(response, 200)
    head = jpeg_head(response.body)
    if (head.rows, head.columns) == (32, 32):
        raise NotOffered("viewport changes nothing")
    expect(max(head.rows, head.columns) <= 16, f"the thumbnail is {head.rows} x {head.columns}, asked for 16 x 16")


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.RENDERED, section, level, requires, check)


CASES = (
    *(
        _case(
            f"W18-own-window-{name}",
            "PS3.4 N.2",
            REC,
            f"The image's own window and pipeline are applied ({what}).",
            partial(_own_window, name),
        )
        for name, what in (("ramp", "MONOCHROME2"), ("ramp-inverted", "MONOCHROME1"), ("ramp-rescaled", "rescaled"))
    ),
    *(
        _case(
            f"W18-window-{shape}", "8.3.5.1.4", OPT, f"window=center,width,{shape} is applied.", partial(_window, shape)
        )
        for shape in ("linear", "linear-exact", "sigmoid")
    ),
    *(
        _case(f"W18-bad-{name}", "8.3.5.1.4", OPT, "A window that is none is refused with 400.", partial(_bad, query))
        for name, query in (
            ("shape", "window=1,2,round"),
            ("count", "window=1,2"),
            ("word", "window=a,b,linear"),
            ("width", "window=100,0,linear"),
        )
    ),
    *(
        _case(
            f"W19-viewport-{name}",
            "8.3.5.1.3",
            OPT,
            "viewport sets the size of the picture.",
            partial(_viewport, query, wanted),
        )
        for name, query, wanted in (("half", "viewport=16,16", (16, 16)), ("double", "viewport=64,64", (64, 64)))
    ),
    _case(
        "W19-region",
        "8.3.5.1.3",
        OPT,
        "A viewport of six values takes a region of the source.",
        partial(_region, f"{WINDOW}&viewport=8,8,4,12,8,8", slice(12, 20), slice(4, 12), 1),
    ),
    _case(
        "W19-region-flipped",
        "8.3.5.1.3",
        OPT,
        "A negative width mirrors the region.",
        partial(_region, f"{WINDOW}&viewport=8,8,4,12,-8,8", slice(12, 20), slice(4, 12), -1),
    ),
    *(
        _case(f"W19-bad-{name}", "8.3.5.1.3", OPT, "A viewport that is none is refused with 400.", partial(_bad, query))
        for name, query in (("word", "viewport=a,b"), ("negative", "viewport=-5,5"), ("count", "viewport=1,2,3"))
    ),
    _case("W20-quality", "8.3.5.1.2", OPT, "quality sets how lossy the picture is.", _quality),
    *(
        _case(f"W20-bad-{name}", "8.3.5.1.2", OPT, "A quality outside 1…100 is refused with 400.", partial(_bad, query))
        for name, query in (("zero", "quality=0"), ("high", "quality=101"), ("word", "quality=best"))
    ),
    *(
        _case(
            f"W21-annotation-{value}",
            "8.3.5.1.1",
            OPT,
            "annotation burns text into the picture.",
            partial(_annotation, value),
        )
        for value in ("patient", "technique")
    ),
    *(
        _case(
            f"W22-icc-{value}",
            "8.3.5.1.5",
            OPT,
            "iccprofile says whether a profile is in the picture.",
            partial(_icc, value),
        )
        for value in ("no", "yes", "srgb")
    ),
    _case("W25-thumbnail-viewport", "8.3.5.2", OPT, "viewport sets the size of a thumbnail.", _thumbnail_size),
)
