"""The link on paper: one A4 page as PDF, with the QR code (35 mm, level M), the code in groups, and three steps."""

import io
from dataclasses import dataclass

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from archive.languages import Language

QR_MM = 45
MARGIN_MM = 22
FONT, BOLD, MONO = "Helvetica", "Helvetica-Bold", "Courier-Bold"


@dataclass(frozen=True, slots=True)
class Handout:
    """What the page says. Nothing about the patient or the examination is on it."""

    language: Language
    site_name: str
    public_base: str
    url: str
    typed: tuple[str, str]
    until: str
    help_phone: str = ""
    passphrase: str = ""

    @property
    def steps(self) -> tuple[str, str, str]:
        text = self.language.text
        last = "handout.step3_words" if self.passphrase else "handout.step3"
        return text("handout.step1"), text("handout.step2"), text(last)

    @property
    def texts(self) -> dict[str, str]:
        """What the printed page says, in the patient's language."""
        text = self.language.text
        steps = {f"step{number}": step for number, step in enumerate(self.steps, 1)}
        return {
            **steps,
            "title": text("handout.title"),
            "lead": text("handout.lead"),
            "typed": text("handout.typed", url=f"{self.public_base}/c"),
            "until": text("handout.until", date=self.until),
            "yours": text("handout.yours"),
        }


def handout_pdf(handout: Handout) -> bytes:
    """The page as PDF. The built-in fonts hold Latin-1; other characters of a site's name are left out."""
    data = io.BytesIO()
    canvas = Canvas(data, pagesize=A4)
    canvas.setTitle(handout.site_name)
    page = _Page(canvas)
    text = handout.language.text
    page.line(handout.site_name, BOLD, 14, 10)
    page.paragraph(text("handout.title"), BOLD, 22, 12)
    page.paragraph(text("handout.lead"), FONT, 12, 8)
    page.qr(handout.url)
    for number, step in enumerate(handout.steps, 1):
        page.paragraph(f"{number}.  {step}", FONT, 13, 4)
    page.gap(4)
    page.paragraph(text("handout.typed", url=f"{handout.public_base}/c"), FONT, 12, 3)
    for code in handout.typed:
        page.line(code, MONO, 15, 7)
    page.gap(3)
    if handout.passphrase:
        page.paragraph(text("handout.passphrase"), FONT, 12, 2)
        page.line(handout.passphrase, MONO, 15, 8)
    page.paragraph(text("handout.until", date=handout.until), FONT, 12, 3)
    page.paragraph(text("handout.yours"), FONT, 12, 3)
    if handout.help_phone:
        page.paragraph(text("page.help", phone=handout.help_phone), BOLD, 12, 3)
    canvas.save()
    return data.getvalue()


class _Page:
    """Writes from the top down."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._y = A4[1] - MARGIN_MM * mm
        self._width = A4[0] - 2 * MARGIN_MM * mm

    def gap(self, height_mm: float) -> None:
        self._y -= height_mm * mm

    def line(self, text: str, font: str, size: float, after_mm: float) -> None:
        self._y -= size
        self._canvas.setFont(font, size)
        self._canvas.drawString(MARGIN_MM * mm, self._y, _latin(text))
        self.gap(after_mm - 2)

    def paragraph(self, text: str, font: str, size: float, after_mm: float) -> None:
        line = ""
        for word in _latin(text).split():
            longer = f"{line} {word}".strip()
            if stringWidth(longer, font, size) > self._width and line:
                self.line(line, font, size, 3)
                line = word
            else:
                line = longer
        self.line(line, font, size, 2)
        self.gap(after_mm)

    def qr(self, url: str) -> None:
        matrix = list(segno.make(url, error="m", micro=False).matrix_iter(border=4))
        side = QR_MM * mm / len(matrix)
        self._y -= QR_MM * mm
        self._canvas.setFillGray(0)
        for row, modules in enumerate(matrix):
            for column, dark in enumerate(modules):
                if dark:
                    x = MARGIN_MM * mm + column * side
                    y = self._y + (len(matrix) - 1 - row) * side
                    # A hair wider than a module: neighbours join without a white line between them.
                    self._canvas.rect(x, y, side * 1.02, side * 1.02, stroke=0, fill=1)
        self.gap(6)


def _latin(text: str) -> str:
    return text.encode("latin-1", "ignore").decode("latin-1")
