"""The corpus of one run: a few small studies with fresh UIDs and a run token in every name and number."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator, Mapping

from conformance.corpus_metadata import metadata_samples
from conformance.corpus_pixels import pixel_samples
from conformance.corpus_rendered import rendered_samples
from conformance.corpus_search import search_samples
from conformance.corpus_text import text_samples
from conformance.samples import Sample

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


class Corpus(Mapping[str, Sample]):
    """Samples by name, in the order in which they are stored; `token` marks what is this run's."""

    def __init__(self, token: str, samples: list[Sample]) -> None:
        self.token = token
        self._samples = {sample.name: sample for sample in samples}

    def __getitem__(self, name: str) -> Sample:
        return self._samples[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)


def new_token() -> str:
    """Make a token of seven letters that no other run has: a capital and six small ones."""
    return "".join(secrets.choice(_LETTERS) for _ in range(7)).capitalize()


def build_corpus(token: str) -> Corpus:
    """Make every sample anew; nothing is read but pydicom's installed test files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are wrong on purpose
        samples = [
            *search_samples(token),
            *metadata_samples(token),
            *text_samples(token),
            *pixel_samples(token),
            *rendered_samples(token),
        ]
    return Corpus(token, samples)
