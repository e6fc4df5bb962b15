"""Frames (PS3.18 §10.4.1.1.6, §8.7.3.3): every sample of every frame, in the syntax that the part names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from conformance.media_types import SYNTAX_OF_IMAGE_TYPE
from conformance.model import Case, Failure, Level, NotOffered, Service
from conformance.multipart import Part
from conformance.probe import OCTETS, Probe, expect, expect_status
from conformance.samples import Sample
from conformance.wire import Response

REQ, REC, OPT, INF = Level.REQUIRED, Level.RECOMMENDED, Level.OPTIONAL, Level.INFORMATIVE
LE = "1.2.840.10008.1.2.1"
NATIVE_SYNTAXES = frozenset({LE, "1.2.840.10008.1.2.1.99"})
NATIVE = (
    "native-u8",
    "native-odd",
    "native-u16",
    "native-s16",
    "native-rgb",
    "native-planar",
    "frames-u16",
    "frames-odd",
    "implicit-le",
    "big-endian",
    "deflated",
    "implicit-file",
    "big-endian-16",
    "big-endian-rgb",
    "big-endian-32",
    "dose-32",
    "rgb-odd",
    "ybr-422",
    "segmentation-1",
    "bits-aligned",
    "float-pixels",
)
LOSSLESS = (
    "rle-file",
    "rle-3",
    "rle-3-no-bot",
    "rle-3-extended-table",
    "rle-rgb-2",
    "rle-16-2",
    "jls",
    "j2k",
    "jpeg-lossless",
    "j2k-fragments",
    "j2k-fragments-no-bot",
)
LOSSY = ("jpeg-baseline", "jpeg-extended", "j2k-lossy")
WHAT = {"rle": "RLE", "jls": "JPEG-LS", "j2k": "JPEG 2000", "jpeg": "JPEG"}
REC_DECODES = frozenset({"j2k-fragments-no-bot", "rle-3-no-bot", "float-pixels"})


def frame_parts(response: Response) -> tuple[Part, ...]:
    """Give the frames of an answer; a single part counts as one frame."""
    if response.media_type.essence == "multipart/related":
        return response.parts()
    return (Part(response.headers, response.body),)


def frame_list(sample: Sample) -> str:
    return ",".join(str(number + 1) for number in range(max(len(sample.frames), len(sample.stored_frames))))


def _check_native(sample: Sample, parts: tuple[Part, ...], expected: tuple[bytes, ...]) -> None:
    expect(len(parts) == len(expected), f"{len(parts)} parts for {len(expected)} frames")
    for number, (part, frame) in enumerate(zip(parts, expected, strict=True), 1):
        essence, syntax = part.media_type.essence, part.media_type.parameter("transfer-syntax")
        expect(essence == "application/octet-stream", f"the part is {part.header('Content-Type')}")
        expect(syntax in (None, *NATIVE_SYNTAXES), f"the part says transfer-syntax={syntax}")
        if not same_frame(sample, part.body, frame):
            raise Failure(f"frame {number}: {_difference(part.body, frame, sample)}")


def same_frame(sample: Sample, found: bytes, frame: bytes) -> bool:
    """Compare samples; a pad byte is let pass, and colour by plane where the object came from RLE."""
    if found in (frame, frame + b"\0"):
        return True
    if sample.name.startswith("rle-rgb") or sample.name in ("rle-16-2", "jpeg-lossless"):
        width = {1: "u1", 2: "<u2", 4: "<u4"}[sample.bytes_per_sample]
        planes = np.frombuffer(frame, width).reshape(-1, 3).T
        return found == planes.tobytes()
    return False


def _difference(found: bytes, frame: bytes, sample: Sample) -> str:
    if len(found) != len(frame):
        return f"{len(found)} bytes, expected {len(frame)}"
    width = sample.bytes_per_sample
    wrong = sum(found[at : at + width] != frame[at : at + width] for at in range(0, len(frame), width))
    return f"{wrong} of {len(frame) // width} samples differ"


def _native(name: str, probe: Probe) -> None:
    sample = probe.sample(name)
    response = probe.get(f"{sample.path}/frames/{frame_list(sample)}", OCTETS)
    expect_status(response, 200)
    _check_native(sample, frame_parts(response), sample.frames)


def _lossy(name: str, probe: Probe) -> None:
    """A lossy object may be sent as it is even when decoded octets are asked for (§8.7.3.3)."""
    sample = probe.sample(name)
    response = probe.get(f"{sample.path}/frames/1", OCTETS)
    expect_status(response, 200, 406)
    if response.status == 406:
        probe.note("406: the object is held in lossy form only")
        return
    part = frame_parts(response)[0]
    if part.media_type.parameter("transfer-syntax") == sample.syntax or part.media_type.essence.startswith("image/"):
        expect(_trim(part.body) == _trim(sample.stored_frames[0]), "sent as stored, but the bytes differ")
    else:
        expect(len(part.body) > len(sample.stored_frames[0]), "the part says octet-stream and is still compressed")


def _stored(name: str, probe: Probe) -> None:
    sample = probe.sample(name)
    response = probe.get(f"{sample.path}/frames/{frame_list(sample)}", f"{OCTETS}; transfer-syntax=*")
    expect_status(response, 200)
    parts = frame_parts(response)
    expect(len(parts) == len(sample.stored_frames), f"{len(parts)} parts for {len(sample.stored_frames)} frames")
    for number, (part, stream) in enumerate(zip(parts, sample.stored_frames, strict=True), 1):
        label = _label(part)
        if label in NATIVE_SYNTAXES and sample.frames:
            expect(same_frame(sample, part.body, sample.frames[number - 1]), f"frame {number} is decoded wrongly")
        else:
            expect(
                label == sample.syntax,
                f"frame {number} is labelled {part.header('Content-Type')}, stored is {sample.syntax}",
            )
            expect(_trim(part.body) == _trim(stream), f"frame {number} is not the stored code stream")


def _label(part: Part) -> str:
    said = part.media_type.parameter("transfer-syntax")
    if said:
        return said
    known = SYNTAX_OF_IMAGE_TYPE.get(part.media_type.essence, {LE})
    return {
        "image/jpeg": "1.2.840.10008.1.2.4.70",
        "image/jls": "1.2.840.10008.1.2.4.80",
        "image/jp2": "1.2.840.10008.1.2.4.90",
    }.get(part.media_type.essence, min(known))


def _trim(stream: bytes) -> bytes:
    return stream.rstrip(b"\0")


def _image_type(name: str, essence: str, syntax: str, probe: Probe) -> None:
    sample = probe.sample(name)
    accept = f'multipart/related; type="{essence}"; transfer-syntax={syntax}'
    response = probe.get(f"{sample.path}/frames/1", accept)
    if response.status == 406:
        raise NotOffered("406")
    expect_status(response, 200)
    part = frame_parts(response)[0]
    expect(part.media_type.essence == essence, f"the part is {part.header('Content-Type')}")
    expect(_label(part) == syntax, f"the part is labelled {part.header('Content-Type')}")
    if sample.syntax == syntax:
        expect(_trim(part.body) == _trim(sample.stored_frames[0]), "not the stored code stream")
    else:
        starts = {"image/jls": b"\xff\xd8", "image/jpeg": b"\xff\xd8", "image/jp2": (b"\xff\x4f", b"\0\0\0\x0c")}
        expect(part.body.startswith(starts.get(essence, b"")), "the code stream does not begin as its type does")


def _order(numbers: str, probe: Probe) -> None:
    sample = probe.sample("frames-u16")
    response = probe.get(f"{sample.path}/frames/{numbers}", OCTETS)
    expect_status(response, 200)
    wanted = tuple(sample.frames[int(number) - 1] for number in numbers.replace("%2C", ",").split(","))
    _check_native(sample, frame_parts(response), wanted)


def _bad_frame(numbers: str, allowed: tuple[int, ...], probe: Probe) -> None:
    expect_status(probe.get(f"{probe.sample('frames-u16').path}/frames/{numbers}", OCTETS), *allowed)


def _partial(probe: Probe) -> None:
    sample = probe.sample("frames-u16")
    response = probe.get(f"{sample.path}/frames/1,99", OCTETS)
    expect_status(response, 206, 400, 404)
    if response.status == 206:
        _check_native(sample, frame_parts(response), sample.frames[:1])
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
        _case(
            f"W12-native-{name}",
            "10.4.1.1.6, 8.7.3.3.1",
            REC if name in REC_DECODES else REQ,
            "A native frame comes with every sample, little endian.",
            partial(_native, name),
        )
        for name in NATIVE
    ),
    *(
        _case(
            f"W15-decoded-{name}",
            "8.7.3.3.1",
            REC if name in REC_DECODES else REQ,
            "A losslessly compressed frame comes decoded when octets without a syntax are asked for.",
            partial(_native, name),
        )
        for name in LOSSLESS
    ),
    *(
        _case(
            f"W15-lossy-{name}",
            "8.7.3.3",
            REQ,
            "A lossy frame comes as stored and labelled so, or decoded.",
            partial(_lossy, name),
        )
        for name in LOSSY
    ),
    *(
        _case(
            f"W16-stored-{name}",
            "8.7.3.3.2",
            REC if name in REC_DECODES else REQ,
            "transfer-syntax=* gives a compressed frame whole, without delimiters, under its true label.",
            partial(_stored, name),
        )
        for name in (*LOSSLESS, *LOSSY)
    ),
    *(
        _case(
            f"C13-type-{name}",
            "8.7.3.3.2",
            OPT,
            f"{essence} with its transfer syntax gives the stored frame.",
            partial(_image_type, name, essence, syntax),
        )
        for name, essence, syntax in (
            ("rle-file", "image/dicom-rle", "1.2.840.10008.1.2.5"),
            ("jls", "image/jls", "1.2.840.10008.1.2.4.80"),
            ("j2k", "image/jp2", "1.2.840.10008.1.2.4.90"),
            ("j2k-lossy", "image/jp2", "1.2.840.10008.1.2.4.91"),
            ("jpeg-lossless", "image/jpeg", "1.2.840.10008.1.2.4.70"),
            ("jpeg-baseline", "image/jpeg", "1.2.840.10008.1.2.4.50"),
            ("jpeg-extended", "image/jpeg", "1.2.840.10008.1.2.4.51"),
        )
    ),
    *(
        _case(
            f"C14-encoded-{essence.split('/')[1]}",
            "8.7.3.3.2",
            OPT,
            f"A native frame may be had as {essence}.",
            partial(_image_type, "native-u16", essence, syntax),
        )
        for essence, syntax in (
            ("image/jls", "1.2.840.10008.1.2.4.80"),
            ("image/jp2", "1.2.840.10008.1.2.4.90"),
            ("image/dicom-rle", "1.2.840.10008.1.2.5"),
        )
    ),
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
    _case("W10-frame-range", "RFC 9110 14.2", OPT, "A range of a frame may be asked for.", _range),
)
