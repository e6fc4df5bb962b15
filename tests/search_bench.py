"""Time searches among many studies: `python tests/search_bench.py [STUDIES] [FOLDER]`.

Fills an index with made-up studies (two series of two instances each), asks each kind of search a few times and prints
median milliseconds (and those of the first time, when the rest is counted too), rows, and how SQLite goes about it.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from databases import at
from index_filler import fill

from archive.attributes import Level
from archive.database.engine import open_database
from archive.database.index_tables import studies
from archive.identifiers import StudyUID
from archive.index.query import Query
from archive.index.search import search, statement_of
from archive.scope import Scope
from qido.parameters import Resource, parse_pairs, parse_search


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
    opened = open_database(at(database))
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
