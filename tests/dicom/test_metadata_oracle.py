"""The metadata of every real file is what pydicom makes of it, but for the differences that are named here as rules."""

import base64
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pydicom
import pytest
from pydicom.dataset import Dataset

from archive.dicom.bulkdata import BulkData, read_bulk_data
from archive.dicom.part10 import Limits, read_file_meta
from archive.dicom.walk import walk
from archive.errors import RefusedInstanceError

REFUSED = {
    "MR_truncated.dcm": "cut short",
    "rtplan_truncated.dcm": "cut short",
    "meta_missing_tsyntax.dcm": "no transfer syntax",
    "DICOMDIR-nooffset": "cut short",
}
SWAPPED = {"OW": "u2", "OF": "u4", "OL": "u4", "OD": "u8", "OV": "u8"}


@pytest.fixture(autouse=True)
def _quiet_pydicom(caplog):
    caplog.set_level(logging.CRITICAL, "pydicom")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the oddities of its own test files
        yield


def test_metadata_is_what_pydicom_reads(real_file: Path) -> None:
    data = real_file.read_bytes()
    if real_file.name in REFUSED:
        with pytest.raises(RefusedInstanceError, match=REFUSED[real_file.name]):
            walk(data, read_file_meta(data), Limits())
        return
    walked = walk(data, read_file_meta(data), Limits())
    dataset = pydicom.dcmread(io.BytesIO(data))
    bulk = {found.value.path: found for found in read_bulk_data(data)}
    seen = _Comparison(bulk)
    seen.datasets(orjson.loads(walked.metadata), dataset, "")
    assert seen.bulk_paths == list(bulk)


class _Comparison:
    def __init__(self, bulk: dict[str, BulkData]) -> None:
        self.bulk = bulk
        self.bulk_paths: list[str] = []

    def datasets(self, ours: dict[str, Any], theirs: Dataset, path: str) -> None:
        tags = [f"{tag:08X}" for tag in theirs._dict if tag & 0xFFFF]  # rule: group lengths are left out
        assert list(ours) == sorted(tags)  # rule: ascending
        for tag, entry in ours.items():
            raw = theirs.get_item(int(tag, 16))
            if entry["vr"] == "UN" and (raw.VR == "UN" or not raw.value):
                self.binary(entry, raw.value, path + tag)  # rule: UN stays UN, also where the attribute is known
                continue
            self.elements(entry, theirs[int(tag, 16)], path + tag)

    def elements(self, entry: dict[str, Any], element: Any, path: str) -> None:
        assert entry["vr"] == element.VR
        if element.VR == "SQ":
            items = entry.get("Value", [])  # rule: an empty sequence has no Value
            assert len(items) == len(element.value)
            for number, (ours, theirs) in enumerate(zip(items, element.value, strict=True), 1):
                self.datasets(ours, theirs, f"{path}/{number}/")
        elif "InlineBinary" in entry or "BulkDataURI" in entry:
            self.binary(entry, element.value, path)
        elif element.VR in ("DS", "IS") and "Value" in entry:
            values = element.value if element.VM > 1 else [element.value]
            assert [_number(value) for value in entry["Value"]] == [_number(value) for value in values]
        else:
            assert entry.get("Value", []) == [_as_written(value) for value in self.values(element)]

    @staticmethod
    def values(element: Any) -> list[Any]:
        values = element.to_json_dict(None, 0).get("Value", [])
        return [] if values == [""] else values

    def binary(self, entry: dict[str, Any], value: bytes | str, path: str) -> None:
        if "BulkDataURI" not in entry:
            inline = base64.b64decode(entry.get("InlineBinary", ""))
            assert inline in (value or b"", _swapped(value or b"", entry["vr"]))
            return
        assert entry["BulkDataURI"] == path
        self.bulk_paths.append(path)
        found = self.bulk[path]
        whole = b"".join(found.blocks())
        if found.value.encapsulated:
            assert whole == b"".join(pydicom.encaps.generate_fragments(value))[len(_offset_table(value)) :]
        elif isinstance(value, bytes):
            assert whole == (_swapped(value, found.value.vr) if found.value.big_endian else value)


def _offset_table(value: bytes) -> bytes:
    return next(pydicom.encaps.generate_fragments(value))


def _swapped(value: bytes, vr: str) -> bytes:
    """Rule: metadata and bulk data are in little endian order."""
    return np.frombuffer(value, SWAPPED[vr]).byteswap().tobytes() if vr in SWAPPED and value else value


def _number(value: Any) -> Any:
    """Rule: what is no number stays a string."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value or None


def _as_written(value: Any) -> Any:
    """Rules: an empty value among others is null; spaces around codes mean nothing; empty name groups are left out."""
    if isinstance(value, str):
        return value.rstrip(" \0") or None
    if isinstance(value, dict):
        return {key: text.rstrip() for key, text in value.items() if text} or None
    return value
