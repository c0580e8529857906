"""Which agent does which task, and when it comes: the workload of a run of real agents."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from marsbench.core.workload.arrivals import Arrivals
from marsbench.core.workload.draws import stream
from marsbench.core.workload.knobs import Knobs
from marsbench.errors import UsageError
from marsbench.tasks.task import Task
from marsbench.tasks.tokens import RULE

# Every id is made from this and the run's inputs: the same in every run of the same workload, so
# that runs can be compared session by session.
NAMESPACE = uuid.UUID("6b0a4c1e-5f3d-4f0e-9d1b-7e1d8a2c4b55")
DEFAULT_ARRIVALS = "poisson"


@dataclass(frozen=True, slots=True)
class AgentSession:
    """One agent: `id` is its conversation's id everywhere. number: its place, from 0."""

    id: str
    number: int
    task: Task
    arrival_s: float


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """All agents of a run in the order of their arrival; lanes as in `Workload`."""

    name: str
    sessions: tuple[AgentSession, ...]
    lanes: int | None
    seed: int
    hash: str
    meta: dict[str, Any]


def make_plan(
    tasks: Sequence[Task], name: str, knobs: Knobs, context_tokens: int, purpose: str = "run"
) -> AgentPlan:
    """The tasks in an order of the seed's, over and over until there are enough sessions.

    Another `purpose` gives other ids and other digests. Raises UsageError for a knob that has no
    meaning here, or a rate that is missing.
    """
    arrivals = Arrivals.parse(knobs.arrivals or DEFAULT_ARRIVALS)
    _check(knobs, arrivals)
    seed = 1 if knobs.seed is None else knobs.seed
    count = knobs.sessions or len(tasks)
    rate = None if arrivals.lanes else knobs.rate
    times = arrivals.times(count, rate or 1.0, stream(seed, "arrivals"))
    order = _order(len(tasks), count, seed)
    key = _hash(tasks, order, times, arrivals, context_tokens, seed, purpose)
    sessions = tuple(
        AgentSession(str(uuid.uuid5(NAMESPACE, f"{key}/{n}")), n, tasks[i], times[n])
        for n, i in enumerate(order)
    )
    meta = {"tasks": [task.id for task in tasks], "arrivals": str(arrivals), "rate": rate,
            "seed": seed, "context_tokens": context_tokens, "token_rule": RULE}  # fmt: skip
    return AgentPlan(name, sessions, arrivals.lanes, seed, key, meta)


def _check(knobs: Knobs, arrivals: Arrivals) -> None:
    for option in ("load", "tools", "prefixes", "warm_start", "tenants", "context_paging"):
        if getattr(knobs, option) is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} makes sessions from a recipe, and real agents make "
                "their own; leave it out."
            )
    if arrivals.lanes is None and knobs.rate is None:
        raise UsageError(
            f"Arrivals '{arrivals}' need a --rate in sessions per second; for example --rate 0.1, "
            "or --arrivals closed:1 for one agent after another."
        )
    if arrivals.lanes is not None and knobs.rate is not None:
        raise UsageError(f"Arrivals '{arrivals}' have no rate: leave out --rate.")


def _order(num_tasks: int, count: int, seed: int) -> list[int]:
    """A new order of all tasks for every pass through them."""
    order: list[int] = []
    while len(order) < count:
        rng = stream(seed, "task order", len(order) // num_tasks)
        order += [int(i) for i in rng.permutation(num_tasks)]
    return order[:count]


def _hash(tasks: Sequence[Task], *facts: object) -> str:
    bodies = [task.model_dump(mode="json", exclude={"player"}) for task in tasks]
    text = json.dumps([bodies, [str(fact) for fact in facts]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
