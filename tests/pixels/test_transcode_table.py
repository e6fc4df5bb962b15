"""The table of what can become what: every pair in it is tried, and what comes back is what went in."""

from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import openjpeg
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.codestream import read_header
from wado.pixels.decode import DECODABLE, decode_frame
from wado.pixels.encode import ENCODABLE, encode_frame
from wado.pixels.syntaxes import (
    DEFLATED_FRAMES,
    EXPLICIT_BE,
    EXPLICIT_LE,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    IMPLICIT_LE,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_XL_JPEG,
    JPEG_XL_LOSSLESS,
    RLE,
)
from wado.pixels.transcode import TRANSCODINGS, facts_after, is_lossy, native_frame, targets_of, transcode_frame

VIDEO = "1.2.840.10008.1.2.4.102"


def lossless_targets(source: str, facts: PixelFacts) -> list[str]:
    return [target for target in targets_of(source, facts) if not is_lossy(target) and target != EXPLICIT_LE]


def test_every_lossless_target_gives_back_every_sample(kind: Any) -> None:
    samples, facts = kind.draw(), kind.facts
    targets = lossless_targets(EXPLICIT_LE, facts)
    assert RLE in targets
    for target in targets:
        coded = transcode_frame(samples.tobytes(), facts, EXPLICIT_LE, target)
        after = facts_after(facts, EXPLICIT_LE, target)
        assert len(coded) % 2 == 0
        np.testing.assert_array_equal(decode_frame(coded, after, target), samples, err_msg=target)
        assert native_frame(coded, after, target) == samples.tobytes()


def test_every_compressed_syntax_becomes_every_other_without_loss(ct_kind: Any) -> None:
    samples, facts = ct_kind.draw(), ct_kind.facts
    for source in lossless_targets(EXPLICIT_LE, facts):
        coded = encode_frame(samples, facts, source)
        for target in lossless_targets(source, facts):
            again = transcode_frame(coded, facts, source, target)
            np.testing.assert_array_equal(decode_frame(again, facts, target), samples, err_msg=f"{source} {target}")


@pytest.mark.parametrize("target", [JPEG_LS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, RLE])
def test_pydicom_decodes_what_is_encoded_here(kind: Any, target: str) -> None:
    samples, facts = kind.draw(), kind.facts
    if target not in targets_of(EXPLICIT_LE, facts):
        return
    coded = transcode_frame(samples.tobytes(), facts, EXPLICIT_LE, target)
    after = facts_after(facts, EXPLICIT_LE, target)
    array, _ = get_decoder(target).as_array(
        encapsulate([coded]),
        raw=True,
        rows=after.rows,
        columns=after.columns,
        samples_per_pixel=after.samples_per_pixel,
        photometric_interpretation=after.photometric_interpretation,
        bits_allocated=after.bits_allocated,
        bits_stored=after.bits_stored,
        pixel_representation=after.pixel_representation,
        planar_configuration=after.planar_configuration,
        number_of_frames=1,
        pixel_keyword="PixelData",
    )
    np.testing.assert_array_equal(array, samples)


