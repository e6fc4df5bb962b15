"""Fill an index with made-up studies, to measure in: `python tests/index_filler.py DATA STUDIES [INSTANCES]`.

Makes the data folder of a server: so many studies of two series, and so many instances in each series (5). There is one
file in the store, whose digest every instance bears, so that frames can be asked for. The rows are those that a store
of each would leave: a CT of about 110 elements, whose metadata differ in the SOP Instance UID alone.
"""

import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from databases import at

from archive.database.engine import migrate
from archive.database.index_tables import instance_metadata, instances, sequence_values, series, studies
from archive.dicom.extract import parse_instance
from archive.dicom.part10 import Limits
from archive.index.texts import STUDY_COLUMNS, columns_of
from archive.store.files import FileStore
from conformance.bench.corpus import picture, template

SYLLABLES = [c + v + e for c in "bdfghklmnprstvwz" for v in "aeiou" for e in ("", "n", "r", "s", "l")]
MODALITIES = ["CT", "MR", "US", "CR", "DX", "MG", "PT", "NM"]
BATCH = 5_000
VRS = {"StudyDate": "DA", "StudyTime": "TM", "PatientBirthDate": "DA", "PatientSex": "CS", "StudyDescription": "LO"}
VRS |= {
    "PatientID": "LO",
    "AccessionNumber": "SH",
    "StudyID": "SH",
    "PatientName": "PN",
    "ReferringPhysicianName": "PN",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What every study holds: two series of so many instances, all with these columns.

    The metadata of each are `document`, in which `instance_uid` stands for its own UID; cut short where there is none.
    """

    per_series: int = 2
    columns: dict[str, Any] | None = None
    document: bytes = b'{"00080060":{"vr":"CS"}}'
    instance_uid: bytes = b""

    def document_of(self, instance_uid: str) -> bytes:
        return self.document.replace(self.instance_uid, instance_uid.encode()) if self.instance_uid else self.document


def made_studies(count: int, chance: random.Random, shape: Shape) -> Iterator[dict[str, Any]]:
    families = ["".join(chance.choices(SYLLABLES, k=chance.choice((2, 3)))).title() for _ in range(8_000)]
    givens = ["".join(chance.choices(SYLLABLES, k=2)).title() for _ in range(500)]
    for number in range(1, count + 1):
        name = f"{chance.choice(families)}^{chance.choice(givens)}"
        day = f"{chance.randint(2005, 2025)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
        values = {
            "StudyDate": day, "StudyTime": f"{chance.randint(0, 235959):06}", "AccessionNumber": f"A{number:07}",
            "ReferringPhysicianName": f"{chance.choice(families[:200])}^Dr", "PatientName": name,
            "PatientID": f"P{chance.randint(1, count // 3 + 1):07}", "StudyID": str(number % 1000),
            "StudyDescription": f"Examination {number % 97}", "PatientBirthDate": f"19{number % 90 + 10}0101",
            "PatientSex": "MF"[number % 2],
        }  # fmt: skip
        yield columns_of(_attributes(values, f"1.2.3.{number}"), STUDY_COLUMNS) | {
            "id": number, "study_uid": f"1.2.3.{number}", "series_count": 2, "instance_count": 2 * shape.per_series,
            "ModalitiesInStudy": "NM" if number % 5_000 == 0 else MODALITIES[number % 7],
            "stored_ms": number, "updated_ms": number,
        }  # fmt: skip


def _attributes(values: dict[str, str], study_uid: str) -> dict[str, dict[str, Any]]:
    found = {
        STUDY_COLUMNS[keyword]: {"vr": VRS[keyword], "Value": [{"Alphabetic": text} if VRS[keyword] == "PN" else text]}
        for keyword, text in values.items()
    }
    return found | {"0020000D": {"vr": "UI", "Value": [study_uid]}}


def fill(path: Path, count: int, shape: Shape = Shape()) -> None:
    """Bring the database at `path` to this program's schema and put the studies in it."""
    migrate(at(path))
    engine = sa.create_engine(f"sqlite:///{path}")
    batch: list[dict[str, Any]] = []
    with engine.connect() as connection:
        for pragma in ("synchronous=OFF", "cache_size=-1500000", "temp_store=MEMORY"):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        for study in made_studies(count, random.Random(1), shape):
            batch.append(study)
            if len(batch) == BATCH or study["id"] == count:
                insert_batch(connection, batch, shape)
                batch = []
    engine.dispose()


def insert_batch(connection: sa.Connection, batch: list[dict[str, Any]], shape: Shape) -> None:
    own_series = [
        {
            "id": study["id"] * 2 + k, "study_id": study["id"], "series_uid": f"{study['study_uid']}.{k}",
            "Modality": study["ModalitiesInStudy"], "SeriesNumber": str(k), "instance_count": shape.per_series,
            "PerformedProcedureStepStartDate": study["StudyDate"], "stored_ms": 1, "updated_ms": 1,
            "attributes": b'{"00080060":{"vr":"CS","Value":["CT"]}}',
        }
        for study in batch
        for k in range(2)
    ]  # fmt: skip
    made_up = {"transfer_syntax_uid": "1.2.840.10008.1.2.1", "length_bytes": 1, "frames": b"", "pixels": None}
    common = {"is_report": False, "is_image": True, "stored_ms": 1, "stored_by": "bench"} | (shape.columns or made_up)
    own_instances = [
        {
            "id": one["id"] * shape.per_series + k, "study_id": one["study_id"], "series_id": one["id"],
            "instance_uid": f"{one['series_uid']}.{k}", "InstanceNumber": str(k),
            "sop_class_uid": f"1.2.840.{MODALITIES.index(one['Modality'])}",
            "digest": f"{one['id'] * shape.per_series + k:064x}",
        } | common
        for one in own_series
        for k in range(shape.per_series)
    ]  # fmt: skip
    steps = [
        {"study_id": one["study_id"], "series_id": one["id"], "path": "00400275.00400009", "value": f"S{one['id']}"}
        for one in own_series
    ]
    documents = [
        {"instance_id": one["id"], "document": shape.document_of(str(one["instance_uid"]))} for one in own_instances
    ]
    tables = (studies, series, instances, instance_metadata, sequence_values)
    for table, rows in zip(tables, (batch, own_series, own_instances, documents, steps), strict=True):
        insert_rows(connection, table, rows)
    connection.connection.commit()


def insert_rows(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Right by the driver: SQLAlchemy takes longer over a row than SQLite does."""
    names = list(rows[0])
    marks = ", ".join(f":{name}" for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    text = f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"
    driver: Any = connection.connection.driver_connection
    driver.executemany(text, rows)


def stored_shape(folder: Path, per_series: int) -> Shape:
    """Put one file in the store; what the rows of an instance like it say."""
    content, store = template(picture()).content, FileStore(folder)
    draft = store.begin()
    draft.write(content)
    digest = draft.seal()
    with draft.contents() as data:
        parsed = parse_instance(data, Limits())
    draft.keep()
    store.settle([digest])
    columns = {
        "sop_class_uid": parsed.sop_class_uid, "transfer_syntax_uid": parsed.transfer_syntax_uid,
        "length_bytes": len(content), "frames": parsed.frames.to_bytes(), "Rows": "512", "Columns": "512",
        "pixels": orjson.dumps(asdict(parsed.pixels)) if parsed.pixels else None,
        "BitsAllocated": "16", "ImageType": "ORIGINAL\\PRIMARY\\AXIAL", "ContentDate": "20260102",
        "ContentTime": "101112", "digest": digest, "checksum": draft.checksum(),
    }  # fmt: skip
    return Shape(per_series, columns, parsed.metadata, parsed.instance_uid.encode())


def main(data: Path, count: int, per_series: int) -> None:
    data.mkdir(parents=True, exist_ok=True)
    fill(data / "lightbox.sqlite", count, stored_shape(data / "store", per_series))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 5)
