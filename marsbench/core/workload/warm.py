"""Sessions in flight at the start, as a steady state has them, so that a run need not ramp up.

Lay the sessions' times alone end to end and drop a point on that line: it falls into a session in
proportion to how long that one takes, and uniformly within it. That is what an instant of a steady
state finds (the inspection paradox: Feller 1971, An Introduction to Probability Theory and Its
Applications, vol. 2, XI.4), and by Little (1961, DOI 10.1287/opre.9.3.383) it finds
rate x mean time of them. Each goes on from there: what it has done is the context of its first
round, the round under way generates what is left of it, a pause lasts what is left of it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from marsbench.core.session import Prompt, Session, warm_id
from marsbench.core.workload.draws import stream
from marsbench.core.workload.exact import MICRO_PER_S
from marsbench.core.workload.files import Workload
from marsbench.core.workload.resample import cold, recorded_rate
from marsbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class RoundAlone:
    """When a round of a session alone is ready and has its answer, in seconds from its arrival."""

    ready_at: float
    ended_at: float


Rounds = Callable[[Sequence[Session]], Mapping[str, Sequence[RoundAlone]]]
"""By session, each of its rounds, in order."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A session that is in flight at the start, and how many seconds alone it has behind it."""

    session: Session
    elapsed_s: float


def warm_started(
    workload: Workload, times: float, ideal_s: Mapping[str, float], rounds: Rounds
) -> Workload:
    """The workload with `times` x rate x mean time alone of its sessions in flight at the start.

    times: 1 where nothing slows another down, 2 where sessions take twice as long as alone.
    ideal_s: each session's time alone. Raises UsageError where sessions come at no rate.
    """
    workload = cold(workload)
    number = num_in_flight(workload, times, ideal_s)
    seed = workload.meta.get("seed")
    rng = stream(seed if isinstance(seed, int) else 1, "warm start")
    found = drawn(workload.sessions, ideal_s, rng.random(number).tolist())
    played = rounds(list({one.session.id: one.session for one in found}.values()))
    warm = [rest(one, played[one.session.id], n) for n, one in enumerate(found)]
    meta = {**workload.meta, "warm_start": times, "warm_sessions": number}
    return Workload(workload.name, (*warm, *workload.sessions), None, meta)


def num_in_flight(workload: Workload, times: float, ideal_s: Mapping[str, float]) -> int:
    """To the nearest whole number: the mean of a steady state, not a draw from its law."""
    if workload.lanes is not None:
        raise UsageError(
            f"Arrivals 'closed:{workload.lanes}' have no warm start, for all lanes are taken from "
            "the first second on; leave out --warm-start and --preset, or give a --rate or --load."
        )
    given = workload.meta.get("rate")
    rate = given if isinstance(given, int | float) else recorded_rate(workload)
    if rate is None:
        raise UsageError(
            f"All sessions of {workload.name} come at once, so nothing says how many are in flight "
            "in a steady state; leave out --warm-start, or give a --rate or --load."
        )
    span_s = math.fsum(ideal_s[session.id] for session in workload.sessions)
    return int(times * rate * span_s / len(workload.sessions) + 0.5)


def drawn(
    sessions: Sequence[Session], ideal_s: Mapping[str, float], points: Sequence[float]
) -> list[Drawn]:
    """The session at each point of the line, from 0 to 1, and how far it is."""
    ends = list(accumulate(ideal_s[session.id] for session in sessions))
    found = []
    for point in points:
        at = point * ends[-1]
        number = min(bisect_right(ends, at), len(ends) - 1)
        found.append(Drawn(sessions[number], at - (ends[number - 1] if number else 0.0)))
    return found


def rest(one: Drawn, rounds: Sequence[RoundAlone], number: int) -> Session:
    """What is left of a session after the seconds that it has behind it.

    It arrives at 0 where a round is under way, else when the pause is over that it is in.
    """
    session, elapsed_s = one.session, one.elapsed_s
    first = sum(rnd.ended_at <= elapsed_s for rnd in rounds[:-1])
    rnd, prompt = rounds[first], list(session.prompts())[first]
    kept = session.rounds[first].output_tokens
    length_s = rnd.ended_at - rnd.ready_at
    if elapsed_s > rnd.ready_at and length_s > 0:
        share = min(1.0, (rnd.ended_at - elapsed_s) / length_s)
        kept = max(1, math.ceil(share * prompt.output_tokens))
    left = _from(session, prompt, kept)
    wait_s = max(0.0, rnd.ready_at - elapsed_s)
    whole = round(wait_s * MICRO_PER_S) / MICRO_PER_S
    return replace(_named(left, number), arrival_s=whole)


def _from(session: Session, prompt: Prompt, output: int) -> Session:
    """The session from this round on, which has `output` tokens still to generate."""
    done = prompt.num_tokens + prompt.output_tokens - output
    now = replace(session.rounds[prompt.round], append_tokens=done, output_tokens=output, cut=None)
    cuts = (rnd.cut.to_tokens for rnd in session.rounds[: prompt.round + 1] if rnd.cut)
    shared = min((session.prefix_tokens, *cuts))
    return replace(
        session,
        rounds=(now, *session.rounds[prompt.round + 1 :]),
        prefix_group=session.prefix_group if shared else None,
        prefix_tokens=shared,
    )


def _named(session: Session, number: int) -> Session:
    """Under the id of a session of the start, sub-agents too: a body may be drawn twice."""
    renamed = session.with_children(lambda child: _named(child, number))
    return replace(renamed, id=warm_id(session.id, number))
