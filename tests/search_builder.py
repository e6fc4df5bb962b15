"""A real SQLite index, filled through the writer with objects made of keywords."""

import functools
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from databases import at, engine_at

from archive.attributes import ATTRIBUTES
from archive.database.engine import Database, migrate, open_database
from archive.identifiers import Digest, InstanceUID, SeriesUID, StudyUID
from archive.index.writer import NewInstance, add_instances
from archive.instances import FrameIndex, FrameLayout, ParsedInstance

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.11"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
_BY_KEYWORD = {attribute.keyword: attribute for attribute in ATTRIBUTES.values()}


def as_json(keyword: str, value: Any) -> tuple[str, dict[str, Any]]:
    """A DICOM JSON attribute of a keyword (or tag:VR) and a value; a list is several values, None an empty one."""
    if ":" in keyword:
        tag, vr = keyword.split(":")
    else:
        tag, vr = _BY_KEYWORD[keyword].tag, _BY_KEYWORD[keyword].vr
    if value is None or value == "":
        return tag, {"vr": vr}
    values = value if isinstance(value, list) else [value]
    if vr == "PN":
        groups = ("Alphabetic", "Ideographic", "Phonetic")
        values = [{g: part for g, part in zip(groups, one.split("="), strict=False) if part} for one in values]
    if vr == "SQ":
        values = [dict(as_json(*pair) for pair in item.items()) for item in values]
    return tag, {"vr": vr, "Value": values}


@functools.cache
def _empty_database() -> bytes:
    """A migrated database, made once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite"
        migrate(path)
        return path.read_bytes()


def _engine(path: Path) -> sa.Engine:
    """The builder writes as no archive does: at once and by itself."""
    if isinstance(at(path), Path):
        path.write_bytes(_empty_database())
    return engine_at(path)


class IndexBuilder:
    """An index to search in. Time passes by one second with each `add`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = _engine(path)
        self.now_ms = 1_700_000_000_000
        self.count = 0

    def add(self, study: str = "1", series: str = "1", instance: str = "", /, **attributes: Any) -> str:
        """Store one instance; UIDs are given by their last parts. Returns its SOP Instance UID."""
        new = self.made(study, series, instance, **attributes)
        with self.engine.begin() as connection:
            add_instances(connection, [new], self.now_ms)
        self.now_ms += 1000
        return new.parsed.instance_uid

    def made(self, study: str, series: str, instance: str = "", /, **attributes: Any) -> NewInstance:
        """An instance to be stored, as `add` would."""
        self.count += 1
        study_uid, series_uid = StudyUID(f"1.2.{study}"), SeriesUID(f"1.2.{study}.{series}")
        instance_uid = InstanceUID(f"{series_uid}.{instance or self.count}")
        sop_class = attributes.pop("SOPClassUID", CT_CLASS)
        values = {
            "StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": instance_uid,
            "SOPClassUID": sop_class, "Modality": "CT", "StudyDate": "20240101", "PatientName": "Doe^John",
        } | attributes  # fmt: skip
        model = dict(sorted(as_json(keyword, value) for keyword, value in values.items()))
        parsed = ParsedInstance(
            study_uid, series_uid, instance_uid, sop_class, EXPLICIT_LE, FrameIndex(FrameLayout.NONE), None,
            orjson.dumps(model), model,
        )  # fmt: skip
        digest = Digest(hashlib.sha256(instance_uid.encode()).hexdigest())
        return NewInstance(parsed, digest, 1000, "test")

    def connect(self) -> sa.Connection:
        return self.engine.connect()

    def open(self) -> Database:
        return open_database(at(self.path))
