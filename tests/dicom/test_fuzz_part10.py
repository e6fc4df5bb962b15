"""Whatever is done to a real file, it is read or refused: no other error, in bounded time, never outside its bytes."""

import time
import zlib
from pathlib import Path

import orjson
import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive.dicom.bulkdata import read_bulk_data
from archive.dicom.explicit import rewrite_explicit
from archive.dicom.extract import parse_instance
from archive.dicom.part10 import read_file_meta
from archive.errors import NotAcceptableError, RefusedInstanceError
from archive.instances import FrameIndex, FrameLayout

SYNTAXES = ["1.2.840.10008.1.2\0", "1.2.840.10008.1.2.1\0", "1.2.840.10008.1.2.2\0"]
MAXIMUM_SECONDS = 1.0
INTERESTING = [b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0",
               b"\xf0\xff\xff\xff", b"SQ\0\0", b"UN\0\0", b"OB\0\0", b"\0\0\0\0", b"\xe0\x7f\x10\0",
               b"\x08\0\x05\0", b"\x1b$B", b"\\\\"]  # fmt: skip


def _seeds() -> list[bytes]:
    names = ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm", "image_dfl.dcm",
             "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "test-SR.dcm", "rtplan.dcm", "nested_priv_SQ.dcm"]  # fmt: skip
    paths = [pydicom.data.get_testdata_file(name, download=False) for name in names]
    return [_without_most_pixels(Path(path).read_bytes()) for path in paths if path]


def _without_most_pixels(data: bytes) -> bytes:
    return data if len(data) < 60_000 else data[:60_000]


SEEDS = _seeds()
mutations = st.lists(
    st.tuples(
        st.floats(0, 1, allow_nan=False),
        st.sampled_from(["put"] * 7 + ["insert", "delete", "copy"]),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(INTERESTING)),
    ),
    min_size=1,
    max_size=6,
)


def _mutated(data: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    mutated = bytearray(data)
    for place, kind, value in changes:
        # Heads are where things go wrong: three of four changes fall into the first 4 KiB.
        reach = len(mutated) if place > 0.75 else min(len(mutated), 4096)
        position = int(place * reach)
        if kind == "put":
            mutated[position : position + len(value)] = value
        elif kind == "insert":
            mutated[position:position] = value
        elif kind == "delete":
            del mutated[position : position + len(value)]
        else:
            mutated[position:position] = mutated[position : position + 64 * len(value)]
    return bytes(mutated)


def _survives(data: bytes) -> bool:
    """Read it in every way there is; whether it was accepted."""
    begin = time.process_time()
    try:
        parsed = parse_instance(data)
    except RefusedInstanceError as refusal:
        if not refusal.message or refusal.failure_reason not in (0xC000, 0xC122, 0x0122):
            raise AssertionError("A refusal has a reason and a sentence.") from refusal
        return False
    finally:
        if time.process_time() - begin > MAXIMUM_SECONDS:
            pytest.fail("Reading took too long.")
    document = orjson.loads(parsed.metadata)
    assert list(document) == sorted(document)
    assert FrameIndex.from_bytes(parsed.frames.to_bytes()) == parsed.frames
    for found in read_bulk_data(data):
        for span in found.value.spans:
            assert 0 <= span.offset <= span.offset + span.length_bytes <= len(found.data)
    if parsed.frames.layout not in (FrameLayout.NONE, FrameLayout.WHOLE) and not read_file_meta(data).deflated:
        for index in (0, parsed.frames.count - 1):
            assert all(span.offset + span.length_bytes <= len(data) for span in parsed.frames.spans_of(index))
    try:
        for _ in rewrite_explicit(data):
            pass
    except NotAcceptableError:
        pass
    return True


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, len(SEEDS) - 1), changes=mutations)
def test_a_changed_file_is_read_or_refused(seed: int, changes: list[tuple[float, str, bytes]]) -> None:
    _survives(_mutated(SEEDS[seed], changes))


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=400),
    syntax=st.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1\0", "1.2.840.10008.1.2.2\0"]),
)
@example(content=b"\x08\x00\x16\x00UI\x00\x00", syntax="1.2.840.10008.1.2.1\0")
def test_random_bytes_behind_a_good_head_are_read_or_refused(content: bytes, syntax: str) -> None:
    meta = b"\x02\0\x10\0UI" + len(syntax).to_bytes(2, "little") + syntax.encode()
    _survives(bytes(128) + b"DICM" + meta + content)


@settings(max_examples=100, deadline=None)
@given(changes=mutations)
def test_a_changed_deflated_dataset_is_read_or_refused(changes: list[tuple[float, str, bytes]]) -> None:
    data = next(seed for seed in SEEDS if read_file_meta(seed).deflated)
    offset = read_file_meta(data).dataset_offset
    inflated = zlib.decompress(data[offset:], -15)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    _survives(data[:offset] + deflate.compress(_mutated(inflated, changes)) + deflate.flush())


def test_most_seeds_are_accepted_as_they_are() -> None:
    assert sum(_survives(seed) for seed in SEEDS) >= len(SEEDS) - 2
