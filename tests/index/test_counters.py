"""The counters that grow with each store are those that a count over the rows gives."""

import random
from typing import Any

import pytest
import sqlalchemy as sa
from search_builder import IndexBuilder

from archive.attributes import Level
from archive.audit import Action, Event, append
from archive.database.access_tables import share_studies, shares
from archive.database.index_tables import deleted_instances, instances, series, studies
from archive.database.snapshots import KeptResults, kept_while_unchanged, share_results
from archive.identifiers import Digest, InstanceUID, StudyUID
from archive.index.counters import count_again, count_all
from archive.index.deletion import Chain, Deletion, delete_instances, restore_instances
from archive.index.writer import NewInstance, add_instances

COUNTED = (
    sa.select(studies.c.study_uid, studies.c.series_count, studies.c.instance_count, studies.c.ModalitiesInStudy),
    sa.select(series.c.series_uid, series.c.instance_count),
)


def counters(connection: sa.Connection) -> list[list[Any]]:
    return [[tuple(row) for row in connection.execute(query.order_by(sa.text("1")))] for query in COUNTED]


def recount(index: IndexBuilder) -> tuple[list[list[Any]], list[list[Any]]]:
    """The counters as they are, and as a count over all rows makes them."""
    with index.connect() as connection:
        kept = counters(connection)
        ids = [list(connection.execute(sa.select(table.c.id)).scalars()) for table in (studies, series)]
        count_again(connection, *ids)
        return kept, counters(connection)


@pytest.mark.parametrize("seed", range(4))
def test_counters_equal_a_count_after_any_order_of_stores_deletions_and_restorations(
    index: IndexBuilder, seed: int
) -> None:
    choose = random.Random(seed)
    made: dict[str, NewInstance] = {}
    for _ in range(60):
        study, of_series, number = (choose.choice("12"), choose.choice("123"), choose.choice("12345"))
        uid = f"1.2.{study}.{study}{of_series}.{number}"
        act = choose.choice(["store", "store", "store", "delete", "restore"])
        with index.engine.begin() as connection:
            if act == "delete" and uid in made:
                chain = Chain(StudyUID(f"1.2.{study}"), None, InstanceUID(uid) if choose.random() < 0.7 else None)
                delete_instances(connection, chain, Deletion(index.now_ms, "test"))
            elif act == "restore":
                gone = set(connection.execute(sa.select(deleted_instances.c.instance_uid)).scalars())
                restore_instances(connection, [new for key, new in made.items() if key in gone], index.now_ms)
            else:
                batch = [
                    index.made(f"{study}", f"{study}{of_series}", one, Modality=["CT", "MR", ""][int(of_series) - 1])
                    for one in {number, choose.choice("12345")}
                ]
                made |= {new.parsed.instance_uid: new for new in batch}
                add_instances(connection, batch, index.now_ms)
        kept, counted = recount(index)
        assert kept == counted
        assert totals(index) == [len(kept[0]) - sum(not row[2] for row in kept[0]), *summed(kept[0])]


def totals(index: IndexBuilder) -> list[int]:
    with index.connect() as connection:
        return [count_all(connection, level) for level in Level]


def summed(of_studies: list[Any]) -> tuple[int, int]:
    return sum(row[1] for row in of_studies), sum(row[2] for row in of_studies)


def test_totals_leave_out_what_is_a_copy_for_a_share(index: IndexBuilder) -> None:
    index.add("1", "1", "1")
    index.add("2", "1", "1")
    index.add("2", "2", "1")
    assert totals(index) == [2, 3, 3]
    make_copy(index, "1.2.1", "1.2.2")
    assert totals(index) == [1, 1, 1]


def test_what_was_computed_is_kept_until_a_study_changes_whatever_else_is_written(index: IndexBuilder) -> None:
    computed: list[int] = []

    def ask() -> int:
        def count() -> int:
            computed.append(1)
            return len(computed)

        with index.connect() as connection:
            return kept_while_unchanged(connection, "key", count)

    index.add("1")
    share_all(index)
    assert (ask(), ask()) == (1, 1)
    with index.engine.begin() as connection:
        append(connection, [Event(Action.VIEW, "machine", "m")], index.now_ms)
    assert ask() == 1
    index.add("1")
    assert ask() == 2
    make_copy(index, "1.2.9", "1.2.1")
    assert ask() == 3


def make_copy(index: IndexBuilder, study_uid: str, copy_uid: str) -> None:
    """Say that one study is the copy of another, made for a share."""
    share = {"id": "share", "secret_sha256": b"", "label": "", "mode": "link", "created_ms": 0, "created_by": ""}
    share |= {"expires_ms": 0, "with_reports": True, "may_download": True}
    with index.engine.begin() as connection:
        connection.execute(sa.insert(shares).values(**share))
        connection.execute(sa.insert(share_studies).values(share_id="share", study_uid=study_uid, copy_uid=copy_uid))


def share_all(index: IndexBuilder) -> None:
    """Give every connection of the index the same kept results, as the server's have."""
    kept = KeptResults()

    @sa.event.listens_for(index.engine, "checkout")
    def checkout(_connection: object, record: Any, _proxy: object) -> None:
        share_results(record.info, kept)


def test_one_batch_of_many_series_is_counted_once_each(index: IndexBuilder) -> None:
    batch = [
        index.made(study, f"{study}{one}", str(number), Modality=modality)
        for study in "12"
        for one, modality in enumerate(("CT", "SR", "CT"))
        for number in range(5)
    ]
    with index.engine.begin() as connection:
        add_instances(connection, [*batch, *batch[:7]], index.now_ms)
        add_instances(connection, batch, index.now_ms)
        rows = connection.execute(COUNTED[0].order_by(studies.c.study_uid)).all()
        assert connection.execute(sa.select(sa.func.count()).select_from(instances)).scalar_one() == 30
    assert [tuple(row) for row in rows] == [("1.2.1", 3, 15, "CT\\SR"), ("1.2.2", 3, 15, "CT\\SR")]


def test_a_modality_that_a_later_instance_brings_is_counted(index: IndexBuilder) -> None:
    index.add("1", "1", "1", Modality=None)
    index.add("1", "1", "2", Modality="CT")
    kept, counted = recount(index)
    assert kept == counted == [[("1.2.1", 1, 2, "CT")], [("1.2.1.1", 2)]]


def test_other_bytes_under_a_known_uid_count_nothing(index: IndexBuilder) -> None:
    index.add("1", "1", "1")
    other = index.made("1", "1", "1")
    with index.engine.begin() as connection:
        add_instances(
            connection, [NewInstance(other.parsed, Digest("0" * 64), other.length_bytes, "test")], index.now_ms
        )
    kept, counted = recount(index)
    assert kept == counted == [[("1.2.1", 1, 1, "CT")], [("1.2.1.1", 1)]]
