"""Memory that was freed goes back to the system, when the process has grown."""

from archive.operations.heap import AT_MOST_EVERY_S, Heap


def test_it_is_given_back_after_growth_and_not_all_the_time() -> None:
    now_s = 100.0
    heap = Heap(lambda: now_s)
    assert heap.look()
    held = [bytearray(4096) for _ in range(50_000)]
    assert not heap.look(), "it was given back a moment ago"
    now_s += AT_MOST_EVERY_S + 1
    assert heap.look()
    now_s += AT_MOST_EVERY_S + 1
    del held
    assert not heap.look(), "it has not grown since"
