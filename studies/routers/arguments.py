"""What people argue about in public, and what these runs say to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from marsbench.text.numbers import UNMEASURED, percent, span, times
from marsbench.text.tables import Table
from studies.routers.rows import LINE, PLAIN, Row, Spot, at, spots

STAYS = "session-affinity"
Says = Callable[[Sequence[Row]], str]


class Argument(NamedTuple):
    """who: where it is argued. what: in a sentence. here: what these runs say. open: what not."""

    who: str
    what: str
    here: Says
    open: str


def latency_ratios(
    rows: Sequence[Row], router: str, base: str, backend: str = PLAIN
) -> dict[Spot, float]:
    """Mean latency behind a router ÷ that behind another, at every place that has both."""
    found = {}
    for spot in spots(rows):
        own = at(rows, spot, backend)
        if router in own and base in own:
            above, below = own[router].latency_s, own[base].latency_s
            if above is not None and below:
                found[spot] = above / below
    return found


def _range(ratios: dict[Spot, float], what: str) -> str:
    """ "0.98× to 1.4×, geometric mean 1.1×, over 12 places"."""
    if not ratios:
        return UNMEASURED
    mean = math.exp(math.fsum(map(math.log, ratios.values())) / len(ratios))
    between = span(sorted(ratios.values()), lambda ratio: times(ratio, 2))
    return f"{what} {between} (geometric mean {times(mean, 2)}) over {len(ratios)} places"


def _weights(rows: Sequence[Row]) -> str:
    ratios = (
        _range(latency_ratios(rows, name, "llm-d"), f"`{name}`: mean latency")
        for name in ("llm-d-prefix-only", "llm-d-match-length", "llm-d-affinity")
    )
    return "; ".join(ratios) + ", against its default chart, under fcfs"


def _by_session(rows: Sequence[Row]) -> str:
    names = ("llm-d", "llm-d-match-length", "llm-d-affinity")
    return "`session-affinity` " + "; ".join(_beside(rows, *names)) + ", under fcfs"


def _beside(rows: Sequence[Row], *names: str) -> Iterator[str]:
    """Affinity by session beside each of these routers."""
    for name in names:
        yield _range(latency_ratios(rows, STAYS, name), f"to `{name}`: mean latency")


def _hashing(rows: Sequence[Row]) -> str:
    """Consistent hashing beside the best router that knows what it sent."""
    own = [
        row.hit_share / row.endless_share
        for row in rows
        if row.router == STAYS and row.backend == PLAIN
        if row.hit_share is not None and row.endless_share
    ]
    found = span(sorted(own), percent) if own else UNMEASURED
    return "; ".join(
        [
            *_beside(rows, LINE, "least-load"),
            f"it finds {found} of what one endless cache would have",
        ]
    )


def _admission(rows: Sequence[Row]) -> str:
    """mars against fcfs behind the same router, at the same place."""
    pairs = list(_pairs(rows, "mars"))
    if not pairs:
        return UNMEASURED
    points = [mine - plain for mine, plain in pairs]
    better, worse = (sum(sign * p > 0.05 for p in points) for sign in (1, -1))
    level = len(points) - better - worse
    return (
        f"goodput(3) of `mars` less that of `fcfs` behind the same router: better by over 5 points "
        f"in {better} of {len(points)}, level in {level}, worse in {worse}; "
        f"{span(sorted(points), lambda p: f'{100 * p:+.0f}')} points"
    )


def _pairs(rows: Sequence[Row], backend: str) -> Iterator[tuple[float, float]]:
    for spot in spots(rows):
        plain, mine = at(rows, spot, PLAIN), at(rows, spot, backend)
        for router in plain.keys() & mine.keys():
            one, other = mine[router].goodput, plain[router].goodput
            if one is not None and other is not None:
                yield one, other


def _six(rows: Sequence[Row]) -> str:
    """How far apart routers are, which is what a simulation before a merge would have to see."""
    apart = []
    for spot in spots(rows):
        own = [row.latency_s for row in at(rows, spot, PLAIN).values() if row.latency_s]
        if len(own) > 1:
            apart.append(max(own) / min(own))
    told = span(sorted(apart), lambda ratio: times(ratio, 1)) if apart else UNMEASURED
    return f"the slowest router's mean latency is {told} the fastest's at a place, under fcfs"


ARGUMENTS = (
    Argument(
        "llm-d-router #1958",
        "how much the prefix scorer should weigh for agents",
        _weights,
        "weights between these; one model, one GPU",
    ),
    Argument(
        "llm-d-router #1867",
        "whether affinity by session does for agents what scores of prefixes do",
        _by_session,
        "agents that share more than a system prompt; sessions without an id",
    ),
    Argument(
        "prime-rl #3255, NeMo-RL #3663",
        "consistent hashing makes agent sessions thrash",
        _hashing,
        "rollouts that share long prefixes by the hundred; noise between real runs (7.8 %)",
    ),
    Argument(
        "vllm-project/router #286, llm-d-router #2964, Dynamo #15164, #15105",
        "whether program-aware admission helps behind a router",
        _admission,
        "admission stands before each replica; one controller over all was not played",
    ),
    Argument(
        "gateway-api-inference-extension #709",
        "a simulation with six endpoints before a merge",
        _six,
        "2, 4 and 8 replicas, and not their recorded traffic",
    ),
)


def arguments_table(rows: Sequence[Row]) -> Table:
    """A row an argument: what these runs say, and what remains open."""
    return Table(
        ("who", "argument", "here", "open"),
        [(one.who, one.what, one.here(rows), one.open) for one in ARGUMENTS],
        "llll",
    )