@pytest.mark.parametrize("bits_stored", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("target", [HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, JPEG_2000_LOSSLESS])
def test_a_wavelet_code_stream_says_the_bits_that_are_stored(
    make_kind: Any, bits_stored: int, signed: bool, target: str
) -> None:
    kind = make_kind(bits_stored, 16, signed)
    header = read_header(encode_frame(kind.draw(), kind.facts, target), target)
    assert (header.bits, header.signed) == (bits_stored, signed)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits_stored", [8, 12, 16])
def test_jpeg_lossless_is_exact_for_every_predictor(make_kind: Any, predictor: int, bits_stored: int) -> None:
    kind = make_kind(bits_stored, 8 if bits_stored == 8 else 16)
    samples = kind.draw()
    coded = imagecodecs.jpeg8_encode(samples, lossless=True, predictor=predictor, bitspersample=bits_stored)
    np.testing.assert_array_equal(decode_frame(coded, kind.facts, "1.2.840.10008.1.2.4.57"), samples)


def test_two_wavelet_decoders_agree_on_our_high_throughput_frames(ct_kind: Any) -> None:
    samples = ct_kind.draw()
    coded = encode_frame(samples, ct_kind.facts, HTJ2K_LOSSLESS_RPCL)
    np.testing.assert_array_equal(openjpeg.decode(coded), samples)


def test_big_endian_words_are_turned_and_implicit_is_taken_as_it_is(kind: Any) -> None:
    samples, facts = kind.draw(), kind.facts
    assert native_frame(samples.byteswap().tobytes(), facts, EXPLICIT_BE) == samples.tobytes()
    assert native_frame(samples.tobytes(), facts, IMPLICIT_LE) == samples.tobytes()


def test_planes_are_put_together_whatever_the_planar_configuration(make_kind: Any) -> None:
    kind = make_kind(8, 8, photometric="RGB")
    samples = kind.draw()
    by_plane = replace(kind.facts, planar_configuration=1)
    np.testing.assert_array_equal(decode_frame(samples.transpose(2, 0, 1).tobytes(), by_plane, EXPLICIT_LE), samples)
    coded = transcode_frame(samples.transpose(2, 0, 1).tobytes(), by_plane, EXPLICIT_LE, JPEG_LS)
    np.testing.assert_array_equal(decode_frame(coded, kind.facts, JPEG_LS), samples)


def test_bits_that_are_not_stored_are_taken_from_the_samples_but_kept_in_native_and_rle_frames(make_kind: Any) -> None:
    kind = make_kind(12, 16)
    overlaid = kind.draw() | np.uint16(0x8000)
    facts = kind.facts
    np.testing.assert_array_equal(decode_frame(overlaid.tobytes(), facts, EXPLICIT_LE), kind.draw())
    assert native_frame(overlaid.tobytes(), facts, IMPLICIT_LE) == overlaid.tobytes()
    coded = transcode_frame(overlaid.tobytes(), facts, EXPLICIT_LE, RLE)
    whole = replace(facts, bits_stored=16, high_bit=15)
    np.testing.assert_array_equal(decode_frame(coded, whole, RLE), overlaid)


def test_a_signed_sample_is_read_from_the_bits_that_are_stored(make_kind: Any) -> None:
    facts = make_kind(12, 16, signed=True, rows=1, columns=2).facts
    samples = decode_frame(np.array([0x0FFF, 0x0800], np.uint16).tobytes(), facts, EXPLICIT_LE)
    assert samples.tolist() == [[-1, -2048]]


def test_one_bit_frames_begin_within_an_octet() -> None:
    facts = PixelFacts(3, 5, 1, "MONOCHROME2", 1, 1, 0, 0, number_of_frames=3)
    bits = np.random.default_rng(5).integers(0, 2, 45).astype(np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    for frame_index in range(3):
        first = frame_index * 15
        covering = packed[first // 8 : (first + 15 + 7) // 8]
        samples = decode_frame(covering, facts, EXPLICIT_LE, first % 8)
        np.testing.assert_array_equal(samples.ravel(), bits[first : first + 15])


def test_deflated_frames_come_back(make_kind: Any) -> None:
    kind = make_kind(12, 16)
    coded = encode_frame(kind.draw(), kind.facts, DEFLATED_FRAMES)
    np.testing.assert_array_equal(decode_frame(coded, kind.facts, DEFLATED_FRAMES), kind.draw())


def test_floating_point_samples_become_little_endian(make_kind: Any) -> None:
    facts = replace(make_kind(32, 32).facts, pixel_keyword="FloatPixelData")
    samples = np.linspace(-1e3, 1e9, 29 * 43, dtype=np.float32).reshape(29, 43)
    assert native_frame(samples.byteswap().tobytes(), facts, EXPLICIT_BE) == samples.tobytes()
    np.testing.assert_array_equal(decode_frame(samples.tobytes(), facts, EXPLICIT_LE), samples)
    assert targets_of(EXPLICIT_BE, facts) == (EXPLICIT_LE,)


def test_jpeg_becomes_jpeg_xl_and_back_bit_for_bit(make_kind: Any) -> None:
    kind = make_kind(8, 8, photometric="RGB", rows=256, columns=192)
    baseline = encode_frame(kind.draw(), kind.facts, JPEG_BASELINE)
    facts = facts_after(kind.facts, EXPLICIT_LE, JPEG_BASELINE)
    assert JPEG_XL_JPEG in targets_of(JPEG_BASELINE, facts)
    assert targets_of(JPEG_XL_JPEG, facts)[1] == JPEG_BASELINE
    recompressed = transcode_frame(baseline, facts, JPEG_BASELINE, JPEG_XL_JPEG)
    assert len(recompressed) < len(baseline)
    again = transcode_frame(recompressed, facts, JPEG_XL_JPEG, JPEG_BASELINE)
    assert again.rstrip(b"\0") == baseline.rstrip(b"\0")
    assert native_frame(recompressed, facts, JPEG_XL_JPEG) == native_frame(baseline, facts, JPEG_BASELINE)


def test_jpeg_baseline_is_offered_last_and_only_for_unsigned_bytes(make_kind: Any) -> None:
    assert targets_of(EXPLICIT_LE, make_kind(8, 8).facts)[-1] == JPEG_BASELINE
    for kind in (make_kind(12, 16), make_kind(8, 8, signed=True), make_kind(8, 8, photometric="PALETTE COLOR")):
        assert JPEG_BASELINE not in targets_of(EXPLICIT_LE, kind.facts)
    kind = make_kind(8, 8, rows=64, columns=64)
    coded = encode_frame(kind.draw(), kind.facts, JPEG_BASELINE)
    difference = decode_frame(coded, kind.facts, JPEG_BASELINE).astype(int) - kind.draw()
    assert np.abs(difference).max() < 24


def test_lossy_colour_is_given_as_rgb_and_lossless_colour_keeps_its_space(make_kind: Any) -> None:
    facts = make_kind(8, 8, photometric="YBR_FULL").facts
    assert facts_after(facts, JPEG_BASELINE).photometric_interpretation == "RGB"
    assert facts_after(facts, RLE).photometric_interpretation == "YBR_FULL"
    red, wavelet = make_kind(8, 8, photometric="RGB").facts, "YBR_RCT"
    assert facts_after(red, EXPLICIT_LE, HTJ2K_LOSSLESS).photometric_interpretation == wavelet
    assert (
        facts_after(replace(red, photometric_interpretation=wavelet), HTJ2K_LOSSLESS).photometric_interpretation
        == "RGB"
    )
    assert facts_after(red, EXPLICIT_LE, RLE).planar_configuration == 1


def test_what_is_not_in_the_table_is_neither_offered_nor_done(ct_kind: Any) -> None:
    facts = ct_kind.facts
    assert targets_of(VIDEO, facts) == ()
    assert targets_of(EXPLICIT_LE, replace(facts, rows=0)) == ()
    assert JPEG_LS not in targets_of(EXPLICIT_LE, replace(facts, high_bit=15))
    assert RLE in targets_of(EXPLICIT_LE, replace(facts, high_bit=15))
    assert JPEG_XL_LOSSLESS not in targets_of(EXPLICIT_LE, replace(facts, pixel_representation=1))
    with pytest.raises(UnprocessableError):
        transcode_frame(ct_kind.draw().tobytes(), facts, EXPLICIT_LE, JPEG_BASELINE)
    with pytest.raises(UnprocessableError):
        transcode_frame(ct_kind.draw().tobytes(), facts, VIDEO, EXPLICIT_LE)


def test_the_table_names_just_what_the_codecs_do() -> None:
    assert {row.transfer_syntax_uid for row in TRANSCODINGS} == DECODABLE
    targets = {row.transfer_syntax_uid for row in TRANSCODINGS if row.target is not None}
    assert targets == ENCODABLE - {DEFLATED_FRAMES}
    assert JPEG_LOSSLESS_SV1 in targets
    newer = DEFLATED_FRAMES, "1.2.840.10008.1.2.4.110", JPEG_XL_JPEG, "1.2.840.10008.1.2.4.112"  # than pydicom 3.0
    for row in TRANSCODINGS:
        uid = row.transfer_syntax_uid
        assert uid in newer or pydicom.uid.UID(uid).is_transfer_syntax


def test_noise_that_no_coder_can_shrink_still_comes_back(make_kind: Any) -> None:
    kind = make_kind(16, 16, signed=True, rows=97, columns=61)
    noise: NDArray[Any] = np.random.default_rng(3).integers(-32768, 32768, (97, 61)).astype(np.int16)
    for target in lossless_targets(EXPLICIT_LE, kind.facts):
        np.testing.assert_array_equal(decode_frame(encode_frame(noise, kind.facts, target), kind.facts, target), noise)
