"""A short run over everything that reads strangers' input; the long one is `python -m tests.fuzz`."""

import base64
import json
import random
from pathlib import Path

import fuzz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

KNOWN = json.loads((Path(__file__).parent / "regressions.json").read_text())


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_good_input_is_read(target):
    for seed in fuzz.seeds(target):
        fuzz.TARGETS[target](seed)


@pytest.mark.parametrize("target", fuzz.TARGETS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(number=st.integers(0, 2**32))
def test_damaged_input_is_read_or_refused_and_quickly(target, number):
    chance = random.Random(number)
    data = fuzz.damaged(chance.choice(fuzz.seeds(target)), chance)
    assert fuzz.fault_of(target, data) == ""


@pytest.mark.parametrize("target", fuzz.TARGETS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(target, data):
    assert fuzz.fault_of(target, data) == ""


@pytest.mark.parametrize(("target", "data"), KNOWN)
def test_what_was_once_a_fault_is_none_any_more(target, data):
    assert fuzz.fault_of(target, base64.b64decode(data)) == ""
