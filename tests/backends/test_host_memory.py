"""What host memory holds, and when the link is free."""

from __future__ import annotations

from marsbench_backends.vllm.host_memory import HostMemory, Lane

A, B, C, D = b"a", b"b", b"c", b"d"


def memory(capacity: int = 10, **stored: list[bytes]) -> HostMemory:
    found = HostMemory(capacity)
    for session, hashes in stored.items():
        found.store(session, hashes)
    return found


def test_a_prefix_is_found_up_to_the_first_gap() -> None:
    found = memory(s=[A, B, D])
    assert [found.matches(h) for h in ([A, B, C, D], [C, A], [])] == [2, 0, 0]


def test_what_is_loaded_has_left() -> None:
    found = memory(s=[A, B, C])
    found.take([A, B])
    assert (len(found), found.free_blocks, found.matches([C])) == (1, 9, 1)


def test_the_least_recently_stored_leaves_first_and_the_tail_before_the_head() -> None:
    found = memory(3, old=[A, B], new=[C, D])
    assert [found.matches([h]) for h in (A, B, C, D)] == [1, 0, 1, 1]


def test_a_context_larger_than_the_memory_keeps_its_head() -> None:
    found = memory(2, s=[A, B, C])
    assert found.matches([A, B, C]) == 2


def test_it_says_whose_blocks_found_no_room() -> None:
    found = memory(3, old=[A, B])
    assert found.store("new", [C]) == {}
    assert found.store("new", [C, D]) == {"old": 1}
    assert found.store("wide", [b"1", b"2", b"3", b"4", b"5"]) == {"wide": 2, "old": 1, "new": 2}
    assert found.store("new", [b"1"]) == {}  # it has changed hands, and is still there


def test_an_ended_session_leaves_nothing() -> None:
    found = memory(s=[A, B], t=[C])
    found.forget("s")
    found.forget("never")
    assert len(found) == 1
    assert found.matches([C]) == 1


def test_a_shared_block_belongs_to_whoever_stored_it_last() -> None:
    found = memory(s=[A], t=[A, B])
    found.forget("s")
    assert found.matches([A, B]) == 2


def test_copies_queue_on_their_lane() -> None:
    lane = Lane()
    assert [lane.send(0.0, 2.0), lane.send(1.0, 2.0), lane.send(9.0, 2.0)] == [2.0, 4.0, 11.0]
