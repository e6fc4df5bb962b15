"""Pictures of datasets that say how they are to be drawn: looked at sample by sample."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from archive.dicom.extract import parse_instance
from archive.errors import StoreError, UnprocessableError
from archive.identifiers import Digest
from wado.pixels.cache import DerivedCache
from wado.pixels.drawing_attributes import PresentationReader
from wado.pixels.encode import encode_frame
from wado.pixels.parameters import GIF, JP2, JPEG, PNG, RenderParameters, Viewport, Window, WindowShape
from wado.pixels.pool import PixelPool
from wado.pixels.render import CodedPicture, draw, render_frame
from wado.pixels.source import FrameReader, FrameSource
from wado.pixels.syntaxes import (
    EXPLICIT_LE,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
)

PLAIN = RenderParameters()
Stored = Callable[..., FrameSource]
RAMP: NDArray[Any] = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Writes an instance with these samples and attributes, and gives its source as the archive knows it."""
    made = 0

    def store(samples: NDArray[Any], bits_stored: int = 12, **attributes: Any) -> FrameSource:
        nonlocal made
        made += 1
        dataset = image_dataset(samples, bits_stored)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        path = tmp_path / f"image{made}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return source_of(path, f"{made:064x}")

    return store


def image_dataset(samples: NDArray[Any], bits_stored: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT_LE
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    colour = samples.ndim == 3 and samples.shape[-1] == 3
    dataset.Rows, dataset.Columns = samples.shape[-3:-1] if colour else samples.shape[-2:]
    if samples.ndim > 2 + colour:
        dataset.NumberOfFrames = samples.shape[0]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = samples.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
    dataset.PixelRepresentation = int(samples.dtype.kind == "i")
    dataset.PixelData = samples.tobytes()
    return dataset


def source_of(path: Path, digest: str = "0" * 64) -> FrameSource:
    parsed = parse_instance(path.read_bytes())
    assert parsed.pixels is not None
    return FrameSource(path, Digest(digest), parsed.pixels, parsed.frames, parsed.transfer_syntax_uid)


def coded(source: FrameSource, frame_index: int = 0) -> CodedPicture:
    location = source.frame(frame_index)
    presentation = PresentationReader().read(str(source.path), frame_index)
    frame = FrameReader().read(location)
    return CodedPicture(frame, source.facts, source.transfer_syntax_uid, location.bit_offset, presentation)


def drawn(source: FrameSource, parameters: RenderParameters = PLAIN, frame_index: int = 0) -> NDArray[Any]:
    return draw(coded(source, frame_index), parameters)


def near(picture: NDArray[Any], expected: NDArray[Any]) -> None:
    """Equal but for rounding."""
    np.testing.assert_allclose(picture.astype(float), expected, atol=0.51)


def linear(values: NDArray[Any], center: float, width: float) -> NDArray[Any]:
    """PS3.3 C.11.2.1.2.1, in its own words."""
    values = values.astype(float)
    scaled = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    scaled[values <= center - 0.5 - (width - 1) / 2] = 0
    scaled[values > center - 0.5 + (width - 1) / 2] = 255
    return scaled


def lut_item(first: int, entries: list[int], bits: int, first_is_signed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "SS" if first_is_signed else "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return item


def test_the_first_window_of_the_dataset_is_drawn_after_the_rescale(stored: Stored) -> None:
    source = stored(
        RAMP, RescaleSlope="2", RescaleIntercept="-1024", WindowCenter=["40", "500"], WindowWidth=["400", "90"]
    )
    near(drawn(source), linear(RAMP.astype(float) * 2 - 1024, 40, 400))


def test_a_window_of_the_request_replaces_those_of_the_dataset(stored: Stored) -> None:
    source = stored(RAMP, WindowCenter="40", WindowWidth="400")
    near(drawn(source, RenderParameters(window=Window(2000, 1000))), linear(RAMP, 2000, 1000))


def test_the_three_shapes_of_a_window_differ_as_the_standard_says(stored: Stored) -> None:
    source = stored(RAMP)
    values = RAMP.astype(float)
    exact = drawn(source, RenderParameters(window=Window(2000, 100, WindowShape.LINEAR_EXACT)))
    near(exact, np.clip((values - 1950) / 100 * 255, 0, 255))
    sigmoid = drawn(source, RenderParameters(window=Window(2000, 100, WindowShape.SIGMOID)))
    near(sigmoid, 255 / (1 + np.exp(np.clip(-4 * (values - 2000) / 100, -700, 700))))
    step = drawn(source, RenderParameters(window=Window(2000, 1)))
    np.testing.assert_array_equal(step, np.where(values > 1999.5, 255, 0))


def test_the_voi_lut_function_of_the_dataset_is_obeyed(stored: Stored) -> None:
    source = stored(RAMP, WindowCenter="2000", WindowWidth="100", VOILUTFunction="SIGMOID")
    near(drawn(source), 255 / (1 + np.exp(np.clip(-4 * (RAMP.astype(float) - 2000) / 100, -700, 700))))


def test_without_a_window_the_whole_range_is_shown_but_not_the_padding(stored: Stored) -> None:
    samples = (RAMP.astype(np.int16) % 1000) + 100
    samples[:8] = -2000
    source = stored(samples, 16, PixelPaddingValue=-2000)
    expected = np.clip((samples - 100.0) / 999 * 255, 0, 255)
    near(drawn(source), expected)
    by_range = stored(samples, 16, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1900)
    near(drawn(by_range), expected)


def test_an_image_of_one_value_is_drawn_black_or_white(stored: Stored) -> None:
    assert drawn(stored(np.zeros((4, 4), np.uint16))).max() == 0
    assert drawn(stored(np.full((4, 4), 7, np.uint16))).min() == 255


def test_a_voi_lut_is_used_where_there_is_no_window(stored: Stored) -> None:
    entries = [0, 100, 1000, 4095]
    source = stored(RAMP, VOILUTSequence=Sequence([lut_item(10, entries, 12)]))
    expected = np.array(entries)[np.clip(RAMP.astype(int) - 10, 0, 3)] * (255 / 4095)
    near(drawn(source), expected)
    with_window = stored(RAMP, VOILUTSequence=Sequence([lut_item(10, entries, 12)]), WindowCenter="5", WindowWidth="9")
    near(drawn(with_window), linear(RAMP, 5, 9))


def test_a_voi_lut_may_begin_below_zero(stored: Stored) -> None:
    samples = RAMP.astype(np.int16) - 2048
    source = stored(samples, VOILUTSequence=Sequence([lut_item(-2, [0, 64, 128, 255], 8, first_is_signed=True)]))
    near(drawn(source), np.array([0, 64, 128, 255])[np.clip(samples.astype(int) + 2, 0, 3)])


def test_a_modality_lut_comes_before_the_window(stored: Stored) -> None:
    entries = list(range(1000, 1064))
    source = stored(
        RAMP, ModalityLUTSequence=Sequence([lut_item(100, entries, 16)]), WindowCenter="1032", WindowWidth="64"
    )
    values = np.array(entries)[np.clip(RAMP.astype(int) - 100, 0, 63)]
    near(drawn(source), linear(values, 1032, 64))


def test_monochrome1_and_an_inverse_presentation_lut_are_turned_over(stored: Stored) -> None:
    windowed = {"WindowCenter": "2048", "WindowWidth": "4096"}
    upright = drawn(stored(RAMP, **windowed))
    for attributes in ({"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}):
        np.testing.assert_array_equal(drawn(stored(RAMP, **windowed, **attributes)), 255 - upright)


def test_functional_groups_give_each_frame_its_own_window(stored: Stored) -> None:
    def group(center: float) -> Dataset:
        voi, item = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 100
        item.FrameVOILUTSequence = Sequence([voi])
        return item

    shared, rescale = Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 1, -10
    shared.PixelValueTransformationSequence = Sequence([rescale])
    source = stored(
        np.stack([RAMP, RAMP]),
        PerFrameFunctionalGroupsSequence=Sequence([group(100), group(1000)]),
        SharedFunctionalGroupsSequence=Sequence([shared]),
    )
    near(drawn(source, frame_index=0), linear(RAMP.astype(float) - 10, 100, 100))
    near(drawn(source, frame_index=1), linear(RAMP.astype(float) - 10, 1000, 100))


@pytest.mark.parametrize("segmented", [False, True])
def test_palettes_are_looked_up_plain_and_segmented(stored: Stored, segmented: bool) -> None:
    samples = (np.arange(256, dtype=np.uint8) % 40).reshape(16, 16)
    attributes: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    ramp = np.linspace(0, 0xFF00, 32).astype("<u2")
    for name, table in (("Red", ramp), ("Green", ramp[::-1]), ("Blue", np.full(32, 0x8000, "<u2"))):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [32, 4, 16]
        if segmented:  # one discrete segment
            data = np.concatenate([np.array([0, 32], "<u2"), table]).tobytes()
            attributes[f"Segmented{name}PaletteColorLookupTableData"] = data
        else:
            attributes[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    picture = drawn(stored(samples, 8, **attributes))
    index = np.clip(samples.astype(int) - 4, 0, 31)
    np.testing.assert_array_equal(picture[..., 0], (ramp >> 8)[index])
    np.testing.assert_array_equal(picture[..., 1], (ramp[::-1] >> 8)[index])
    assert set(picture[..., 2].ravel()) == {0x80}


def test_a_palette_that_is_missing_is_told(stored: Stored) -> None:
    with pytest.raises(UnprocessableError, match="palette"):
        drawn(stored(RAMP, PhotometricInterpretation="PALETTE COLOR"))


def test_colour_is_drawn_as_it_is_and_deep_colour_scaled(stored: Stored) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    np.testing.assert_array_equal(drawn(stored(samples, 8)), samples)
    by_plane = stored(samples, 8, PlanarConfiguration=1, PixelData=samples.transpose(2, 0, 1).tobytes())
    np.testing.assert_array_equal(drawn(by_plane), samples)
    deep = samples.astype(np.uint16) * 16
    near(drawn(stored(deep, 12)), np.clip(deep * (255 / 4095), 0, 255))


def test_ybr_becomes_rgb(stored: Stored) -> None:
    samples = np.full((2, 2, 3), (76, 85, 255), np.uint8)  # red
    picture = drawn(stored(samples, 8, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(picture.astype(int) - (254, 0, 0)).max() <= 2


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "SC_jpeg_no_color_transform.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"])
def test_jpeg_colour_looks_as_pydicom_says(name: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    picture = drawn(source_of(Path(path)))
    assert np.abs(picture.astype(int) - pydicom.dcmread(path).pixel_array).max() <= 2


def test_an_overlay_is_drawn_white_where_its_origin_says(stored: Stored) -> None:
    plane = np.zeros((4, 8), np.uint8)
    plane[1, 2] = plane[3, 7] = 1
    source = stored(RAMP, WindowCenter="0", WindowWidth="1", WindowCenterWidthExplanation="all white")
    dataset = pydicom.dcmread(source.path)
    dataset.WindowCenter, dataset.WindowWidth = "9000", "10"  # all black
    add_overlay(dataset, plane, origin=[3, 62])
    dataset.save_as(source.path)
    picture = drawn(source_of(source.path))
    expected = np.zeros((64, 64), np.uint8)
    expected[3, 63] = 255  # row 3 of the image; the other point lies outside
    np.testing.assert_array_equal(picture, expected)


def add_overlay(dataset: Dataset, plane: NDArray[Any], origin: list[int], **more: Any) -> None:
    block = dataset
    block.add_new(0x60000010, "US", plane.shape[-2])
    block.add_new(0x60000011, "US", plane.shape[-1])
    block.add_new(0x60000040, "CS", "G")
    block.add_new(0x60000050, "SS", origin)
    block.add_new(0x60000100, "US", 1)
    block.add_new(0x60000102, "US", 0)
    packed = np.packbits(plane.ravel(), bitorder="little").tobytes()
    block.add_new(0x60003000, "OW", packed + b"\0" * (len(packed) % 2))
    if "frames" in more:
        block.add_new(0x60000015, "IS", more["frames"])
        block.add_new(0x60000051, "US", more["first"])


def test_an_overlay_of_some_frames_is_drawn_on_those_only(stored: Stored) -> None:
    source = stored(np.zeros((4, 8, 8), np.uint8), 8, WindowCenter="128", WindowWidth="256")
    dataset = pydicom.dcmread(source.path)
    planes = np.zeros((2, 5, 5), np.uint8)  # 25 bits a frame: the second begins within an octet
    planes[0, 0, 0] = planes[1, 4, 4] = 1
    add_overlay(dataset, planes, origin=[1, 1], frames=2, first=2)
    dataset.save_as(source.path)
    source = source_of(source.path)
    covered = [np.argwhere(drawn(source, frame_index=index) == 255).tolist() for index in range(4)]
    assert covered == [[], [[0, 0]], [[4, 4]], []]


def test_an_overlay_in_unused_bits_is_drawn(stored: Stored) -> None:
    samples = np.zeros((8, 8), np.uint16)
    samples[2, 3] |= 1 << 12
    source = stored(samples, 12, WindowCenter="2048", WindowWidth="4096")
    dataset = pydicom.dcmread(source.path)
    for element, vr, value in ((0x10, "US", 8), (0x11, "US", 8), (0x100, "US", 16), (0x102, "US", 12)):
        dataset.add_new(0x60000000 + element, vr, value)
    dataset.save_as(source.path)
    assert np.argwhere(drawn(source_of(source.path)) == 255).tolist() == [[2, 3]]


def test_a_thin_overlay_line_is_still_seen_in_a_thumbnail(stored: Stored) -> None:
    source = stored(np.zeros((256, 256), np.uint8), 8, WindowCenter="128", WindowWidth="256")
    dataset = pydicom.dcmread(source.path)
    plane = np.zeros((256, 256), np.uint8)
    plane[100] = 1
    add_overlay(dataset, plane, origin=[1, 1])
    dataset.save_as(source.path)
    picture = drawn(source_of(source.path), RenderParameters(viewport=Viewport(64, 64)))
    assert picture[25].min() == 255
    assert picture[:24].max() == 0


def test_a_high_bit_above_the_stored_bits_is_moved_down(stored: Stored) -> None:
    source = stored(RAMP << np.uint16(4), 12, HighBit=15, WindowCenter="2048", WindowWidth="4096")
    near(drawn(source), linear(RAMP, 2048, 4096))


def test_thirty_two_bits_and_floating_point_are_drawn(stored: Stored) -> None:
    wide = RAMP.astype(np.uint32) * 100_000
    near(drawn(stored(wide, 32)), RAMP / 4095 * 255)
    source = stored(RAMP, WindowCenter="0", WindowWidth="2", VOILUTFunction="LINEAR_EXACT")
    dataset = pydicom.dcmread(source.path)
    del dataset.PixelData
    values = np.linspace(-1, 1, 4096, dtype=np.float32)
    values[0] = np.nan
    dataset.FloatPixelData = values.tobytes()
    dataset.BitsAllocated = 32
    del dataset.BitsStored, dataset.HighBit
    dataset.save_as(source.path)
    picture = drawn(source_of(source.path)).ravel()
    near(picture[1:], (values[1:] + 1) * 127.5)
    assert picture[0] == 128


def test_one_bit_masks_are_black_and_white(stored: Stored) -> None:
    bits = np.random.default_rng(2).integers(0, 2, (3, 5, 5)).astype(np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    source = stored(
        np.zeros((5, 5), np.uint8), 1, BitsAllocated=1, NumberOfFrames=3, PixelData=packed, SegmentationType="BINARY"
    )
    for frame_index in range(3):
        np.testing.assert_array_equal(drawn(source, frame_index=frame_index), bits[frame_index] * 255)


@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        (Viewport(32, 32), (32, 16)),
        (Viewport(128, 128), (128, 64)),
        (Viewport(10, 1000), (10, 5)),
        (Viewport(128, 128, (0, 0, 16, 16)), (128, 128)),
        (Viewport(8, 8, (0, 0, 1000, 1000)), (8, 4)),
    ],
)
def test_the_picture_fits_into_the_viewport_with_its_aspect_kept(
    stored: Stored, viewport: Viewport, size: tuple[int, int]
) -> None:
    source = stored(RAMP[:32], WindowCenter="2048", WindowWidth="4096")
    picture = drawn(source, RenderParameters(viewport=viewport))
    assert picture.shape[::-1] == size


def test_a_part_is_cut_out_and_flipped(stored: Stored) -> None:
    samples = np.random.default_rng(3).integers(0, 256, (40, 50)).astype(np.uint8)
    source = stored(samples, 8, WindowCenter="128", WindowWidth="256")
    whole = drawn(source)
    part = whole[5:15, 20:40]
    for source_part, expected in (
        ((20, 5, 20, 10), part),
        ((20, 5, -20, 10), part[:, ::-1]),
        ((20, 5, 20, -10), part[::-1]),
        ((20, 5, -20, -10), part[::-1, ::-1]),
    ):
        picture = drawn(source, RenderParameters(viewport=Viewport(20, 10, source_part)))
        np.testing.assert_array_equal(picture, expected)
    with pytest.raises(UnprocessableError, match="outside"):
        drawn(source, RenderParameters(viewport=Viewport(20, 10, (50, 0, 5, 5))))


def test_a_mean_is_of_values_not_of_greys(stored: Stored) -> None:
    samples = np.tile(np.array([[0, 1000]], np.uint16), (16, 8))
    source = stored(samples, WindowCenter="400", WindowWidth="200")
    assert set(drawn(source, RenderParameters(viewport=Viewport(8, 8))).ravel()) == {255}  # a mean of 500


def test_pixels_that_are_not_square_are_made_so(stored: Stored) -> None:
    source = stored(RAMP, PixelAspectRatio=[2, 1], WindowCenter="2048", WindowWidth="4096")
    assert drawn(source).shape == (128, 64)
    assert drawn(source, RenderParameters(viewport=Viewport(32, 32))).shape == (32, 16)
    absurd = stored(RAMP, PixelAspectRatio=[0, 1])
    assert drawn(absurd).shape == (64, 64)


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
