"""Pictures of the docs in 256 colours: what few colours draw is as it was, and what many draw is nearly so."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.render.palette import Pixels, reduce_colours

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(pixels: Pixels, filters: list[int]) -> bytes:
    """True colour, each line by the filter that it is given, as the format's document has them."""
    height, width, _ = pixels.shape
    raw, lines = pixels.reshape(height, -1).astype(int), b""
    for row in range(height):
        how, line = filters[row % len(filters)], []
        for at, value in enumerate(raw[row]):
            left = raw[row][at - 3] if at >= 3 else 0
            above = raw[row - 1][at] if row else 0
            corner = raw[row - 1][at - 3] if row and at >= 3 else 0
            sides = {abs(left + above - corner - one): one for one in (corner, above, left)}
            paeth = sides[min(sides)]
            line.append((value - [0, left, above, (left + above) // 2, paeth][how]) & 255)
        lines += bytes([how, *(int(each) for each in line)])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in parts
    )


def palette_and_indices(data: bytes) -> Pixels:
    """What a picture with a palette shows."""
    chunks, at = {}, len(SIGNATURE)
    while at < len(data):
        (size,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        chunks[kind], at = data[at + 8 : at + 8 + size], at + 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    colours = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    shown: Pixels = colours[lines[:, 1:]]
    return shown


@pytest.mark.parametrize("how", [0, 1, 2, 3, 4])
def test_a_picture_of_few_colours_is_the_same_afterwards_however_its_lines_were_filtered(
    how: int, tmp_path: Path
) -> None:
    few = np.array([[0, 0, 0], [250, 120, 16], [255, 255, 255], [40, 200, 90]], np.uint8)
    pixels = few[np.random.default_rng(1).integers(0, 4, (12, 9))]
    picture = tmp_path / "few.png"
    picture.write_bytes(png(pixels, [how, 0]))
    reduce_colours(picture)
    assert (palette_and_indices(picture.read_bytes()) == pixels).all()


def test_a_picture_of_many_colours_is_smaller_and_looks_the_same(tmp_path: Path) -> None:
    across = np.arange(256, dtype=np.uint8)
    noise = np.random.default_rng(2).integers(0, 60, (120, 256), np.uint8)
    pixels = np.stack(np.broadcast_arrays(across[None, :], across[:120, None], noise), axis=2)
    picture = tmp_path / "many.png"
    picture.write_bytes(png(pixels, [4, 1, 2, 3]))
    before = picture.stat().st_size
    reduce_colours(picture)
    far = np.abs(palette_and_indices(picture.read_bytes()).astype(int) - pixels).max()
    assert far <= 64, "of 256"
    assert picture.stat().st_size < before


def test_what_is_no_picture_of_true_colour_is_refused(tmp_path: Path) -> None:
    picture = tmp_path / "no.png"
    picture.write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match="no PNG"):
        reduce_colours(picture)
