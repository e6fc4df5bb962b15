"""The link on paper, as PDF."""

import base64
import re
import zlib

import segno

from archive.delivery.handout import QR_MM, Handout, handout_pdf
from archive.languages import load_languages

URL = "https://images.example.org/o/ABCDE12345#ABCDEABCDEABCDEABCDEABCDEF"


def handout(language="en", **values):
    return Handout(
        load_languages()[language],
        "St. Elsewhere",
        "https://images.example.org",
        URL,
        ("ABCDE-12345", "ABCDE-ABCDE-ABCDE-ABCDE-ABCDEF"),
        "24 November 2027",
        **values,
    )


def drawing(pdf):
    """The drawing operators of the page."""
    [stream] = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)[:1]
    return zlib.decompress(base64.a85decode(stream.strip().removesuffix(b"~>"))).decode("latin-1")


def test_the_squares_on_the_paper_are_the_link():
    """The rectangles drawn are the dark modules of the link's QR code, at the place of each."""
    matrix = list(segno.make(URL, error="m", micro=False).matrix_iter(border=4))
    count = len(matrix)
    rectangles = re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) [\d.]+ re f", drawing(handout_pdf(handout())))
    side = QR_MM * 72 / 25.4 / count
    left = min(float(x) for x, _, _ in rectangles)
    bottom = min(float(y) for _, y, _ in rectangles)
    drawn = {(round((float(x) - left) / side), round((float(y) - bottom) / side)) for x, y, _ in rectangles}
    dark = {
        (column, count - 1 - row) for row, modules in enumerate(matrix) for column, one in enumerate(modules) if one
    }
    first, lowest = min(column for column, _ in dark), min(row for _, row in dark)
    assert drawn == {(column - first, row - lowest) for column, row in dark}
    assert (count - 8) * side / 72 * 25.4 >= 30


def test_the_page_holds_the_code_in_groups_three_steps_and_an_end_in_every_language():
    for language in load_languages():
        text = drawing(handout_pdf(handout(language, help_phone="+49 30 1234")))
        for told in (*handout().typed, "(1. ", "(2. ", "(3. ", "24 November 2027", "+49 30 1234"):
            assert told in text, (language, told)


def test_it_is_one_page_also_with_words_for_the_patient():
    pdf = handout_pdf(handout("fr", help_phone="+33 1 23 45 67 89", passphrase="bako-lumi-tero-sina"))
    assert re.findall(rb"/Type /Page\b", pdf) == [b"/Type /Page"]
    assert "bako-lumi-tero-sina" in drawing(pdf)
    heights = [float(y) for y in re.findall(r"1 0 0 1 [\d.]+ ([\d.]+) Tm", drawing(pdf))]
    assert min(heights) > 36


def test_a_name_in_other_letters_does_not_stop_the_printing():
    values = handout()
    pdf = handout_pdf(
        Handout(values.language, "病院", *[getattr(values, n) for n in ("public_base", "url", "typed", "until")])
    )
    assert pdf.startswith(b"%PDF")
