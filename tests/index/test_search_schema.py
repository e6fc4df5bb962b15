"""The schema that migrations make is the one that the tables say, and every key has its index."""

import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from search_builder import IndexBuilder

from archive.attributes import Level
from archive.database import access_tables, index_tables
from archive.database.schema import metadata
from archive.identifiers import StudyUID
from archive.index.query import Query
from archive.index.search import statement_of
from archive.scope import Scope
from qido.parameters import Resource, parse_pairs, parse_search

OF_SQLITE, OF_POSTGRESQL = "study_text", "_trigrams"


def test_migrations_end_where_the_tables_are(index: IndexBuilder) -> None:
    assert access_tables, "it registers its tables when it is imported"
    assert index_tables
    with index.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_type": False})
        assert compare_metadata(context, metadata) == []


def is_ours(_thing: object, name: str | None, _kind: str, _reflected: bool, _other: object) -> bool:
    return name is None or not (name.startswith(OF_SQLITE) or name.endswith(OF_POSTGRESQL))


@pytest.mark.sqlite
def test_the_text_index_follows_its_studies(index: IndexBuilder) -> None:
    index.add("1", PatientName="Before^Name", StudyDescription="")
    index.add("1", StudyDescription="completed later")
    with sqlite3.connect(index.path) as database:
        find = "SELECT rowid FROM study_text WHERE StudyDescription GLOB '*completed*'"
        assert database.execute(find).fetchall() == [(1,)]
        database.execute("UPDATE studies SET StudyDescription = 'changed', PatientName_folded = '=after='")
        assert database.execute(find).fetchall() == []
        assert database.execute("SELECT rowid FROM study_text WHERE PatientName_folded GLOB '*aft*'").fetchall()
        database.execute("PRAGMA foreign_keys=OFF")
        database.execute("DELETE FROM studies")
        assert not database.execute("SELECT rowid FROM study_text WHERE PatientName_folded GLOB '*aft*'").fetchall()
        database.execute("INSERT INTO study_text(study_text, rank) VALUES ('integrity-check', 1)")
    database.close()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("level", "text"),
    [
        (Level.STUDY, "StudyDate=20240101"),
        (Level.STUDY, "StudyDate=20240101-20240131"),
        (Level.STUDY, "StudyTime=1000-1100"),
        (Level.STUDY, "AccessionNumber=A1"),
        (Level.STUDY, "AccessionNumber=A1*"),
        (Level.STUDY, "AccessionNumber=*A12*"),
        (Level.STUDY, "ModalitiesInStudy=CT"),
        (Level.STUDY, "ReferringPhysicianName=Who^Doctor"),
        (Level.STUDY, "PatientName=Doe^John"),
        (Level.STUDY, "PatientName=Doe*"),
        (Level.STUDY, "PatientName=*ohn*"),
        (Level.STUDY, "fuzzymatching=true&PatientName=John%20Doe"),
        (Level.STUDY, "PatientID=P1"),
        (Level.STUDY, "StudyInstanceUID=1.2.3,1.2.4"),
        (Level.STUDY, "StudyID=7"),
        (Level.STUDY, "PatientBirthDate=19700101"),
        (Level.SERIES, "Modality=CT"),
        (Level.SERIES, "SeriesInstanceUID=1.2.3"),
        (Level.SERIES, "PerformedProcedureStepStartDate=20240101"),
        (Level.SERIES, "RequestAttributesSequence.ScheduledProcedureStepID=S1"),
        (Level.SERIES, "RequestAttributesSequence.RequestedProcedureID=R1"),
        (Level.SERIES, "PatientID=P1"),
        (Level.INSTANCE, "SOPClassUID=1.2.840"),
        (Level.INSTANCE, "SOPInstanceUID=1.2.3"),
        (Level.INSTANCE, "PatientID=P1"),
    ],
)
def test_no_required_key_reads_through_the_whole_archive(index: IndexBuilder, level: Level, text: str) -> None:
    query = parse_search(Resource(level), parse_pairs(text)).query
    assert plan(index, query).startswith("SEARCH")


@pytest.mark.sqlite
@pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
def test_what_a_study_holds_is_found_through_the_study(index: IndexBuilder, level: Level) -> None:
    assert "SCAN" not in plan(index, Query(level, StudyUID("1.2.3")))


@pytest.mark.sqlite
def test_the_newest_studies_are_found_without_sorting(index: IndexBuilder) -> None:
    found = plan(index, Query(Level.STUDY))
    assert found.startswith("SCAN studies USING INDEX ix_studies_newest; ")
    assert "TEMP B-TREE" not in found
    assert found.count("SCAN") == 1


def plan(index: IndexBuilder, query: Query) -> str:
    statement = statement_of(Scope.everything(), query)
    with index.connect() as connection:
        text = str(statement.compile(connection, compile_kwargs={"literal_binds": True})).replace("%", "%%")
        return "; ".join(
            row[3] for row in connection.execute(sa.text("EXPLAIN QUERY PLAN " + text.replace(":", r"\:")))
        )
