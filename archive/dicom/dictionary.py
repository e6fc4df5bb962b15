"""The VR of an attribute that is encoded without one (PS3.5 §7.1.3, A.1), by the data dictionary (PS3.6)."""

from functools import lru_cache

from pydicom.datadict import dictionary_VR, private_dictionary_VR

US_OR_SS = "US or SS"
# Implicit VR Little Endian: pixel, overlay, waveform and lookup data are OW (PS3.5 A.1).
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "NONE": "UN", "OB": "OB"}


@lru_cache(maxsize=1 << 14)
def public_vr(tag: int) -> str:
    """VR of a standard attribute; `US_OR_SS` where Pixel Representation decides, UN where it is not known."""
    try:
        vr = str(dictionary_VR(tag))
    except KeyError:
        return "UN"
    return _AMBIGUOUS.get(vr, vr)


@lru_cache(maxsize=1 << 12)
def private_vr(tag: int, creator: str) -> str:
    """VR of a private attribute by the creator of its block; UN where it is not known."""
    try:
        vr = str(private_dictionary_VR(tag, creator))
    except KeyError:
        return "UN"
    return _AMBIGUOUS.get(vr, vr)


class ImpliedVRs:
    """What one dataset says about the VRs of its elements: private creators, and whether pixels are signed."""

    __slots__ = ("_creators", "_signed")

    def __init__(self, outer: "ImpliedVRs | None" = None) -> None:
        self._creators: dict[int, str] = {}
        self._signed: bool = outer is not None and outer._signed

    def vr_of(self, tag: int) -> str:
        element = tag & 0xFFFF
        if element == 0:
            return "UL"
        if tag >> 16 & 1:
            if 0x10 <= element <= 0xFF:
                return "LO"
            creator = self._creators.get(tag >> 16 << 16 | element >> 8)
            vr = private_vr(tag, creator) if creator else "UN"
        else:
            vr = public_vr(tag)
        if vr == US_OR_SS:
            return "SS" if self._signed else "US"
        return vr

    def learn_creator(self, tag: int, value: bytes) -> None:
        """Take note of a private creator, (gggg,0010) to (gggg,00FF)."""
        self._creators[tag] = value.decode("latin-1").strip("\0 ")

    def learn_pixel_representation(self, *, signed: bool) -> None:
        self._signed = signed
