"""Who plays what next."""

from __future__ import annotations

from marsbench.judge.sweep.workers import Queue


def test_a_worker_stays_in_its_group():
    queue = Queue([["a1", "a2"], ["b1", "b2"]])
    assert [queue.next(0), queue.next(1), queue.next(0), queue.next(1)] == ["a1", "b1", "a2", "b2"]


def test_a_free_worker_takes_a_fresh_group_before_it_helps():
    queue = Queue([["a1", "a2", "a3"], ["b1"], ["c1"]])
    taken = [queue.next(0), queue.next(1), queue.next(1), queue.next(1)]
    assert taken == ["a1", "b1", "c1", "a2"]


def test_every_task_is_given_once():
    queue = Queue([["a1"], ["b1", "b2"]])
    assert sorted(iter(lambda: queue.next(0), None)) == ["a1", "b1", "b2"]
    assert queue.next(1) is None
