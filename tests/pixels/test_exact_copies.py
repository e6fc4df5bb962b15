"""Lossless HTJ2K copies: the same samples by any decoder, nothing that is not, and a file that shows its own damage."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openjpeg
import pytest

from archive.errors import UnprocessableError
from archive.identifiers import Digest
from wado.pixels.copies import FrameCopies
from wado.pixels.decode import decode_frame
from wado.pixels.encode import encode_frame
from wado.pixels.exact import exact_copy, takes_exact_copy
from wado.pixels.source import FrameReader, FrameSource
from wado.pixels.syntaxes import (
    EXPLICIT_LE,
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    IMPLICIT_LE,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_XL,
    NATIVE,
    RLE,
)
from wado.pixels.transcode import facts_after, native_samples, transcode_frame

A, B, C = (Digest(f"{number:064x}") for number in (1, 2, 3))
FRAMES = [b"first frame", b"the second", b"and a third"]


def put(copies: FrameCopies, digest: Digest, frames: list[bytes]) -> None:
    with copies.begin(digest, len(frames)) as draft:
        for frame in frames:
            draft.add(frame)
        draft.keep()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("stored", [EXPLICIT_LE, RLE, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_2000_LOSSLESS])
def test_a_copy_holds_the_samples_of_every_kind_of_image_that_htj2k_carries(kind: Any, stored: str) -> None:
    samples, facts = kind.draw(), kind.facts
    if kind.bits_allocated == 32:
        assert not takes_exact_copy(stored, facts)
        return
    facts = facts if stored == EXPLICIT_LE else facts_after(facts, EXPLICIT_LE, stored)
    frame = samples.tobytes() if stored == EXPLICIT_LE else encode_frame(samples, kind.facts, stored)
    if facts.planar_configuration:
        facts = replace(facts, planar_configuration=1)
    copy = exact_copy(frame, facts, stored)
    after = facts_after(facts, stored, HTJ2K_LOSSLESS)
    assert np.array_equal(decode_frame(copy, after, HTJ2K_LOSSLESS), samples)
    assert copy == transcode_frame(frame, facts, stored, HTJ2K_LOSSLESS)
    assert copy == transcode_frame(frame, facts, stored, HTJ2K_LOSSLESS_RPCL)


def test_another_decoder_finds_the_same_samples_in_a_copy(ct_kind: Any) -> None:
    samples = ct_kind.draw()
    copy = exact_copy(samples.tobytes(), ct_kind.facts, EXPLICIT_LE)
    assert np.array_equal(openjpeg.decode(copy), samples)


def test_frames_of_real_files_are_copied_bit_for_bit_or_not_at_all(real_sources: tuple[FrameSource, ...]) -> None:
    reader, made, refused = FrameReader(), 0, 0
    for source in real_sources:
        facts, stored = source.facts, source.transfer_syntax_uid
        if not takes_exact_copy(stored, facts) or facts.rows * facts.columns > 1 << 20:
            continue
        location = source.frame(0)
        try:
            frame = reader.read(location)
            copy = exact_copy(frame, facts, stored, location.bit_offset)
        except UnprocessableError:
            refused += 1
            continue
        decoded = decode_frame(copy, facts_after(facts, stored, HTJ2K_LOSSLESS), HTJ2K_LOSSLESS)
        assert np.array_equal(decoded, native_samples(frame, facts, stored)), source.path.name
        if stored in NATIVE and facts.samples_per_pixel == 1 and stored in (EXPLICIT_LE, IMPLICIT_LE):
            assert decoded.tobytes() == frame[: decoded.nbytes], source.path.name
        made += 1
    assert made > 20
    assert refused < made


@pytest.mark.parametrize(
    "stored", [JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR, JPEG_2000, JPEG_XL, HTJ2K, HTJ2K_LOSSLESS, "1.2.3"]
)
def test_lossy_frames_and_those_that_are_htj2k_are_not_copied(ct_kind: Any, stored: str) -> None:
    assert not takes_exact_copy(stored, ct_kind.facts)
    with pytest.raises(UnprocessableError):
        exact_copy(b"", ct_kind.facts, stored)


def test_bits_outside_bits_stored_are_never_lost_to_a_copy(ct_kind: Any) -> None:
    samples = ct_kind.draw()
    samples[7, 5] |= 0x8000
    with pytest.raises(UnprocessableError):
        exact_copy(samples.tobytes(), ct_kind.facts, EXPLICIT_LE)


def test_frames_are_read_as_they_were_added(tmp_path: Path) -> None:
    copies = FrameCopies(tmp_path / "copies", 1 << 20)
    assert copies.read(A, 0) is None
    assert not copies.is_there(A)
    put(copies, A, FRAMES)
    assert [copies.read(A, index) for index in range(3)] == FRAMES
    assert copies.read(A, 3) is None
    assert copies.is_there(A)
    assert FrameCopies(tmp_path / "copies", 1 << 20).read(A, 1) == FRAMES[1]


def test_that_there_is_no_copy_to_be_had_is_remembered_and_is_no_copy(tmp_path: Path) -> None:
    copies = FrameCopies(tmp_path, 1 << 20)
    assert not copies.is_settled(A)
    copies.note_none(A)
    assert copies.is_settled(A)
    assert not copies.is_there(A)
    assert copies.read(A, 0) is None
    assert copies.is_settled(A)


def test_nothing_is_left_of_a_copy_that_was_not_finished(tmp_path: Path) -> None:
    copies = FrameCopies(tmp_path, 1 << 20)
    with copies.begin(A, 3) as draft:
        draft.add(FRAMES[0])
    assert not files(tmp_path)
    with copies.begin(A, 3) as draft, pytest.raises(ValueError, match="every frame"):
        draft.keep()
    assert not files(tmp_path)


@pytest.mark.parametrize("place", [0, 20, 40, 60, 110])
def test_a_damaged_copy_is_thrown_away_and_never_given(tmp_path: Path, place: int) -> None:
    copies = FrameCopies(tmp_path, 1 << 20)
    put(copies, A, FRAMES)
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x20
    path.write_bytes(data)
    for index, frame in enumerate(FRAMES):
        assert copies.read(A, index) in (frame, None)
    assert not copies.is_there(A)


def test_a_copy_that_was_cut_short_is_thrown_away(tmp_path: Path) -> None:
    copies = FrameCopies(tmp_path, 1 << 20)
    put(copies, A, FRAMES)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert copies.read(A, 2) is None
    assert not copies.is_there(A)


def test_the_copies_that_were_used_longest_ago_go_when_the_limit_is_reached(tmp_path: Path) -> None:
    copies = FrameCopies(tmp_path, 250_000)
    for digest, seconds in ((A, 3000), (B, 2000)):
        put(copies, digest, [os.urandom(100_000)])
        (path,) = (tmp_path / digest[:2] / digest).iterdir()
        os.utime(path, (time.time() - seconds,) * 2)
    assert copies.read(A, 0) is not None  # used again, so now the newer one
    put(copies, C, [os.urandom(100_000)])
    assert copies.is_there(A)
    assert not copies.is_there(B)
    assert copies.is_there(C)
