"""A frame as lossless HTJ2K, decoded again and held to be the same bit for bit (PS3.5 §8.2.16).

What comes back in any way different is refused, bits outside Bits Stored included: a copy stands in for the frame.
"""

from dataclasses import replace

import numpy as np

from archive.errors import UnprocessableError
from archive.instances import PixelFacts
from wado.pixels.decode import Samples, decode
from wado.pixels.encode import encode_frame
from wado.pixels.syntaxes import HIGH_THROUGHPUT, HTJ2K_LOSSLESS, NATIVE
from wado.pixels.transcode import facts_after, native_samples, targets_of, transcoding_of


def takes_exact_copy(transfer_syntax_uid: str, facts: PixelFacts) -> bool:
    """Whether frames like these may have such a copy: from lossless syntaxes, of samples that HTJ2K carries."""
    row = transcoding_of(transfer_syntax_uid)
    return (
        row is not None
        and row.lossless
        and transfer_syntax_uid not in HIGH_THROUGHPUT
        and facts.photometric_interpretation != "YBR_FULL_422"  # encoded at full resolution, so not the same samples
        and HTJ2K_LOSSLESS in targets_of(transfer_syntax_uid, facts)
    )


def exact_copy(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str, bit_offset: int = 0) -> bytes:
    """The frame as `transcode_frame` gives it in HTJ2K, verified.

    Raises
    ------
    UnprocessableError
        The frame cannot be decoded, or what is decoded from the copy is not what the frame holds.
    """
    if not takes_exact_copy(transfer_syntax_uid, facts):
        raise UnprocessableError("Frames of this instance cannot be given in this transfer syntax.")
    samples = native_samples(frame, facts, transfer_syntax_uid, bit_offset)
    if transfer_syntax_uid in NATIVE and not np.array_equal(samples, _all_bits(frame, facts, transfer_syntax_uid)):
        raise UnprocessableError("The frame holds bits outside Bits Stored.")
    coded = encode_frame(samples, facts_after(facts, transfer_syntax_uid), HTJ2K_LOSSLESS)
    again = decode(coded, facts_after(facts, transfer_syntax_uid, HTJ2K_LOSSLESS), HTJ2K_LOSSLESS).samples
    if again.dtype != samples.dtype or not np.array_equal(again, samples):
        raise UnprocessableError("The frame holds more than its copy in this transfer syntax would.")
    return coded


def _all_bits(frame: bytes, facts: PixelFacts, transfer_syntax_uid: str) -> Samples:
    """The samples as they stand in native pixel data, the bits outside Bits Stored with them."""
    whole = replace(facts, bits_stored=facts.bits_allocated, high_bit=facts.bits_allocated - 1)
    return decode(frame, whole, transfer_syntax_uid).samples
