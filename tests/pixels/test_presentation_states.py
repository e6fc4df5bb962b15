"""An image drawn as a presentation state says: looked at sample by sample."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from archive.dicom.extract import parse_instance
from archive.identifiers import Digest
from wado.pixels.cache import DerivedCache
from wado.pixels.drawing_attributes import PresentationReader
from wado.pixels.parameters import PNG, RenderParameters, Viewport, Window
from wado.pixels.pool import PixelPool
from wado.pixels.render import CodedPicture, draw
from wado.pixels.source import FrameReader, FrameSource, StateSource
from wado.pixels.syntaxes import EXPLICIT_LE

IMAGE_UID = "1.2.3"
SAMPLES: NDArray[Any] = (np.arange(40)[:, np.newaxis] * 5 + np.arange(60)).astype(np.uint8)
PLAIN = RenderParameters()


def written(path: Path, dataset: Dataset) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT_LE
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def image(tmp_path: Path) -> FrameSource:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", IMAGE_UID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    dataset.Rows, dataset.Columns = SAMPLES.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.WindowCenter, dataset.WindowWidth = "10", "10"
    dataset.PixelData = SAMPLES.tobytes()
    path = written(tmp_path / "image.dcm", dataset)
    parsed = parse_instance(path.read_bytes())
    assert parsed.pixels is not None
    return FrameSource(path, Digest("1" * 64), parsed.pixels, parsed.frames, parsed.transfer_syntax_uid)


@pytest.fixture
def state(tmp_path: Path) -> Any:
    """Makes the file of a state with these attributes; it shows 0…255 unless it says otherwise."""
    made = 0

    def make(**attributes: Any) -> Path:
        nonlocal made
        made += 1
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.11.1", f"1.2.9.{made}"
        dataset.PresentationLUTShape = "IDENTITY"
        dataset.SoftcopyVOILUTSequence = Sequence([item(WindowCenter="128", WindowWidth="256")])
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        return written(tmp_path / f"state{made}.dcm", dataset)

    return make


def item(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def referring(uid: str, **attributes: Any) -> Dataset:
    return item(ReferencedImageSequence=Sequence([item(ReferencedSOPInstanceUID=uid)]), **attributes)


def drawn(image: FrameSource, state_path: Path, parameters: RenderParameters = PLAIN) -> NDArray[Any]:
    presentation = PresentationReader().read(str(image.path), 0, str(state_path))
    frame = FrameReader().read(image.frame(0))
    return draw(CodedPicture(frame, image.facts, image.transfer_syntax_uid, 0, presentation), parameters)


def test_the_window_of_the_state_replaces_that_of_the_image(image: FrameSource, state: Any) -> None:
    np.testing.assert_array_equal(drawn(image, state()), SAMPLES)
    asked = drawn(image, state(), RenderParameters(window=Window(128, 2)))
    assert set(asked.ravel()) == {0, 255}


def test_a_window_for_another_image_is_not_used(image: FrameSource, state: Any) -> None:
    items = [
        referring("9.9", WindowCenter="10", WindowWidth="2"),
        referring(IMAGE_UID, WindowCenter="128", WindowWidth="256"),
    ]
    np.testing.assert_array_equal(drawn(image, state(SoftcopyVOILUTSequence=Sequence(items))), SAMPLES)


def test_rescale_and_inversion_of_the_state_are_used(image: FrameSource, state: Any) -> None:
    path = state(RescaleSlope="1", RescaleIntercept="10", PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(drawn(image, path), 255 - np.minimum(SAMPLES.astype(int) + 10, 255))


@pytest.mark.parametrize(
    ("rotation", "flip", "turned"),
    [
        (0, "N", SAMPLES),
        (90, "N", np.rot90(SAMPLES, -1)),
        (180, "N", SAMPLES[::-1, ::-1]),
        (270, "N", np.rot90(SAMPLES, 1)),
        (0, "Y", SAMPLES[:, ::-1]),
        (90, "Y", np.rot90(SAMPLES[:, ::-1], -1)),
    ],
)
def test_the_image_is_flipped_and_turned(
    image: FrameSource, state: Any, rotation: int, flip: str, turned: NDArray[Any]
) -> None:
    path = state(ImageRotation=rotation, ImageHorizontalFlip=flip)
    np.testing.assert_array_equal(drawn(image, path), turned)


def test_the_displayed_area_is_shown_and_the_viewport_applies_after_it(image: FrameSource, state: Any) -> None:
    area = item(DisplayedAreaTopLeftHandCorner=[11, 6], DisplayedAreaBottomRightHandCorner=[30, 25])
    path = state(DisplayedAreaSelectionSequence=Sequence([area]))
    shown = SAMPLES[5:25, 10:30]
    np.testing.assert_array_equal(drawn(image, path), shown)
    part = RenderParameters(viewport=Viewport(10, 10, (2, 3, 10, 10)))
    np.testing.assert_array_equal(drawn(image, path, part), shown[3:13, 2:12])
    beyond = item(DisplayedAreaTopLeftHandCorner=[-5, -5], DisplayedAreaBottomRightHandCorner=[900, 900])
    np.testing.assert_array_equal(drawn(image, state(DisplayedAreaSelectionSequence=Sequence([beyond]))), SAMPLES)


def graphic(kind: str, data: list[float], units: str = "PIXEL", filled: str = "N") -> Dataset:
    return item(
        GraphicType=kind,
        GraphicData=data,
        GraphicAnnotationUnits=units,
        GraphicFilled=filled,
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(data) // 2,
    )


def black_state(state: Any, *graphics: Dataset, **attributes: Any) -> Path:
    path: Path = state(
        SoftcopyVOILUTSequence=Sequence([item(WindowCenter="5000", WindowWidth="10")]),
        GraphicAnnotationSequence=Sequence([item(GraphicObjectSequence=Sequence(graphics))]),
        **attributes,
    )
    return path


def test_lines_are_drawn_where_their_points_lie(image: FrameSource, state: Any) -> None:
    path = black_state(state, graphic("POLYLINE", [10.5, 5.5, 20.5, 5.5]))
    lit = np.argwhere(drawn(image, path) > 0).tolist()
    assert lit == [[5, column] for column in range(10, 21)]


def test_lines_turn_with_the_image(image: FrameSource, state: Any) -> None:
    path = black_state(state, graphic("POLYLINE", [10.5, 5.5, 20.5, 5.5]), ImageRotation=90, ImageHorizontalFlip="N")
    picture = drawn(image, path)
    assert picture.shape == (60, 40)
    assert np.argwhere(picture > 0).tolist() == [[row, 34] for row in range(10, 21)]


def test_display_units_are_fractions_of_what_is_shown(image: FrameSource, state: Any) -> None:
    picture = drawn(image, black_state(state, graphic("POLYLINE", [0.25, 0.5, 0.75, 0.5], "DISPLAY")))
    lit = np.argwhere(picture > 0)
    assert set(lit[:, 0]) <= {19, 20}
    assert abs(lit[:, 1].min() - 15) <= 1
    assert abs(lit[:, 1].max() - 45) <= 1


def test_circles_ellipses_and_filled_shapes_are_drawn(image: FrameSource, state: Any) -> None:
    circle = drawn(image, black_state(state, graphic("CIRCLE", [30.0, 20.0, 40.0, 20.0])))
    distance = np.hypot(*(np.argwhere(circle > 0) + 0.5 - (20, 30)).T)
    assert np.abs(distance - 10).max() < 1.5
    filled = drawn(image, black_state(state, graphic("CIRCLE", [30.0, 20.0, 40.0, 20.0], filled="Y")))
    assert abs(int((filled > 0).sum()) - np.pi * 100) < 40
    ellipse = drawn(image, black_state(state, graphic("ELLIPSE", [10.0, 20.0, 50.0, 20.0, 30.0, 15.0, 30.0, 25.0])))
    lit = np.argwhere(ellipse > 0)
    assert abs(np.ptp(lit[:, 1]) - 40) <= 2
    assert abs(np.ptp(lit[:, 0]) - 10) <= 2


def test_text_is_drawn_at_its_place(image: FrameSource, state: Any) -> None:
    text = item(
        UnformattedTextValue="LOOK",
        BoundingBoxAnnotationUnits="PIXEL",
        BoundingBoxTopLeftHandCorner=[30.0, 20.0],
        BoundingBoxBottomRightHandCorner=[60.0, 30.0],
    )
    path = state(
        SoftcopyVOILUTSequence=Sequence([item(WindowCenter="5000", WindowWidth="10")]),
        GraphicAnnotationSequence=Sequence([item(TextObjectSequence=Sequence([text]))]),
    )
    picture = drawn(image, path)
    assert picture[20:, 28:].max() > 200
    assert picture[:18].max() == 0


@pytest.mark.parametrize(
    ("attributes", "seen"),
    [
        (
            {
                "ShutterShape": "RECTANGULAR",
                "ShutterLeftVerticalEdge": 10,
                "ShutterRightVerticalEdge": 21,
                "ShutterUpperHorizontalEdge": 5,
                "ShutterLowerHorizontalEdge": 16,
            },
            (slice(5, 15), slice(10, 20)),
        ),
        (
            {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [6, 11, 6, 20, 15, 20, 15, 11]},
            (slice(5, 15), slice(10, 20)),
        ),
    ],
)
def test_a_shutter_hides_what_lies_outside(
    image: FrameSource, state: Any, attributes: dict[str, Any], seen: tuple[slice, slice]
) -> None:
    picture = drawn(image, state(**attributes, ShutterPresentationValue=0x8000))
    expected = np.full(SAMPLES.shape, 0x80, np.uint8)
    expected[seen] = SAMPLES[seen]
    np.testing.assert_array_equal(picture, expected)


def test_a_circular_shutter_hides_what_lies_outside(image: FrameSource, state: Any) -> None:
    path = state(ShutterShape="CIRCULAR", CenterOfCircularShutter=[20, 30], RadiusOfCircularShutter=10)
    picture = drawn(image, path)
    assert picture[19, 29] == SAMPLES[19, 29]
    assert picture[0].max() == picture[:, 0].max() == 0


def test_an_overlay_of_the_state_is_drawn(image: FrameSource, state: Any) -> None:
    path = state(SoftcopyVOILUTSequence=Sequence([item(WindowCenter="5000", WindowWidth="10")]))
    dataset = pydicom.dcmread(path)
    plane = np.zeros((4, 4), np.uint8)
    plane[0, 0] = 1
    for element, vr, value in (
        (0x10, "US", 4),
        (0x11, "US", 4),
        (0x40, "CS", "G"),
        (0x50, "SS", [3, 4]),
        (0x100, "US", 1),
        (0x102, "US", 0),
        (0x3000, "OW", np.packbits(plane, bitorder="little").tobytes()),
    ):
        dataset.add_new(0x60000000 + element, vr, value)
    dataset.save_as(path)
    assert np.argwhere(drawn(image, path) == 255).tolist() == [[2, 3]]


def test_a_state_with_nothing_in_it_still_draws_the_image(image: FrameSource, state: Any) -> None:
    path = state(
        SoftcopyVOILUTSequence=Sequence([]),
        GraphicAnnotationSequence=Sequence([item(GraphicObjectSequence=Sequence([item(), graphic("ELLIPSE", [1.0])]))]),
        ShutterShape="CIRCULAR",
        ImageRotation=45,
    )
    picture = drawn(image, path)
    assert (picture.min(), picture.max()) == (0, 255)


async def test_the_pool_draws_in_a_state_and_keeps_pictures_apart(
    image: FrameSource, state: Any, tmp_path: Path
) -> None:
    cache = DerivedCache(tmp_path / "derived", 10 << 20)
    upright, inverse = state(), state(PresentationLUTShape="INVERSE")
    parameters = RenderParameters(PNG)
    async with PixelPool(workers=1, cache=cache) as pool:
        pictures = [
            await pool.render_in_state(image, 0, parameters, StateSource(path, Digest(f"{number:064x}")))
            for number, path in enumerate((upright, inverse))
        ]
        pictures.append(await pool.render(image, 0, parameters))
    assert len(set(pictures)) == 3
