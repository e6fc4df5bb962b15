"""Frames (PS3.18 §10.4.1.1.6, §8.7.3.3): every sample of every frame, in the syntax that the part names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
REC_DECODES = frozenset({"j2k-fragments-no-bot", "rle-3-no-bot", "float-pixels", "ybr-422"})


def frame_parts(response: Response) -> tuple[Part, ...]:
    """Give the frames of an answer; a single part counts as one frame."""
    if response.media_type.essence == "multipart/related":
        return response.parts()
    return (Part(response.headers, response.body),)


def frame_list(sample: Sample) -> str:
    return ",".join(str(number + 1) for number in range(max(len(sample.frames), len(sample.stored_frames))))


def check_native(sample: Sample, parts: tuple[Part, ...], expected: tuple[bytes, ...]) -> None:
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
    check_native(sample, frame_parts(response), sample.frames)


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
        starts: dict[str, tuple[bytes, ...]] = {
            "image/jls": (b"\xff\xd8",),
            "image/jpeg": (b"\xff\xd8",),
            "image/jp2": (b"\xff\x4f", b"\0\0\0\x0c"),
        }
        expect(part.body.startswith(starts.get(essence, (b"",))), "the code stream does not begin as its type does")


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
)
