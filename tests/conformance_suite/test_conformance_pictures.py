"""Pictures are looked into without a picture library; Pillow makes the pictures to look into."""

import io

import numpy as np
import pytest
from PIL import Image

from conformance.pictures import gif_head, jpeg_head, png_pixels


def _saved(array: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (7, 5, 4)])
def test_a_png_decodes_to_its_samples(shape):
    array = np.random.default_rng(1).integers(0, 256, shape, dtype="u1")
    found = png_pixels(_saved(array, "PNG"))
    assert (found == (array[..., :3] if array.ndim == 3 else array)).all()


def test_a_smooth_png_with_every_filter_decodes():
    y, x = np.mgrid[0:64, 0:64]
    array = ((x * 3 + y * y // 5) % 256).astype("u1")
    assert (png_pixels(_saved(array, "PNG", optimize=True)) == array).all()


def test_a_jpeg_tells_its_size_precision_and_components():
    head = jpeg_head(_saved(np.zeros((9, 12, 3), "u1"), "JPEG"))
    assert (head.rows, head.columns, head.precision_bits, head.components) == (9, 12, 8, 3)
    assert head.is_baseline


def test_a_gif_tells_how_many_images_it_holds():
    frames = [Image.fromarray(np.full((4, 6), grey, "u1")) for grey in (0, 100, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert gif_head(buffer.getvalue()) == (4, 6, 3)


@pytest.mark.parametrize("read", [png_pixels, jpeg_head, gif_head])
def test_what_is_no_picture_is_an_error(read):
    with pytest.raises(ValueError, match="not a"):
        read(b"<html>no picture</html>")
