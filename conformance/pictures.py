"""Look into pictures with the standard library alone: decode PNG, read the heads of JPEG and GIF."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

_PNG = b"\x89PNG\r\n\x1a\n"
_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


@dataclass(frozen=True, slots=True)
class JpegHead:
    rows: int
    columns: int
    precision_bits: int
    components: int
    is_baseline: bool


def jpeg_head(data: bytes) -> JpegHead:
    """Find the frame header; ValueError where this is no whole JPEG."""
    if not data.startswith(b"\xff\xd8") or b"\xff\xd9" not in data[-64:]:
        raise ValueError("not a whole JPEG: it has no start or no end of image")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("not a JPEG: a marker is missing")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _START_OF_FRAME:
            precision, rows, columns, components = struct.unpack(">BHHB", data[at + 4 : at + 10])
            return JpegHead(rows, columns, precision, components, marker == 0xC0)
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise ValueError("a JPEG without a frame header")


def gif_head(data: bytes) -> tuple[int, int, int]:
    """Give rows, columns and the number of images of a GIF."""
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("not a GIF")
    columns, rows, flags = struct.unpack("<HHB", data[6:11])
    at = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    images = 0
    while data[at] != 0x3B:
        if data[at] == 0x21:
            at += 2
        else:
            images += 1
            local = data[at + 9]
            at += 10 + (3 * 2 ** ((local & 7) + 1) if local & 0x80 else 0) + 1
        while data[at]:
            at += 1 + data[at]
        at += 1
    return rows, columns, images


def png_pixels(data: bytes) -> np.ndarray:
    """Decode a PNG that is not interlaced: (rows, columns) or (rows, columns, 3), eight bits."""
    if not data.startswith(_PNG):
        raise ValueError("not a PNG")
    chunks = _chunks(data)
    columns, rows, bits, kind, _, _, interlace = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    if interlace or bits not in (8, 16):
        raise ValueError(f"a PNG of {bits} bits, interlace {interlace}: not looked into")
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    width = bits // 8
    raw = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    lines = _unfilter(raw, rows, columns * channels * width, channels * width)
    array = lines.reshape(rows, columns, channels, width)[..., 0]
    if kind == 3:
        palette = np.frombuffer(dict(chunks)[b"PLTE"], "u1").reshape(-1, 3)
        return np.asarray(palette[array[..., 0]])
    colours = array[..., : 3 if channels >= 3 else 1]
    return np.asarray(colours if colours.shape[-1] == 3 else colours[..., 0])


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(_PNG)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _unfilter(raw: bytes, rows: int, line_bytes: int, step: int) -> np.ndarray:
    out = np.zeros((rows, line_bytes), np.int32)
    before = np.zeros(line_bytes, np.int32)
    for row in range(rows):
        at = row * (line_bytes + 1)
        line = np.frombuffer(raw[at + 1 : at + 1 + line_bytes], "u1").astype(np.int32)
        out[row] = before = _unfilter_line(raw[at], line, before, step)
    return out.astype("u1")


def _unfilter_line(kind: int, line: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    if kind == 0:
        return line
    if kind == 2:
        return np.asarray((line + above) & 255)
    done = line.copy()
    for at in range(len(line)):
        left = int(done[at - step]) if at >= step else 0
        corner = int(above[at - step]) if at >= step else 0
        up = int(above[at])
        guess = {1: left, 3: (left + up) // 2, 4: _paeth(left, up, corner)}[kind]
        done[at] = (int(line[at]) + guess) & 255
    return done


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))
