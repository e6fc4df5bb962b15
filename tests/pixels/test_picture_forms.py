"""Pictures as they leave: reduced decoding, media types, quality, profiles, animations, the cache."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import PLAIN, RAMP, Stored, coded, drawn, lut_item, near
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from archive.errors import StoreError, UnprocessableError
from wado.pixels.cache import DerivedCache
from wado.pixels.drawing_attributes import PresentationReader
from wado.pixels.encode import encode_frame
from wado.pixels.parameters import GIF, JP2, JPEG, PNG, RenderParameters, Viewport, Window
from wado.pixels.pool import PixelPool
from wado.pixels.render import draw, render_frame
from wado.pixels.source import FrameSource
from wado.pixels.syntaxes import (
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
)


@pytest.mark.parametrize("syntax", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS_RPCL, JPEG_BASELINE])
@pytest.mark.parametrize("signed", [False, True])
def test_a_thumbnail_from_a_low_resolution_looks_like_the_whole(stored: Stored, syntax: str, signed: bool) -> None:
    if syntax == JPEG_BASELINE and signed:
        return  # carries unsigned bytes only
    y, x = np.mgrid[:256, :200]
    samples = 100 + 90 * np.sin(x / 30) * np.cos(y / 40) - (100 if signed else 0)
    bits = 8 if syntax == JPEG_BASELINE else 12
    kind = ("i" if signed else "u") + ("1" if bits == 8 else "2")
    source = stored(samples.astype(kind), bits, WindowCenter="0" if signed else "100", WindowWidth="200")
    whole = coded(source)
    small = RenderParameters(viewport=Viewport(64, 64))
    compressed = replace(
        whole, frame=encode_frame(samples.astype(kind), source.facts, syntax), transfer_syntax_uid=syntax
    )
    difference = draw(compressed, small).astype(int) - draw(whole, small)
    assert draw(whole, small).shape == (64, 50)
    assert np.abs(difference).max() < 16
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize(("media_type", "form"), [(JPEG, "JPEG"), (PNG, "PNG"), (GIF, "GIF"), (JP2, "JPEG2000")])
@pytest.mark.parametrize("colour", [False, True])
def test_each_media_type_shows_the_same_picture(stored: Stored, media_type: str, form: str, colour: bool) -> None:
    y, x = np.mgrid[:60, :80]
    samples: NDArray[Any] = (x * 3).astype(np.uint8)
    if colour:
        samples = np.stack([samples, (y * 4).astype(np.uint8), samples[:, ::-1]], -1)
    source = stored(samples, 8, WindowCenter="128", WindowWidth="256")
    with Image.open(BytesIO(render_frame(coded(source), RenderParameters(media_type, quality=95)))) as image:
        assert image.format == form
        shown = np.asarray(image.convert("RGB" if colour else "L")).astype(int)
    assert np.abs(shown - drawn(source)).mean() < (6 if media_type == GIF and colour else 3)
    if media_type == PNG:
        np.testing.assert_array_equal(shown, drawn(source))


def test_quality_changes_the_size_of_lossy_pictures(stored: Stored) -> None:
    samples = np.random.default_rng(4).integers(0, 256, (64, 64)).astype(np.uint8)
    picture = coded(stored(samples, 8))
    for media_type in (JPEG, JP2):
        sizes = [len(render_frame(picture, RenderParameters(media_type, quality=quality))) for quality in (10, 50, 95)]
        assert sizes == sorted(set(sizes))
    lossless = render_frame(picture, RenderParameters(JP2, quality=100))
    with Image.open(BytesIO(lossless)) as image:
        np.testing.assert_array_equal(np.asarray(image), draw(picture, PLAIN))


@pytest.mark.parametrize("name", ["yes", "srgb", "adobergb", "rommrgb"])
@pytest.mark.parametrize("media_type", [JPEG, PNG])
def test_a_colour_profile_is_embedded_and_its_colours_fit_it(stored: Stored, name: str, media_type: str) -> None:
    samples = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    data = render_frame(coded(stored(samples, 8)), RenderParameters(media_type, icc_profile=name, quality=100))
    with Image.open(BytesIO(data)) as image:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        back = ImageCms.profileToProfile(image.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    assert back is not None
    assert np.abs(np.asarray(back).astype(int) - (200, 100, 50)).max() <= 6


def test_without_a_wish_for_a_profile_none_is_embedded(stored: Stored) -> None:
    samples = np.full((16, 16, 3), 100, np.uint8)
    with Image.open(BytesIO(render_frame(coded(stored(samples, 8)), PLAIN))) as image:
        assert "icc_profile" not in image.info


def test_annotation_is_burned_into_the_upper_left_corner(stored: Stored) -> None:
    source = stored(np.zeros((256, 256), np.uint8), 8)
    picture = drawn(source, RenderParameters(annotation=("Doe^Jane", "CT")))
    assert picture[:60, :120].max() > 200
    assert picture[128:].max() == 0


def test_several_frames_make_an_animation(stored: Stored, tmp_path: Path) -> None:
    frames = np.stack([np.full((20, 30), level, np.uint8) for level in (0, 100, 200)])
    source = stored(frames, 8, WindowCenter="128", WindowWidth="256", FrameTime="200")

    async def animate() -> bytes:
        async with PixelPool(workers=1) as pool:
            return await pool.animate(source, (0, 1, 2), RenderParameters(GIF))

    import asyncio

    with Image.open(BytesIO(asyncio.run(animate()))) as image:
        assert image.n_frames == 3
        levels = []
        for frame in range(3):
            image.seek(frame)
            assert image.info["duration"] == 200
            levels.append(int(np.asarray(image.convert("L"))[5, 5]))
    assert [abs(level - expected) <= 2 for level, expected in zip(levels, (0, 100, 200), strict=True)] == [True] * 3


async def test_pictures_come_from_the_pool_and_are_kept(stored: Stored, tmp_path: Path) -> None:
    source = stored(RAMP, WindowCenter="2048", WindowWidth="4096")
    cache = DerivedCache(tmp_path / "derived", 10 << 20)
    async with PixelPool(workers=1, cache=cache) as pool:
        picture = await pool.render(source, 0, RenderParameters(PNG))
        with Image.open(BytesIO(picture)) as image:
            np.testing.assert_array_equal(np.asarray(image), drawn(source))
        await pool.render(source, 0, RenderParameters(PNG, window=Window(10, 10)))
        assert await pool.render(source, 0, RenderParameters(PNG)) == picture
        assert pool.figures.cached == 1
        with pytest.raises(UnprocessableError):
            await pool.render(source, 0, RenderParameters(viewport=Viewport(9, 9, (900, 0, 1, 1))))


def test_drawing_attributes_that_are_broken_are_left_out(stored: Stored) -> None:
    empty = Dataset()
    source = stored(
        RAMP,
        WindowWidth="0",
        WindowCenter="5",
        VOILUTSequence=Sequence([empty]),
        ModalityLUTSequence=Sequence([lut_item(0, [1], 99)]),
    )
    near(drawn(source), RAMP / 4095 * 255)


def test_a_colour_space_that_cannot_be_drawn_is_told(stored: Stored) -> None:
    samples = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(UnprocessableError, match="colour space"):
        drawn(stored(samples, 8, PhotometricInterpretation="HSV"))


def test_a_file_that_is_gone_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        PresentationReader().read(str(tmp_path / "gone"), 0)


def test_every_real_image_gives_a_picture_and_a_thumbnail(real_sources: tuple[FrameSource, ...]) -> None:
    seen: set[tuple[object, ...]] = set()
    drawn_count = 0
    for source in real_sources:
        facts = source.facts
        kind = (source.transfer_syntax_uid, facts.photometric_interpretation, facts.bits_stored, facts.rows)
        if kind in seen or source.path.name == "JPEG2000-embedded-sequence-delimiter.dcm":  # its stream is damaged
            continue
        seen.add(kind)
        picture = coded(source, source.frames.count // 2)
        whole = draw(picture, PLAIN)
        assert whole.dtype == np.uint8
        assert whole.shape[:2] == (facts.rows, facts.columns)
        small = draw(picture, RenderParameters(viewport=Viewport(64, 64)))
        assert max(small.shape[:2]) == 64
        drawn_count += 1
    assert drawn_count >= 40


def test_jpeg_ls_is_drawn_from_the_whole_frame(stored: Stored) -> None:
    source = stored(RAMP, WindowCenter="2048", WindowWidth="4096")
    small = RenderParameters(viewport=Viewport(16, 16))
    compressed = replace(coded(source), frame=encode_frame(RAMP, source.facts, JPEG_LS), transfer_syntax_uid=JPEG_LS)
    np.testing.assert_array_equal(draw(compressed, small), drawn(source, small))
