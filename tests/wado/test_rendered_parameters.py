"""Parameters of rendered resources: what is asked for, and what is refused by name (PS3.18 §8.3.5)."""

import pytest

from archive.errors import BadRequestError
from wado.pixels.parameters import Viewport, Window, WindowShape
from wado.rendered_parameters import parse_annotation, parse_quality, parse_rendering, parse_viewport, parse_window


def test_a_window_has_a_center_a_width_and_perhaps_a_shape() -> None:
    assert parse_window("40,80") == Window(40, 80, WindowShape.LINEAR)
    assert parse_window("-600,1500,sigmoid") == Window(-600, 1500, WindowShape.SIGMOID)
    assert parse_window("0.5,0.25,linear-exact") == Window(0.5, 0.25, WindowShape.LINEAR_EXACT)


def test_a_viewport_may_name_a_part_of_the_image_and_flip_it() -> None:
    assert parse_viewport("512,256") == Viewport(512, 256)
    assert parse_viewport("512,256,,,-100,50") == Viewport(512, 256, (0, 0, -100, 50))


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("window", "40"),
        ("window", "40,0"),
        ("window", "a,80"),
        ("window", "nan,80"),
        ("window", "40,80,cubic"),
        ("viewport", "0,10"),
        ("viewport", "1e9,1e9"),
        ("viewport", "10.5,10"),
        ("viewport", "10,10,0,0,0,10"),
        ("viewport", "10,10,-1,0,5,5"),
        ("viewport", "10"),
        ("quality", "0"),
        ("quality", "101"),
        ("quality", "ten"),
        ("iccprofile", "cmyk"),
    ],
)
def test_a_malformed_value_is_refused_and_its_parameter_named(parameter: str, text: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse_rendering({parameter: text}, "image/jpeg")
    assert refused.value.parameter == parameter


def test_quality_runs_from_1_to_100() -> None:
    assert (parse_quality("1"), parse_quality("100")) == (1, 100)


def test_unknown_words_of_annotation_are_not_looked_at() -> None:
    assert parse_annotation("patient,horoscope, Technique") == {"patient", "technique"}
