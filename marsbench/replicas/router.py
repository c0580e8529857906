"""What a router is: it sees a round and what it knows of each replica, and names one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

SET = "router."
"""How a router's parameter begins: `--set router.NAME=VALUE`."""


RoundKey = tuple[str, int]
"""A session's id and the number of its round."""


class Segment(NamedTuple):
    """Blocks of a prompt that one writer wrote, up to block number `end`.

    Two prompts that name a writer have the same tokens as far as both have its blocks, and before.
    """

    writer: int
    end: int


class Placement(NamedTuple):
    """A replica that is to get a round, and another one whose cache has more of its prompt.

    What the first lacks is copied from there when the round is admitted, as far as it is then still
    in that cache; the round waits for it.
    """

    replica: int
    source: int


@dataclass(frozen=True, slots=True)
class RoundToPlace:
    """A round that needs a replica, now.

    blocks: its prompt's full blocks, by who wrote them; no router reads text.
    draw: a number from 0 up to, and without, the given one, from the run's own stream.
    prefill_s: seconds that an idle replica takes to compute so many tokens behind so many cached.
    move_s: seconds until so many tokens' KV of one replica (the first number) would be at another,
        with what is under way between them; None where nothing is copied.
    """

    now: float
    session: str
    round: int
    prompt_tokens: int
    block_size: int
    blocks: tuple[Segment, ...]
    draw: Callable[[int], int]
    prefill_s: Callable[[int, int], float]
    move_s: Callable[[int, int, int], float] | None = None

    @property
    def key(self) -> RoundKey:
        """Which round it is."""
        return self.session, self.round

    @property
    def num_blocks(self) -> int:
        """Of the prompt, those that are full."""
        return self.blocks[-1].end if self.blocks else 0


class ReplicaView(NamedTuple):
    """What a router knows of a replica.

    running, waiting, free_blocks, kv_usage: as the replica reported, `snapshot_age_s` ago at most;
        kv_usage is the share of its blocks that are not free.
    placed_since: rounds that were sent there after that report.
    under_way: rounds sent there and not answered; tokens: of their prompts; prefill_tokens: of
        those without a first token. The router's own books, so they are never old.
    matched_tokens: leading tokens of the prompt in the replica's KV cache, as its KV events told
        `kv_event_delay_s` ago; None for a router that hears of none.
    work_s: seconds until all that was sent there is answered, were nothing else to come; None but
        for a clairvoyant router, since nobody knows how long answers will be.
    """

    index: int  # type: ignore[assignment]  # in the place of a tuple's search, which nobody needs
    running: int = 0
    waiting: int = 0
    free_blocks: int = 0
    kv_usage: float = 0.0
    placed_since: int = 0
    under_way: int = 0
    tokens: int = 0
    prefill_tokens: int = 0
    matched_tokens: int | None = None
    work_s: float | None = None


@dataclass
class Router(ABC):
    """Asked once a round; answers with the index of a replica.

    `route` decides and changes nothing; what a router learns, it learns from `placed`.
    hears_kv_events: whether it is shown what is in each replica's cache.
    reads_prompts: whether it looks at `ask.blocks`.
    clairvoyant: whether it is shown how much work each replica has.
    snapshot_age_s: seconds between two reports of load; 0: it always sees the present.
    resends: whether a round whose replica is gone is sent again, by the router or by its client;
        else its session has failed.
    kv_event_delay_s: seconds from a change of a cache until a router that hears of it knows; 0: at
        once.
    """

    hears_kv_events: ClassVar[bool] = False
    reads_prompts: ClassVar[bool] = True
    clairvoyant: ClassVar[bool] = False
    snapshot_age_s: float = 0.0
    kv_event_delay_s: float = 0.0
    resends: bool = True

    @abstractmethod
    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int | Placement:
        """The index of the replica that is to get the round; only a `MovingRouter` may say more."""

    def placed(self, ask: RoundToPlace, replica: int) -> None:  # noqa: B027  (many learn nothing)
        """The round went there."""

    def first_token(self, key: RoundKey, now: float) -> None:  # noqa: B027
        """The round that was placed has its first output token."""

    def lost(self, key: RoundKey) -> None:  # noqa: B027
        """The replica of the round is gone, and the round with it."""

    def gone(self, replica: int) -> None:  # noqa: B027
        """The replica is gone, and its cache with it; one that joins in its place is empty."""


@dataclass
class MovingRouter(Router):
    """A router that may have the context of a round copied to the replica that it names.

    link_gb_s: GB that each replica's link carries a second, each way; copies queue for it.
    link_latency_s: seconds from the last byte sent until the blocks can be used.
    """

    hears_kv_events: ClassVar[bool] = True
    link_gb_s: float = 50.0
    link_latency_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.link_gb_s < float("inf"):
            raise ValueError(f"link_gb_s must be more than 0, not {self.link_gb_s:g}")
        if not 0 <= self.link_latency_s < float("inf"):
            raise ValueError(f"link_latency_s must be 0 or more, not {self.link_latency_s:g}")


def fewest(replicas: Sequence[ReplicaView], of: Callable[[ReplicaView], float]) -> int:
    """The index of the replica with the least; the first of equals."""
    return min(replicas, key=lambda one: (of(one), one.index)).index


def of_index(replicas: Sequence[ReplicaView], index: int) -> ReplicaView:
    """The replica of that index, which is no place in the list where some are gone."""
    return next(one for one in replicas if one.index == index)


def under_way(replica: ReplicaView) -> int:
    """Rounds sent there and not answered."""
    return replica.under_way
