"""Rendered and thumbnail resources (PS3.18 §8.3.5, §8.7.4, §10.4.1.1.3–4): pictures looked at sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from conformance.corpus_rendered import colour_pixels
from conformance.model import Case, Level, NotOffered, Service
from conformance.pictures import gif_head, jpeg_head, png_pixels
from conformance.probe import Probe, expect, expect_status, expect_type, offered
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
TOLERANCE = 2
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def linear(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """Apply PS3.3 C.11.2.1.2.1 (LINEAR) to 0…255."""
    scaled = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.clip(scaled, 0, 255)


def _jpeg(path: str, accept: str, probe: Probe) -> None:
    sample = probe.sample("ramp")
    where = {"instance": sample.path, "frame": f"{sample.path}/frames/1", "series": sample.series_path}[path]
    response = probe.get(f"{where}/rendered", accept)
    if accept.startswith("multipart"):
        offered(response, 200)
    expect_status(response, 200)
    if response.media_type.essence == "multipart/related":
        part = response.parts()[0]
        expect(part.media_type.essence == "image/jpeg", f"the part is {part.header('Content-Type')}")
        body = part.body
    else:
        expect_type(response, "image/jpeg")
        body = response.body
    head = jpeg_head(body)
    expect((head.rows, head.columns) == (32, 32), f"a JPEG of {head.rows} x {head.columns}, the image is 32 x 32")
    expect(head.precision_bits == 8, f"{head.precision_bits} bits; rendered pictures have at most 8")


def _browser(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ramp').path}/rendered", BROWSER)
    expect_status(response, 200)
    expect(response.media_type.essence.startswith("image/"), f"Content-Type is {response.header('Content-Type')}")


def _study(probe: Probe) -> None:
    response = probe.get(
        f"{probe.sample('ramp').study_path}/rendered",
        'multipart/related; type="image/jpeg", image/jpeg;q=0.5, */*;q=0.1',
    )
    expect_status(response, 200)
    is_multipart = response.media_type.essence == "multipart/related"
    pictures = [part.body for part in response.parts()] if is_multipart else [response.body]
    expect(bool(pictures), "an answer without a picture")
    starts = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"\0\0\0")
    expect(all(picture.startswith(starts) for picture in pictures), "not JPEG, PNG, GIF or MP4")
    probe.note(f"{len(pictures)} pictures")


def _type(essence: str, probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ramp').path}/rendered", essence)
    if response.status in (406, 400, 415):
        raise NotOffered(f"status {response.status}")
    expect_status(response, 200)
    expect_type(response, essence)
    if essence == "image/png":
        png_pixels(response.body)
    elif essence == "image/gif":
        expect(gif_head(response.body)[:2] == (32, 32), "the GIF is not 32 x 32")
    else:
        expect(response.body.startswith((b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51")), "not a JPEG 2000 picture")


def picture_of(probe: Probe, name: str, query: str = "", path: str = "/rendered") -> np.ndarray:
    response = probe.get(probe.sample(name).path + path, "image/png", query)
    return _png(response)


def _png(response: Response) -> np.ndarray:
    offered(response, 200)
    expect_type(response, "image/png")
    return png_pixels(response.body).astype(np.int32)


def grey(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 2 else picture[..., 0]


def near(picture: np.ndarray, wanted: np.ndarray, tolerance: float = TOLERANCE) -> None:
    found = grey(picture) if wanted.ndim == 2 else picture
    expect(found.shape == wanted.shape, f"the picture is {found.shape}, expected {wanted.shape}")
    worst = float(np.abs(found - wanted).max())
    expect(worst <= tolerance, f"a sample is off by {worst:.0f} of 255; at most {tolerance:.0f} is rounding")


def _colour(name: str, probe: Probe) -> None:
    picture = picture_of(probe, name)
    expect(picture.ndim == 3, "the picture is grey")
    near(picture, colour_pixels().astype(np.int32))


def _frames(probe: Probe) -> None:
    greys = [
        int(grey(picture_of(probe, "cine", query="window=128,256,linear", path=f"/frames/{n}/rendered")).mean())
        for n in (1, 2, 3)
    ]
    expect(
        abs(greys[0]) <= 2 and abs(greys[1] - 128) <= 3 and greys[2] >= 253, f"the greys of three frames are {greys}"
    )


def _gif(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('cine').path}/rendered", "image/gif")
    offered(response, 200)
    expect_type(response, "image/gif")
    rows, columns, images = gif_head(response.body)
    expect((rows, columns) == (16, 16), f"the GIF is {rows} x {columns}")
    expect(images == 3, f"{images} images in the GIF, 3 frames are there")


def _not_found(path: str, probe: Probe) -> None:
    response = probe.get(probe.sample("cine").path + path, "image/jpeg")
    expect(response.status in (400, 404), f"status {response.status} for a frame that is not there")


def _compressed(name: str, shape: tuple[int, int], probe: Probe) -> None:
    response = probe.get(f"{probe.sample(name).path}/rendered", "image/jpeg")
    expect_status(response, 200)
    head = jpeg_head(response.body)
    expect((head.rows, head.columns) == shape, f"a JPEG of {head.rows} x {head.columns}, expected {shape}")


def _document(name: str, accept: str, essences: tuple[str, ...], probe: Probe) -> None:
    response = probe.get(f"{probe.sample(name).path}/rendered", accept)
    offered(response, 200)
    expect_type(response, *essences)
    if "pdf" in essences[0]:
        expect(response.body.startswith(b"%PDF-"), "not a PDF")
    else:
        expect("über" in response.body.decode("utf-8"), "the text of the report is not in it, or not in UTF-8")


def _transfer_syntax(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('ramp').path}/rendered", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50")
    expect(response.status in (200, 400, 406), f"status {response.status}")


def _thumbnail(level: str, probe: Probe) -> None:
    sample = probe.sample("ramp")
    path = {
        "study": sample.study_path,
        "series": sample.series_path,
        "instance": sample.path,
        "frame": f"{sample.path}/frames/1",
    }[level]
    response = probe.get(f"{path}/thumbnail", "image/jpeg")
    if response.status in (302, 303, 307):
        return
    if response.status in (404, 501):
        raise NotOffered(f"status {response.status}")
    expect_status(response, 200)
    expect_type(response, "image/jpeg")
    jpeg_head(response.body)


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.RENDERED, section, level, requires, check)


CASES = (
    *(
        _case(
            f"W17-jpeg-{name}",
            "8.7.4, 10.4.1.1.3",
            level,
            "A rendered image is a JPEG of 8 bits, of the image's size.",
            partial(_jpeg, path, accept),
        )
        for name, path, accept, level in (
            ("instance", "instance", "image/jpeg", REQ),
            ("instance-any", "instance", "*/*", REQ),
            ("frame", "frame", "image/jpeg", REQ),
            ("instance-star", "instance", "image/*", REQ),
            ("instance-q", "instance", "image/jpeg;q=0.9, image/png;q=0.1", REQ),
            ("skips-unknown", "instance", "image/x-unknown, image/jpeg;q=0.5", REQ),
            ("multipart", "instance", 'multipart/related; type="image/jpeg"', OPT),
        )
    ),
    _case("W24-browser", "8.7.8", REQ, "A browser's list for <img> is served.", _browser),
    _case("W17-study", "10.4.1.1.3", REQ, "A study can be rendered.", _study),
    *(
        _case(
            f"W17-type-{essence.split('/')[1]}",
            "Table 8.7.4-1",
            level,
            f"{essence} may be asked for.",
            partial(_type, essence),
        )
        for essence, level in (("image/png", REC), ("image/gif", REC), ("image/jp2", OPT))
    ),
    *(
        _case(f"W23-{name}", "PS3.4 N.2", REC, "Colours are rendered as they are.", partial(_colour, name))
        for name in ("colour", "palette")
    ),
    _case("W17-frames", "10.4.1.1.3", REC, "Each frame is rendered by itself.", _frames),
    _case("W17-multi-frame-gif", "Table 8.7.4-1", OPT, "A multi-frame image may come as a GIF that moves.", _gif),
    *(
        _case(
            f"W14-{name}", "10.4.3.1", REQ, "A frame that is not there cannot be rendered.", partial(_not_found, path)
        )
        for name, path in (("beyond", "/frames/9/rendered"), ("zero", "/frames/0/rendered"))
    ),
    *(
        _case(
            f"W17-compressed-{name}",
            "10.4.1.1.3",
            level,
            "An image of any stored syntax is rendered.",
            partial(_compressed, name, shape),
        )
        for name, shape, level in (
            ("jls", (64, 64), REQ),
            ("j2k", (64, 64), REQ),
            ("rle-file", (64, 64), REQ),
            ("jpeg-lossless", (100, 100), REQ),
            ("jpeg-baseline", (100, 100), REQ),
            ("big-endian-16", (64, 64), REQ),
            ("deflated", (10, 12), REQ),
            ("ybr-422", (100, 100), REC),
            ("dose-32", (10, 10), REC),
        )
    ),
    *(
        _case(f"W26-{name}", "Table 8.7.4-1", OPT, says, partial(_document, sample, accept, essences))
        for name, sample, accept, essences, says in (
            ("pdf", "pdf", "application/pdf", ("application/pdf",), "An encapsulated PDF may be had as PDF."),
            (
                "pdf-browser",
                "pdf",
                "text/html,application/xhtml+xml,*/*;q=0.8",
                ("application/pdf", "text/html"),
                "OHIF's navigation to an encapsulated PDF is served.",
            ),
            ("report-html", "report", "text/html", ("text/html",), "A report may be had as HTML."),
        )
    ),
    _case(
        "W17-no-transfer-syntax", "8.7.4", REC, "A transfer-syntax on a rendered type does no harm.", _transfer_syntax
    ),
    *(
        _case(
            f"W25-thumbnail-{level}",
            "10.4.1.1.4",
            OPT,
            "A thumbnail is a JPEG (or an address of one).",
            partial(_thumbnail, level),
        )
        for level in ("study", "series", "instance", "frame")
    ),
)
