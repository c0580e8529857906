"""Asks the router where a round goes, and keeps its books."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from marsbench.core.session import Prompt, Session
from marsbench.core.sim.clock import VirtualClock
from marsbench.core.sim.engine import SimConfig
from marsbench.core.sim.ledger import BlockLedger
from marsbench.core.workload.draws import stream
from marsbench.errors import RunFailedError
from marsbench.hardware.profile import HardwareCost
from marsbench.replicas.changes import Changes
from marsbench.replicas.known import segments
from marsbench.replicas.moves import Moves
from marsbench.replicas.registry import RouterChoice
from marsbench.replicas.replica import Replica
from marsbench.replicas.router import (
    Placement,
    ReplicaView,
    RoundKey,
    RoundToPlace,
    Router,
    of_index,
)
from marsbench.replicas.view import Views
from marsbench.shortcuts.keys import WRITER_BYTES


@dataclass(frozen=True, slots=True)
class PlacedRound:
    """Where the router has put a round. source: whose cache is to be copied from, if any."""

    ask: RoundToPlace
    index: int
    source: int | None


class Placing:
    """The router, with what it is shown.

    seed: of its own draws. moves: what copies KV, where the router may ask for it.
    """

    def __init__(
        self,
        choice: RouterChoice,
        router: Router,
        config: SimConfig,
        clock: VirtualClock,
        ledger: BlockLedger,
        replicas: Sequence[Replica],
        changes: Changes,
        moves: Moves | None,
        seed: int,
    ) -> None:
        self._name = choice.name
        self.router = router
        self._clock = clock
        self._ledger = ledger
        self._changes = changes
        self._move_s = None if moves is None else moves.seconds
        self.views = Views(replicas, router.snapshot_age_s)
        self._prefill_s = HardwareCost(
            config.hardware, config.settings.max_num_batched_tokens
        ).prefill_s
        self._dice = stream(seed, "router")
        self._kept: dict[RoundKey, PlacedRound] = {}

    def keep(self, session: Session, prompt: Prompt) -> int:
        """Ask for a round that is not sent yet, since its session waits to be let in there."""
        placed = self._kept[session.id, prompt.round] = self._place(session, prompt)
        return placed.index

    def take_back(self, key: RoundKey) -> None:
        """A round that was kept is to be placed anew."""
        del self._kept[key]
        self.lost(key)

    def of(self, session: Session, prompt: Prompt) -> PlacedRound:
        """Where the round goes, which is sent now."""
        return self._kept.pop((session.id, prompt.round), None) or self._place(session, prompt)

    def first_token(self, key: RoundKey, at: float) -> None:
        """The round's prompt has been computed."""
        self.views.books.first_token(key)
        self.router.first_token(key, at)

    def lost(self, key: RoundKey) -> None:
        """The round is no longer where it was sent."""
        self.views.books.ended(key)
        self.router.lost(key)

    def _place(self, session: Session, prompt: Prompt) -> PlacedRound:
        ask, views = self._shown(session, prompt)
        index, source = self._named(self.router.route(ask, views))
        self.router.placed(ask, index)
        own = of_index(views, index)
        other = own if source is None else of_index(views, source)
        found = max(own.matched_tokens or 0, other.matched_tokens or 0)
        self.views.books.placed(ask, index, found)
        return PlacedRound(ask, index, source)

    def _shown(self, session: Session, prompt: Prompt) -> tuple[RoundToPlace, list[ReplicaView]]:
        now, router = self._clock.now, self.router
        hashes = self._ledger.hashes(session, prompt)
        ask = self._ask(session, prompt, hashes.keys)

        def matched(replica: Replica) -> int:
            return replica.heard_tokens(hashes, prompt.num_tokens, now)

        def work_s(replica: Replica) -> float:
            return replica.work_s(now)

        hears: Callable[[Replica], int] | None = matched if router.hears_kv_events else None
        works: Callable[[Replica], float] | None = work_s if router.clairvoyant else None
        return ask, self.views.of(ask, self._changes.open, hears, works)

    def _ask(self, session: Session, prompt: Prompt, keys: Sequence[bytes]) -> RoundToPlace:
        size = self._ledger.block_size
        blocks = segments(keys, prompt.num_tokens // size, WRITER_BYTES)
        facts = (session.id, prompt.round, prompt.num_tokens, size, blocks)
        costs = (self._prefill_s, self._move_s)
        return RoundToPlace(self._clock.now, *facts, self._draw, *costs)

    def _draw(self, below: int) -> int:
        return int(self._dice.integers(below))

    def _named(self, answer: object) -> tuple[int, int | None]:
        """The replica that the router named, and where the context is to come from, if anywhere.

        Raises RunFailedError when it named none, or a source though it moves nothing.
        """
        if not isinstance(answer, Placement):
            return self._open(answer), None
        index, source = self._open(answer.replica), self._open(answer.source)
        if self._move_s is None:
            raise RunFailedError(
                f"Router {self._name} named replica {source} to copy from; only a subclass of "
                "MovingRouter, which has a link, may do so."
            )
        return index, None if source == index else source

    def _open(self, index: Any) -> int:
        open_ = self._changes.open
        if isinstance(index, int) and index in open_:
            return index
        raise RunFailedError(
            f"Router {self._name} named replica {index!r}; a router's route() returns the index of "
            f"a replica that it was shown: {', '.join(map(str, sorted(open_)))}."
        )
