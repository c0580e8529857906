"""What a router is shown of each replica: its own books, and reports that may be old."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from marsbench.replicas.books import Books
from marsbench.replicas.replica import Replica
from marsbench.replicas.router import ReplicaView, RoundToPlace


class _Report(NamedTuple):
    """What a replica says of itself."""

    running: int
    waiting: int
    free_blocks: int


class Views:
    """The router's books and the replicas' reports.

    books: who places a round writes it down there, and what becomes of it.
    age_s: seconds between two reports; 0: the present is shown.
    next_at: when the next one is due.
    """

    def __init__(self, replicas: Sequence[Replica], age_s: float) -> None:
        self._replicas = replicas
        self._age_s = age_s
        self.next_at = 0.0 if age_s else math.inf
        self.books = Books(range(len(replicas)))
        self._reports: list[_Report] = []

    def report(self, at: float) -> None:
        """Every replica says how it stands, at every point of the grid up to `at`."""
        while self.next_at <= at:
            self._reports = [_report(replica, self.next_at) for replica in self._replicas]
            for replica in self._replicas:
                self.books.of(replica.index).placed_since = 0
            self.next_at += self._age_s

    def of(
        self,
        ask: RoundToPlace,
        among: Collection[int],
        matched: Callable[[Replica], int] | None,
        work_s: Callable[[Replica], float] | None = None,
    ) -> list[ReplicaView]:
        """Every replica that takes rounds as the router sees it now.

        matched: tokens of the prompt in a replica's cache; None for a router that hears of none.
        work_s: seconds of work that it has; None for a router that cannot know.
        """
        those = [one for one in self._replicas if one.index in among]
        return [self._view(one, ask, matched, work_s) for one in those]

    def _view(
        self,
        replica: Replica,
        ask: RoundToPlace,
        matched: Callable[[Replica], int] | None,
        work_s: Callable[[Replica], float] | None,
    ) -> ReplicaView:
        index = replica.index
        book = self.books.of(index)
        seen = self._reports[index] if self._age_s else _report(replica, ask.now)
        return ReplicaView(
            index,
            seen.running,
            seen.waiting,
            seen.free_blocks,
            1.0 - seen.free_blocks / replica.num_blocks,
            book.placed_since if self._age_s else 0,
            book.under_way,
            book.tokens,
            book.prefill_tokens,
            None if matched is None else matched(replica),
            None if work_s is None else work_s(replica),
        )


def _report(replica: Replica, at: float) -> _Report:
    scheduler = replica.scheduler
    free = replica.free_blocks(at)
    return _Report(len(scheduler.running), len(scheduler.waiting), free)
