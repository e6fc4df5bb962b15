"""The corpus is what the cases take it for: its frames are pydicom's, its names are this run's alone."""

import io

import numpy as np
import pydicom
import pytest

from conformance.corpus import build_corpus, new_token
from conformance.samples import Sample

pytestmark = pytest.mark.filterwarnings("ignore")  # values that are wrong on purpose make pydicom warn
NOT_AS_ARRAY = {"native-planar", "bits-aligned", "bits-unaligned", "ybr-422", "segmentation-1"}  # told by bytes below


@pytest.fixture(scope="module")
def corpus():
    return build_corpus("Testtok")


def _read(sample: Sample) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(sample.data))


def test_every_sample_is_a_file_with_the_identity_it_is_listed_under(corpus):
    for sample in corpus.values():
        dataset = _read(sample)
        assert dataset.SOPInstanceUID == sample.sop_uid
        assert dataset.StudyInstanceUID == sample.study_uid
        assert dataset.file_meta.TransferSyntaxUID == sample.syntax


def test_two_runs_share_no_instance(corpus):
    other = build_corpus(new_token())
    assert not {s.sop_uid for s in corpus.values()} & {s.sop_uid for s in other.values()}
    assert not {s.study_uid for s in corpus.values()} & {s.study_uid for s in other.values()}


def test_the_corpus_is_small(corpus):
    assert sum(len(sample.data) for sample in corpus.values()) < 1_000_000


def test_known_frames_are_what_pydicom_decodes(corpus):
    checked = 0
    for name, sample in corpus.items():
        if not sample.frames or name in NOT_AS_ARRAY:
            continue
        dataset = _read(sample)
        try:
            array = dataset.pixel_array
        except (RuntimeError, NotImplementedError):  # no decoder for this syntax is installed
            continue
        frames = list(array) if int(dataset.get("NumberOfFrames") or 1) > 1 else [array]
        found = [frame.astype(frame.dtype.newbyteorder("<")).tobytes() for frame in frames]
        assert tuple(found) == sample.frames, name
        checked += 1
    assert checked > 25


def test_one_bit_frames_hold_the_bits_of_the_packed_data(corpus):
    for name in ("bits-aligned", "bits-unaligned"):
        dataset = _read(corpus[name])
        side = dataset.Rows
        for frame, bits in zip(corpus[name].frames, dataset.pixel_array, strict=True):
            found = np.unpackbits(np.frombuffer(frame, "u1"), bitorder="little")[: side * side]
            assert (found == bits.ravel()).all()


def test_text_comes_back_from_the_bytes_of_each_character_set(corpus):
    from conformance.corpus_text import TEXT_ROWS

    for row in TEXT_ROWS:
        dataset = _read(corpus[f"text-{row.id}"])
        if row.id == "chinese-2022":  # pydicom 3.0 does not decode GB 2312
            raw = dataset.get_item("StudyDescription").value
            assert raw.removeprefix(b"\x1b$)A").decode("gb2312").rstrip() == row.words
            continue
        dataset.decode()
        assert dataset.StudyDescription == row.words, row.id
        assert str(dataset.PatientName) == "Testtok" + row.name, row.id
