"""What can be given of an instance, for Accept to choose from (PS3.18 §8.7.3, §10.4.3).

The default of each resource category comes first. What can be made of what is the table of `wado.pixels.transcode`.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from archive.dicomweb.media_types import EXPLICIT_VR_LE, MEDIA_TYPE_OF_SYNTAX, Offer
from archive.instances import FrameLayout, Instance, PixelFacts
from wado.pixels.copies import COPIED_AS
from wado.pixels.exact import takes_exact_copy
from wado.pixels.transcode import targets_of

COPIED, AS_STORED, DECODED, ENCODED = -1, 0, 5, 9
"""Ranks: what a representation costs the server. A copy costs less than what is stored: fewer bytes are sent."""
NATIVE_SYNTAXES = frozenset(("1.2.840.10008.1.2", EXPLICIT_VR_LE, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"))
OCTET_STREAM = "application/octet-stream"
DICOM = "application/dicom"
ZIP = "application/zip"


def _both_forms(media_type: str, syntax: str, rank: int) -> Iterable[Offer]:
    yield Offer(media_type, syntax, multipart=True, rank=rank)
    yield Offer(media_type, syntax, multipart=False, rank=rank)


def frame_offers(instance: Instance) -> tuple[Offer, ...]:
    """Representations of a frame; empty where the instance has none that can be cut out."""
    if instance.pixels is None or instance.frames.layout in (FrameLayout.NONE, FrameLayout.WHOLE):
        return ()
    return _frame_offers(instance.transfer_syntax_uid, instance.pixels)


@lru_cache(maxsize=1024)
def _frame_offers(stored: str, pixels: PixelFacts) -> tuple[Offer, ...]:
    targets = targets_of(stored, pixels)
    offers: list[Offer] = []
    if stored in NATIVE_SYNTAXES:
        offers += _both_forms(OCTET_STREAM, EXPLICIT_VR_LE, AS_STORED)
    else:
        if EXPLICIT_VR_LE in targets:
            offers += _both_forms(OCTET_STREAM, EXPLICIT_VR_LE, DECODED)
        offers += _both_forms(MEDIA_TYPE_OF_SYNTAX.get(stored, OCTET_STREAM), stored, AS_STORED)
        # What OHIF asks for: octets of whatever syntax is stored; the part's transfer-syntax says which.
        offers += _both_forms(OCTET_STREAM, stored, AS_STORED)
    for target in targets:
        if target not in (EXPLICIT_VR_LE, stored):
            offers += _both_forms(MEDIA_TYPE_OF_SYNTAX[target], target, ENCODED)
    return tuple(offers)


@lru_cache(maxsize=1024)
def offers_of_copied(stored: str, pixels: PixelFacts) -> tuple[Offer, ...]:
    """The same of a frame that is copied to HTJ2K; empty where such frames are not copied."""
    if not takes_exact_copy(stored, pixels):
        return ()
    return tuple(
        replace(offer, rank=COPIED) if offer.transfer_syntax_uid in COPIED_AS else offer
        for offer in _frame_offers(stored, pixels)
    )


class _Form(NamedTuple):
    """All that decides what an instance can be given as."""

    stored: str
    pixels: PixelFacts | None
    layout: FrameLayout
    single: bool


def object_offers(instance: Instance, *, single: bool, beside: tuple[Offer, ...] = ()) -> tuple[Offer, ...]:
    """Representations of a whole instance as DICOM files, then what is `beside` them.

    `single` where the request names one instance. Instances of one form have the very same tuple: whoever chooses for
    a whole study needs to look at each form once.
    """
    form = _Form(instance.transfer_syntax_uid, instance.pixels, instance.frames.layout, single)
    return _object_offers(form, beside)


@lru_cache(maxsize=1024)
def _object_offers(form: _Form, beside: tuple[Offer, ...]) -> tuple[Offer, ...]:
    stored, pixels, layout, single = form
    syntaxes = [(stored, AS_STORED)]
    targets = () if pixels is None or layout in (FrameLayout.NONE, FrameLayout.WHOLE) else targets_of(stored, pixels)
    if stored != EXPLICIT_VR_LE and (stored in NATIVE_SYNTAXES or pixels is None or EXPLICIT_VR_LE in targets):
        syntaxes.insert(0, (EXPLICIT_VR_LE, DECODED))
    syntaxes += [(target, ENCODED) for target in targets if target not in (EXPLICIT_VR_LE, stored)]
    files = (
        Offer(DICOM, syntax, multipart=multipart, rank=rank, stands_in=syntax == stored and layout is FrameLayout.WHOLE)
        for syntax, rank in syntaxes
        for multipart in ((True, False) if single else (True,))
    )
    return (*files, *beside)
