"""Choose and apply a content coding (RFC 9110 §12.5.3). Pure."""

import sys
import zlib
from collections.abc import Sequence

import brotli

from archive.dicomweb.header_values import parse_weight, split_unquoted

if sys.version_info >= (3, 14):
    from compression import zstd

IDENTITY = "identity"
CODINGS: tuple[str, ...] = ("gzip", "br", "zstd") if sys.version_info >= (3, 14) else ("gzip", "br")
"""What can be made here; on equal wishes the first is taken, the cheapest to make."""

GZIP_LEVEL = 4
BROTLI_QUALITY = 4


def choose_coding(accept_values: Sequence[str], available: Sequence[str]) -> str:
    """The coding to send; `identity` where none is wanted, asked for or available."""
    weights: dict[str, float] = {}
    for member in [member for value in accept_values for member in split_unquoted(value, ",")]:
        name, *parameters = split_unquoted(member, ";") or [""]
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                try:
                    weight = parse_weight(value.strip())
                except ValueError:
                    weight = 0.0
        name = name.lower()
        weights["gzip" if name == "x-gzip" else name] = weight
    best, best_weight = IDENTITY, 0.0
    for coding in available:
        weight = weights.get(coding, weights.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = coding, weight
    return best if best_weight >= weights.get(IDENTITY, 0.0) else IDENTITY


def compress(data: bytes, coding: str) -> bytes:
    """The data in one of `CODINGS`. Raises ValueError for another one."""
    if coding == "gzip":
        compressor = zlib.compressobj(GZIP_LEVEL, wbits=31)
        return compressor.compress(data) + compressor.flush()
    if coding == "br":
        return bytes(brotli.compress(data, quality=BROTLI_QUALITY))
    if sys.version_info >= (3, 14) and coding == "zstd":
        return zstd.compress(data)
    raise ValueError(coding)
