"""Pictures of the docs in 256 colours: what few colours draw is as it was, and what many draw is nearly so."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.rendered_run import reduce_colours


def test_a_picture_of_few_colours_is_the_same_afterwards(tmp_path: Path) -> None:
    few = np.array([[0, 0, 0], [250, 120, 16], [255, 255, 255], [40, 200, 90]], np.uint8)
    pixels = few[np.random.default_rng(1).integers(0, 4, (12, 9))]
    picture = tmp_path / "few.png"
    Image.fromarray(pixels).save(picture)
    reduce_colours(picture)
    with Image.open(picture) as after:
        assert after.mode == "P"
        assert (np.asarray(after.convert("RGB")) == pixels).all()


def test_a_picture_of_many_colours_is_smaller_and_looks_the_same(tmp_path: Path) -> None:
    across = np.arange(256, dtype=np.uint8)
    noise = np.random.default_rng(2).integers(0, 60, (120, 256), np.uint8)
    pixels = np.stack(np.broadcast_arrays(across[None, :], across[:120, None], noise), axis=2)
    picture = tmp_path / "many.png"
    Image.fromarray(np.ascontiguousarray(pixels)).save(picture)
    before = picture.stat().st_size
    reduce_colours(picture)
    with Image.open(picture) as after:
        far = np.abs(np.asarray(after.convert("RGB")).astype(int) - pixels).max()
    assert far <= 64, "of 256"
    assert picture.stat().st_size < before
