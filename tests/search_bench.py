"""Time searches among many studies: `python tests/search_bench.py [STUDIES] [FOLDER]`.

Fills an index with made-up studies (two series of two instances each), asks each kind of search a few times and prints
median milliseconds (and those of the first time, when the rest is counted too), rows, and how SQLite goes about it.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from archive.attributes import Level
from archive.database.engine import Database, migrate
from archive.database.index_tables import instance_metadata, instances, sequence_values, series, studies
from archive.identifiers import StudyUID
from archive.index.folding import fold_name, name_words
from archive.index.query import Query
from archive.index.search import search, statement_of
from archive.scope import Scope
from qido.parameters import Resource, parse_pairs, parse_search

SYLLABLES = [c + v + e for c in "bdfghklmnprstvwz" for v in "aeiou" for e in ("", "n", "r", "s", "l")]
MODALITIES = ["CT", "MR", "US", "CR", "DX", "MG", "PT", "NM"]
BATCH = 5_000


def made_studies(count: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    families = ["".join(chance.choices(SYLLABLES, k=chance.choice((2, 3)))).title() for _ in range(8_000)]
    givens = ["".join(chance.choices(SYLLABLES, k=2)).title() for _ in range(500)]
    for number in range(1, count + 1):
        name = f"{chance.choice(families)}^{chance.choice(givens)}"
        day = f"{chance.randint(2005, 2025)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
        columns = {
            "StudyDate": day, "StudyTime": f"{chance.randint(0, 235959):06}", "AccessionNumber": f"A{number:07}",
            "ReferringPhysicianName": f"{chance.choice(families[:200])}^Dr", "PatientName": name,
            "PatientID": f"P{chance.randint(1, count // 3 + 1):07}", "StudyID": str(number % 1000),
            "StudyDescription": f"Examination {number % 97}", "PatientBirthDate": f"19{number % 90 + 10}0101",
            "PatientSex": "MF"[number % 2], "ModalitiesInStudy": MODALITIES[number % 7],
        }  # fmt: skip
        if number % 5_000 == 0:
            columns["ModalitiesInStudy"] = "NM"
        folded = {f"{key}_folded": fold_name(columns[key]) for key in ("PatientName", "ReferringPhysicianName")}
        words = {f"{key}_words": name_words(columns[key]) for key in ("PatientName", "ReferringPhysicianName")}
        attributes = orjson.dumps({"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}, "00081030": {"vr": "LO"}})
        yield columns | folded | words | {
            "id": number, "study_uid": f"1.2.3.{number}", "series_count": 2, "instance_count": 4,
            "stored_ms": number, "updated_ms": number, "attributes": attributes + b" " * 700,
        }  # fmt: skip


def fill(path: Path, count: int) -> None:
    migrate(path)
    engine = sa.create_engine(f"sqlite:///{path}")
    batch: list[dict[str, Any]] = []
    with engine.connect() as connection:
        for study in made_studies(count, random.Random(1)):
            batch.append(study)
            if len(batch) == BATCH or study["id"] == count:
                insert_batch(connection, batch)
                batch = []
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def insert_batch(connection: sa.Connection, batch: list[dict[str, Any]]) -> None:
    own_series = [
        {
            "id": study["id"] * 2 + k, "study_id": study["id"], "series_uid": f"{study['study_uid']}.{k}",
            "Modality": study["ModalitiesInStudy"], "SeriesNumber": str(k), "instance_count": 2,
            "PerformedProcedureStepStartDate": study["StudyDate"], "stored_ms": 1, "updated_ms": 1,
            "attributes": b'{"00080060":{"vr":"CS","Value":["CT"]}}',
        }
        for study in batch
        for k in range(2)
    ]  # fmt: skip
    own_instances = [
        {
            "id": one["id"] * 2 + k, "study_id": one["study_id"], "series_id": one["id"],
            "instance_uid": f"{one['series_uid']}.{k}", "sop_class_uid": f"1.2.840.{MODALITIES.index(one['Modality'])}",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1", "digest": f"{one['id'] * 2 + k:064x}", "length_bytes": 1,
            "is_report": False, "is_image": True, "stored_ms": 1, "stored_by": "bench", "InstanceNumber": str(k),
            "frames": b"",
        }
        for one in own_series
        for k in range(2)
    ]  # fmt: skip
    steps = [
        {"study_id": one["study_id"], "series_id": one["id"], "path": "00400275.00400009", "value": f"S{one['id']}"}
        for one in own_series
    ]
    connection.execute(sa.insert(studies), batch)
    connection.execute(sa.insert(series), own_series)
    connection.execute(sa.insert(instances), own_instances)
    documents = [{"instance_id": one["id"], "document": b'{"00080060":{"vr":"CS"}}'} for one in own_instances]
    connection.execute(sa.insert(instance_metadata), documents)
    connection.execute(sa.insert(sequence_values), steps)
    connection.commit()


def searches(connection: sa.Connection, count: int) -> list[tuple[str, Level, str]]:
    name, physician, patient = connection.execute(
        sa.select(studies.c.PatientName, studies.c.ReferringPhysicianName, studies.c.PatientID).where(
            studies.c.id == count // 2
        )
    ).one()
    some = count // 2
    return [
        ("first page", Level.STUDY, "limit=101"),
        ("page at offset 5000", Level.STUDY, "limit=101&offset=5000"),
        ("StudyInstanceUID", Level.STUDY, f"StudyInstanceUID=1.2.3.{some}"),
        ("PatientID", Level.STUDY, f"PatientID={patient}"),
        ("PatientID infix", Level.STUDY, f"PatientID=*{patient[2:]}*&limit=101"),
        ("AccessionNumber", Level.STUDY, f"AccessionNumber=A{some:07}"),
        ("AccessionNumber infix", Level.STUDY, f"AccessionNumber=*{some:06}*&limit=101"),
        ("StudyID", Level.STUDY, "StudyID=500&limit=101"),
        ("StudyDate day", Level.STUDY, "StudyDate=20150310&limit=101"),
        ("StudyDate week", Level.STUDY, "StudyDate=20150310-20150316&limit=101"),
        ("StudyDate+Time", Level.STUDY, "StudyDate=20150310-20150316&StudyTime=1000-1200&limit=101"),
        ("StudyTime", Level.STUDY, "StudyTime=100000-100005&limit=101"),
        ("PatientName exact", Level.STUDY, f"PatientName={name}"),
        ("PatientName prefix", Level.STUDY, f"PatientName={name[:4]}*&limit=101"),
        ("PatientName infix", Level.STUDY, f"PatientName=*{name[1:5]}*&limit=101"),
        ("PatientName infix, all rows", Level.STUDY, "PatientName=*ba*&limit=101"),
        ("PatientName nobody", Level.STUDY, "PatientName=*qqqqq*&limit=101"),
        ("PatientName fuzzy", Level.STUDY, f"PatientName={name.replace('^', ' ')}&fuzzymatching=true&limit=101"),
        ("name + date", Level.STUDY, f"PatientName=*{name[1:4]}*&StudyDate=20150101-20151231&limit=101"),
        ("ReferringPhysician", Level.STUDY, f"ReferringPhysicianName={physician}&limit=101"),
        ("StudyDescription infix", Level.STUDY, "StudyDescription=*ation 9*&limit=101"),
        ("ModalitiesInStudy common", Level.STUDY, "ModalitiesInStudy=CT&limit=101"),
        ("ModalitiesInStudy rare", Level.STUDY, "ModalitiesInStudy=NM&limit=101"),
        ("SOPClassesInStudy rare", Level.STUDY, "SOPClassesInStudy=1.2.840.7&limit=101"),
        ("OtherPatientNames (document)", Level.STUDY, "OtherPatientNames=foo*&limit=101"),
        ("All Series PatientID", Level.SERIES, f"PatientID={patient}"),
        ("All Series SeriesInstanceUID", Level.SERIES, f"SeriesInstanceUID=1.2.3.{some}.1"),
        ("All Series Modality rare", Level.SERIES, "Modality=NM&limit=101"),
        ("All Series SeriesNumber", Level.SERIES, "SeriesNumber=1&limit=101"),
        ("All Series PPSStartDate", Level.SERIES, "PerformedProcedureStepStartDate=20150310&limit=101"),
        ("All Series SPS ID", Level.SERIES, f"00400275.00400009=S{some}"),
        ("All Instances SOPInstanceUID", Level.INSTANCE, f"SOPInstanceUID=1.2.3.{some}.1.1"),
        ("All Instances SOPClassUID", Level.INSTANCE, "SOPClassUID=1.2.840.0&limit=101"),
        ("All Instances first page", Level.INSTANCE, "limit=101"),
    ]


def measure(database: Path, count: int) -> None:
    opened = Database.open(database)
    engine = opened._reading
    with engine.connect() as connection:
        for title, level, text in searches(connection, count):
            query = parse_search(Resource(level), parse_pairs(text.replace("^", "%5E"))).query
            report(connection, title, query)
        for title, query in (
            ("series of a study", Query(Level.SERIES, StudyUID(f"1.2.3.{count // 2}"))),
            ("instances of a study", Query(Level.INSTANCE, StudyUID(f"1.2.3.{count // 2}"))),
        ):
            report(connection, title, query)
    engine.dispose()


def report(connection: sa.Connection, title: str, query: Query) -> None:
    times = []
    scope = Scope.everything()
    begin = time.perf_counter()
    result = search(scope, connection, query, limit_s=60)
    first = (time.perf_counter() - begin) * 1000
    for _ in range(7):
        begin = time.perf_counter()
        result = search(scope, connection, query, limit_s=60)
        times.append((time.perf_counter() - begin) * 1000)
    compiled = statement_of(scope, query).compile(connection, compile_kwargs={"literal_binds": True})
    plan = [row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + str(compiled).replace("%", "%%"))]
    count = f"{len(result.matches)} of {len(result.matches) + result.remaining}"
    print(f"{title:32} {statistics.median(times):9.2f} ms (first {first:7.2f}) {count:>16}  {'; '.join(plan)[:150]}")


if __name__ == "__main__":
    studies_count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    file = folder / f"bench-{studies_count}.sqlite"
    if not file.exists():
        fill(file, studies_count)
    measure(file, studies_count)
