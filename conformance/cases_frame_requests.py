"""Requests for frames (PS3.18 §10.4.1.1.6): lists, numbers that are none, single parts, one-bit frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from conformance.cases_frames import check_native, frame_parts, same_frame
from conformance.model import Case, Level, NotOffered, Service
from conformance.probe import OCTETS, Probe, expect, expect_status
from conformance.samples import Sample

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE


def _order(numbers: str, probe: Probe) -> None:
    sample = probe.sample("frames-u16")
    response = probe.get(f"{sample.path}/frames/{numbers}", OCTETS)
    expect_status(response, 200)
    wanted = tuple(sample.frames[int(number) - 1] for number in numbers.replace("%2C", ",").split(","))
    check_native(sample, frame_parts(response), wanted)


def _bad_frame(numbers: str, allowed: tuple[int, ...], probe: Probe) -> None:
    expect_status(probe.get(f"{probe.sample('frames-u16').path}/frames/{numbers}", OCTETS), *allowed)


def _partial(probe: Probe) -> None:
    sample = probe.sample("frames-u16")
    response = probe.get(f"{sample.path}/frames/1,99", OCTETS)
    expect_status(response, 206, 400, 404)
    if response.status == 206:
        check_native(sample, frame_parts(response), sample.frames[:1])
        expect(response.header("Warning") is not None, "206 without a Warning that tells what is missing")
    else:
        probe.note(f"{response.status}; §10.4.3.1 foresees 206 when some targets cannot be given")


def _no_frames(name: str, probe: Probe) -> None:
    response = probe.get(f"{probe.sample(name).path}/frames/1", OCTETS)
    expect(response.status in (400, 404, 406), f"status {response.status} for a frame of an instance without pixels")


def _content_location(probe: Probe) -> None:
    sample = probe.sample("frames-u16")
    parts = probe.get(f"{sample.path}/frames/1,3", OCTETS).parts()
    places = [part.header("Content-Location") for part in parts]
    expect(all(places), "a part has no Content-Location")
    for place, number in zip(places, (1, 3), strict=True):
        expect(str(place).rstrip("/").endswith(f"frames/{number}"), f"Content-Location of frame {number} is {place}")


def _single(name: str, probe: Probe) -> None:
    sample = probe.sample(name)
    response = probe.get(f"{sample.path}/frames/1", "application/octet-stream")
    if response.status in (400, 406):
        raise NotOffered(f"status {response.status}")
    expect_status(response, 200)
    expect(response.media_type.essence == "application/octet-stream", f"Content-Type {response.header('Content-Type')}")
    expect(same_frame(sample, response.body, sample.frames[0]), "the frame differs")


def _single_of_two(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('frames-u16').path}/frames/1,2", "application/octet-stream")
    expect_status(response, 406, 400)


def _unaligned(what: str, probe: Probe) -> None:
    """10 x 10 one-bit frames: the second begins inside an octet."""
    sample = probe.sample("bits-unaligned")
    response = probe.get(f"{sample.path}/frames/1,2,3", OCTETS)
    expect_status(response, 200)
    parts = frame_parts(response)
    expect(len(parts) == 3, f"{len(parts)} parts for 3 frames")
    own, covering = _unaligned_forms(sample)
    bodies = tuple(part.body for part in parts)
    if what == "first":
        first_bits = np.unpackbits(np.frombuffer(bodies[0], "u1"), bitorder="little")[:100]
        expect(
            first_bits.tolist() == np.unpackbits(np.frombuffer(own[0], "u1"), bitorder="little")[:100].tolist(),
            "the bits of the first frame differ",
        )
        return
    forms = {"each frame begins on an octet": own, "the octets that cover each frame": covering}
    shape = next((name for name, form in forms.items() if all(map(_same_bits, bodies, form))), None)
    expect(shape is not None, f"frames of {[len(body) for body in bodies]} octets fit neither layout")
    probe.note(f"layout: {shape}")


def _same_bits(found: bytes, wanted: bytes) -> bool:
    return found[: len(wanted)] == wanted and len(found) - len(wanted) in (0, 1)


def _unaligned_forms(sample: Sample) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    bits = np.concatenate([np.unpackbits(np.frombuffer(f, "u1"), bitorder="little")[:100] for f in sample.frames])
    packed = np.packbits(bits, bitorder="little").tobytes()
    edges = [100 * number for number in range(4)]
    return sample.frames, tuple(packed[a // 8 : (b + 7) // 8] for a, b in pairwise(edges))


def _all_frames_equal_one(probe: Probe) -> None:
    sample = probe.sample("rle-3")
    together = [part.body for part in frame_parts(probe.get(f"{sample.path}/frames/1,2,3", OCTETS))]
    alone = [frame_parts(probe.get(f"{sample.path}/frames/{n}", OCTETS))[0].body for n in (1, 2, 3)]
    expect(together == alone, "a frame asked for alone differs from the same frame in a list")


def _outer_type(probe: Probe) -> None:
    response = probe.get(f"{probe.sample('native-u16').path}/frames/1", OCTETS)
    expect_status(response, 200)
    found = response.media_type.parameter("type")
    expect(found == "application/octet-stream", f"the type parameter of multipart/related is {found}")


def _range(probe: Probe) -> None:
    sample = probe.sample("native-u16")
    response = probe.get(f"{sample.path}/frames/1", "application/octet-stream", headers={"Range": "bytes=10-19"})
    if response.status in (200, 400, 406):
        raise NotOffered(f"Range is not served: status {response.status}")
    expect_status(response, 206)
    expect(response.body == sample.frames[0][10:20], "not the ten bytes asked for")
    expect(
        (response.header("Content-Range") or "").startswith("bytes 10-19/"),
        f"Content-Range {response.header('Content-Range')}",
    )


def _case(name: str, section: str, level: Level, requires: str, check: Callable[[Probe], None]) -> Case:
    return Case(name, Service.PIXELS, section, level, requires, check)


CASES = (
    *(
        _case(f"W12-order-{name}", "10.4.1.1.6", level, says, partial(_order, numbers))
        for name, numbers, level, says in (
            ("one", "2", REQ, "One frame of several."),
            ("list", "1,2,3", REQ, "A list of frames."),
            ("encoded-comma", "1%2C3", REQ, "An encoded comma in the list."),
            ("descending", "3,1", REC, "Frames come in the order asked for."),
            ("repeated", "2,2", REC, "A frame may be asked for twice."),
        )
    ),
    *(
        _case(f"W14-bad-{name}", "10.4.3.1", level, says, partial(_bad_frame, numbers, allowed))
        for name, numbers, allowed, level, says in (
            ("zero", "0", (400, 404), REQ, "Frame 0 does not exist."),
            ("word", "a", (400, 404), REQ, "A word is no frame number."),
            ("fraction", "1.5", (400, 404), REQ, "A fraction is no frame number."),
            ("negative", "-1", (400, 404), REQ, "A negative number is no frame number."),
            ("beyond", "4", (404, 400), REQ, "A frame behind the last one does not exist."),
            ("empty-member", "1,,2", (400, 404), REC, "An empty member of the list is refused."),
            ("huge", "99999999999999999999", (400, 404), REQ, "A huge frame number is refused."),
        )
    ),
    _case("W14-partial", "10.4.3.1", REQ, "Some frames exist: 206 with a Warning, or a refusal.", _partial),
    *(
        _case(
            f"W14-no-frames-{name}",
            "10.4.3.1",
            REQ,
            "An instance without pixel data has no frames.",
            partial(_no_frames, name),
        )
        for name in ("report", "pdf")
    ),
    _case("W12-content-location", "8.4.2", REC, "Each part tells its Content-Location.", _content_location),
    *(
        _case(f"W13-single-{name}", "10.4.4", OPT, "One frame may come as a single part.", partial(_single, name))
        for name in ("native-u16", "rle-file")
    ),
    _case("W13-single-of-two", "10.4.4", REQ, "Two frames cannot come as a single part.", _single_of_two),
    _case(
        "D6-bits-first",
        "8.7.3.3.1, PS3.5 8.1.1",
        REQ,
        "The first one-bit frame has its bits.",
        partial(_unaligned, "first"),
    ),
    _case(
        "D6-bits-layout",
        "8.7.3.3.1, PS3.5 8.1.1",
        REC,
        "One-bit frames that begin inside an octet come in a known layout.",
        partial(_unaligned, "all"),
    ),
    _case(
        "W12-list-equals-single", "10.4.1.1.6", REQ, "A frame is the same alone and in a list.", _all_frames_equal_one
    ),
    _case(
        "C16-frames-outer-type",
        "8.7.3.5.1, RFC 2387",
        REC,
        "The type parameter of a multipart answer is the media type of its parts and nothing else.",
        _outer_type,
    ),
    _case("W10-frame-range", "RFC 9110 14.2", OPT, "A range of a frame may be asked for.", _range),
)
