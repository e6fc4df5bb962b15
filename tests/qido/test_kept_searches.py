"""What was answered is answered again only while it holds, and within bounds."""

import sqlalchemy as sa
from search_builder import IndexBuilder
from search_client import Searching

from archive.database.index_tables import instance_metadata, instances, series, studies
from archive.identifiers import StudyUID
from archive.index.counters import count_again
from archive.scope import Scope
from qido.kept import Bounded, Found, KeptSearches


async def test_the_same_search_finds_what_was_stored_since(searching: Searching, index: IndexBuilder) -> None:
    index.add("1", "1", "1", PatientName="Doe^Jane", Modality="CT")
    (before,) = await searching.objects("/studies?PatientName=doe*")
    assert (before["00201208"]["Value"], before["00080061"]["Value"]) == ([1], ["CT"])
    index.add("1", "2", "1", PatientName="Doe^Jane", Modality="SR")
    (after,) = await searching.objects("/studies?PatientName=doe*")
    assert (after["00201208"]["Value"], after["00080061"]["Value"]) == ([2], ["CT", "SR"])
    index.add("2", "1", "1", PatientName="Doe^John")
    assert await searching.uids("/studies?PatientName=doe*") == ["2", "1"]


async def test_the_same_search_no_longer_finds_what_was_deleted(searching: Searching, index: IndexBuilder) -> None:
    index.add("1", "1", "1", PatientID="P-1")
    assert await searching.uids("/studies?PatientID=P-1") == ["1"]
    with index.engine.begin() as connection:
        connection.execute(sa.delete(instance_metadata))
        connection.execute(sa.delete(instances))
        count_again(
            connection, *(list(connection.execute(sa.select(table.c.id)).scalars()) for table in (studies, series))
        )
    assert await searching.uids("/studies?PatientID=P-1") == []


async def test_what_one_scope_was_answered_no_other_is(searching: Searching, index: IndexBuilder) -> None:
    index.add("1", "1", "1", PatientID="P-1")
    assert await searching.uids("/studies?PatientID=P-1") == ["1"]
    searching.scope = Scope.studies(StudyUID("1.2.99"))
    assert await searching.uids("/studies?PatientID=P-1") == []


async def test_a_kept_answer_is_sent_in_every_coding_and_below_each_root(
    searching: Searching, index: IndexBuilder
) -> None:
    for number in range(5):
        index.add(str(number), "1", "1", PatientID="P-1", StudyDescription="thorax " * 8)
    plain = await searching.objects("/studies?PatientID=P-1")
    for coding in ("gzip", "br", "gzip", "identity"):
        response = await searching.get("/studies?PatientID=P-1", Accept_Encoding=coding)
        assert response.headers.get("Content-Encoding", "identity") == coding
        assert await response.json(content_type=None) == plain
    below = await searching.get("/studies?PatientID=P-1", root="/s/abc/dicom-web")
    assert "/s/abc/dicom-web/studies/" in await below.text()


def test_what_was_used_longest_ago_goes_first() -> None:
    kept: Bounded[str, bytes] = Bounded(10_000)
    for name in "abc":
        kept.keep(name, b"", 2_000)
    assert kept.find("a") == b""
    kept.keep("d", b"", 2_000)
    assert [name for name in "abcd" if kept.find(name) is not None] == ["a", "c", "d"]
    kept.keep("e", b"", 20_000)
    assert [name for name in "abcde" if kept.find(name) is not None] == []


def test_an_answer_of_an_older_version_is_none() -> None:
    kept = KeptSearches()
    kept.keep_answer("name", 1, Found(b"[]", "tag", 0, 0))
    assert kept.answer("name", 1) is not None
    assert kept.answer("name", 2) is None
