"""A PNG of charts with 256 colours in place of millions: the same to the eye, and a third of the bytes.

Colours that are nearly one are averaged, the most frequent are kept, and the others have one for each neighbourhood.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Numbers = NDArray[Any]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256
_NEARLY = 3
"""Bits of each channel in which colours may differ and be one."""


def reduce_colours(picture: Path) -> None:
    """Write the picture again with a palette; ValueError when it is no PNG of eight bits in true colour."""
    pixels = _read(picture.read_bytes())
    flat = pixels.reshape(-1, 3).astype(np.int64)
    place, times = _groups(flat, _NEARLY)
    sums = np.stack([np.bincount(place, weights=flat[:, channel]) for channel in range(3)], axis=1)
    means = sums / times[:, None]
    palette = _palette(means, times)
    nearest = np.array([int(np.argmin(((palette - colour) ** 2).sum(axis=1))) for colour in means])
    indices = nearest[place].reshape(pixels.shape[:2]).astype(np.uint8)
    picture.write_bytes(_written(indices, np.rint(palette).astype(np.uint8)))


def _groups(colours: Numbers, bits: int) -> tuple[Numbers, Numbers]:
    """Which group each colour is in, those that differ in these lower bits alone being one, and how many each has."""
    coarse = colours.astype(np.int64) >> bits
    keys = (coarse[:, 0] << 16) | (coarse[:, 1] << 8) | coarse[:, 2]
    _, place, times = np.unique(keys, return_inverse=True, return_counts=True)
    return place, times


def _palette(means: Numbers, times: Numbers) -> Numbers:
    """The most frequent colours as they are, and of the rare ones one for each neighbourhood."""
    order = np.argsort(-times, kind="stable")
    kept, rare = order[: _COLOURS // 2], order[_COLOURS // 2 :]
    for bits in range(_NEARLY, 9):
        place, many = _groups(means[rare], bits)
        if len(many) <= _COLOURS - len(kept):
            break
    sums = np.stack([np.bincount(place, weights=means[rare][:, channel]) for channel in range(3)], axis=1)
    return np.concatenate([means[kept], sums / many[:, None]])


def _read(data: bytes) -> Pixels:
    """Height by width by three."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("this is no PNG")
    body, at = b"", len(_SIGNATURE)
    width = height = channels = 0
    while at < len(data):
        (size,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        content, at = data[at + 8 : at + 8 + size], at + 12 + size
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", content[:10])
            if depth != 8 or colour not in (2, 6) or content[12]:
                raise ValueError("expected eight bits, true colour, no interlacing")
            channels = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            body += content
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + width * channels)
    pixels = np.zeros((height + 1, (width + 1) * channels), np.uint8)  # a blank above and to the left
    for row, line in enumerate(lines, start=1):
        _unfilter(int(line[0]), line[1:], pixels, row, channels)
    return pixels[1:, channels:].reshape(height, width, channels)[:, :, :3]


def _unfilter(how: int, line: Pixels, pixels: Pixels, row: int, step: int) -> None:
    """Fill in one row: as it is, or as differences from what is left of it, above it, or both."""
    above = pixels[row - 1]
    if how in (0, 2):
        pixels[row, step:] = line + (above[step:] if how else 0)
        return
    if how == 1:
        pixels[row, step:] = np.cumsum(line.reshape(-1, step), axis=0, dtype=np.uint8).reshape(-1)
        return
    now, up, raw = pixels[row].tolist(), above.tolist(), line.tolist()
    for at, value in enumerate(raw, start=step):
        left, over, corner = now[at - step], up[at], up[at - step]
        guess = (left + over) // 2 if how == 3 else _nearest_of(left, over, corner)
        now[at] = (value + guess) & 255
    pixels[row] = now


def _nearest_of(left: int, above: int, corner: int) -> int:
    """Paeth's choice."""
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))


def _written(indices: Pixels, palette: Pixels) -> bytes:
    height, width = indices.shape
    lines = np.zeros((height, width + 1), np.uint8)
    lines[:, 1:] = indices
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )
