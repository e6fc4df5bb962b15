"""Images of every kind that the tests draw themselves, and the real files that they may read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import stored  # noqa: F401 - a fixture of these tests
from numpy.typing import NDArray
from pydicom.data import get_testdata_files

from archive.dicom.extract import parse_instance
from archive.errors import LightboxError
from archive.identifiers import Digest
from archive.instances import FrameIndex, FrameLayout, PixelFacts, Span
from wado.pixels.source import FrameSource

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@cache
def image_sources() -> tuple[FrameSource, ...]:
    """Every file of pydicom's tests, and of the shared data where it is there, that has frames."""
    shared = sorted(SHARED_DATA.rglob("*")) if SHARED_DATA.is_dir() else []
    found = []
    for path in [*sorted({Path(name) for name in get_testdata_files()}), *shared]:
        if not path.is_file():
            continue
        try:
            parsed = parse_instance(path.read_bytes())
        except LightboxError:
            continue
        if parsed.pixels is not None and parsed.frames.layout not in (FrameLayout.NONE, FrameLayout.WHOLE):
            found.append(FrameSource(path, Digest("0" * 64), parsed.pixels, parsed.frames, parsed.transfer_syntax_uid))
    return tuple(found)


@pytest.fixture(scope="session")
def real_sources() -> tuple[FrameSource, ...]:
    if not SHARED_DATA.is_dir():
        print("The shared data is not beside this project: pydicom's files alone are read.")
    return image_sources()


@dataclass(frozen=True)
class Kind:
    """A kind of image to draw."""

    bits_stored: int
    bits_allocated: int
    signed: bool = False
    photometric: str = "MONOCHROME2"
    rows: int = 29
    columns: int = 43

    @property
    def facts(self) -> PixelFacts:
        colour = self.photometric in ("RGB", "YBR_FULL")
        return PixelFacts(
            self.rows,
            self.columns,
            3 if colour else 1,
            self.photometric,
            self.bits_allocated,
            self.bits_stored,
            self.bits_stored - 1,
            int(self.signed),
        )

    def draw(self) -> NDArray[Any]:
        """A slope with noise over the whole range, its extremes included."""
        facts = self.facts
        low, high = (
            (-(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1)
            if self.signed
            else (0, (1 << self.bits_stored) - 1)
        )
        shape = (self.rows, self.columns) if facts.samples_per_pixel == 1 else (self.rows, self.columns, 3)
        generator = np.random.default_rng(self.bits_stored + 64 * self.signed)
        values = np.linspace(low, high, int(np.prod(shape))).reshape(shape)
        values = (
            np.clip(values + generator.normal(0, max(1, (high - low) / 64), shape), low, high).round().astype(np.int64)
        )
        values.flat[0], values.flat[-1] = low, high
        return values.astype(f"{'i' if self.signed else 'u'}{self.bits_allocated // 8}")


KINDS = (
    Kind(8, 8),
    Kind(6, 8),
    Kind(8, 8, signed=True),
    Kind(8, 16),
    Kind(10, 16),
    Kind(12, 16),
    Kind(12, 16, signed=True),
    Kind(14, 16, signed=True),
    Kind(16, 16),
    Kind(16, 16, signed=True),
    Kind(24, 32),
    Kind(32, 32),
    Kind(32, 32, signed=True),
    Kind(12, 16, photometric="MONOCHROME1"),
    Kind(8, 8, photometric="PALETTE COLOR"),
    Kind(16, 16, photometric="PALETTE COLOR"),
    Kind(8, 8, photometric="RGB"),
    Kind(16, 16, photometric="RGB"),
    Kind(12, 16, photometric="RGB"),
    Kind(8, 8, photometric="YBR_FULL"),
    Kind(12, 16, rows=1, columns=1),
    Kind(8, 8, photometric="RGB", rows=1, columns=7),
    Kind(16, 16, rows=5, columns=1),
    Kind(12, 16, rows=257, columns=129),
)


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    value: Kind = request.param
    return value


@pytest.fixture
def make_kind() -> type[Kind]:
    return Kind


@pytest.fixture
def ct_kind() -> Kind:
    return Kind(12, 16, rows=128, columns=96)


Framed = Callable[[list[bytes], PixelFacts, str], FrameSource]


@pytest.fixture
def framed(tmp_path: Path) -> Framed:
    """Makes a blob of compressed frames, each one fragment, and tells where they lie."""
    made = 0

    def make(frames: list[bytes], facts: PixelFacts, transfer_syntax_uid: str) -> FrameSource:
        nonlocal made
        made += 1
        path = tmp_path / f"blob{made}"
        path.write_bytes(b"".join(frames))
        spans, offset = [], 0
        for frame in frames:
            spans.append((Span(offset, len(frame)),))
            offset += len(frame)
        index = FrameIndex(FrameLayout.FRAGMENTS, len(frames), spans=tuple(spans))
        return FrameSource(path, Digest(f"{made:064x}"), facts, index, transfer_syntax_uid)

    return make
