"""Pictures of datasets that say how they are to be drawn: looked at sample by sample."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from drawing import RAMP, Stored, drawn, linear, lut_item, near, source_of
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from archive.errors import UnprocessableError
from wado.pixels.parameters import RenderParameters, Viewport, Window, WindowShape


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
