"""The recordings as sessions that one GPU can hold, cut where somebody was away for long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from marsbench.core.isolated import cache_folder, isolated, rounds_alone
from marsbench.core.session import Session
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import Workload
from marsbench.core.workload.generate import USER
from marsbench.core.workload.resample import cold, resampled
from marsbench.core.workload.warm import Drawn, RoundAlone, rest
from marsbench.errors import UsageError
from marsbench.formats.checks import gaps_s
from marsbench.hardware.profile import Hardware
from marsbench.text.progress import progress_bar

MOST = 400
"""Sessions that runs draw from. Of more, so many are drawn: it takes as long as it must, and no
longer, to know the time of each alone."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What there is to draw from, and what is known of it.

    sessions: those that runs draw from. arrivals_s: of all that began, those not drawn too; none
    where nobody recorded them. num_recorded: before they were cut. num_cut: how many were.
    num_too_long: left out, for they grow beyond `most_tokens`. mean_alone_s, mean_gpu_s: of a
    session alone on this hardware, and its GPU time. pause_share: of that time alone, pauses;
    user_share: of the pauses, those of users. cpu_s: CPU seconds of a session's tools.
    """

    sessions: tuple[Session, ...]
    arrivals_s: tuple[float, ...]
    num_recorded: int
    num_cut: int
    num_too_long: int
    most_tokens: int
    mean_alone_s: float
    mean_gpu_s: float
    pause_share: float
    user_share: float | None
    cpu_s: float


def recorded(
    workload: Workload, hardware: Hardware, settings: EngineSettings, idle_s: float
) -> Recorded:
    """Raises UsageError where no session fits the model and the memory."""
    most = min(hardware.max_model_len, settings.num_blocks(hardware) * settings.block_size)
    own = [one for one in cold(workload).sessions if _peak(one) <= most]
    if not own:
        shortest = min(map(_peak, workload.sessions))
        raise UsageError(
            f"Every recorded session grows beyond the {most:,} tokens that {hardware.id} can hold, "
            f"the shortest to {shortest:,}; give a larger --gpu or another --model."
        )
    parts = [part for one in own for part in _cut(one, hardware, settings, idle_s)]
    drawn = resampled(parts, min(len(parts), MOST), 1)
    with progress_bar("each session alone", len(drawn)) as done:
        alone = isolated(drawn, hardware, settings, done, cache_folder())
    alone_s, pauses_s = math.fsum(alone.ideal_s.values()), math.fsum(map(gaps_s, drawn))
    is_dated = workload.meta.get("arrivals") == "recorded"
    return Recorded(
        sessions=tuple(drawn),
        arrivals_s=tuple(one.arrival_s for one in parts) if is_dated else (),
        num_recorded=len(own),
        num_cut=sum(_is_long(one, idle_s) for one in own),
        num_too_long=len(cold(workload).sessions) - len(own),
        most_tokens=most,
        mean_alone_s=alone_s / len(drawn),
        mean_gpu_s=alone.mean_gpu_s,
        pause_share=pauses_s / alone_s,
        user_share=_users_s(drawn) / pauses_s if pauses_s else None,
        cpu_s=_cpu_s(drawn) / len(drawn),
    )


def _peak(session: Session) -> int:
    return max(part.peak_tokens for part in session.walk())


def _users_s(sessions: Sequence[Session]) -> float:
    """Seconds of pauses in which a user alone was waited for."""
    return math.fsum(
        _pause_s(session, number)
        for session in sessions
        for number, rnd in enumerate(session.rounds[:-1])
        if {call.name for call in rnd.tools} == {USER}
    )


def _cpu_s(sessions: Sequence[Session]) -> float:
    members = (part for session in sessions for part in session.walk())
    return math.fsum(call.cpu_s for part in members for rnd in part.rounds for call in rnd.tools)


def _pause_s(session: Session, number: int) -> float:
    """After a round; 0 where a sub-agent works meanwhile, for then nobody is away."""
    calls = session.rounds[number].tools
    if any(call.child is not None for call in calls):
        return 0.0
    return max((call.alone_s for call in calls), default=0.0)


def _begins(session: Session, idle_s: float) -> list[int]:
    """The rounds that come after a long pause."""
    last = len(session.rounds) - 1
    return [number + 1 for number in range(last) if _pause_s(session, number) > idle_s]


def _is_long(session: Session, idle_s: float) -> bool:
    return bool(_begins(session, idle_s))


def _cut(
    session: Session, hardware: Hardware, settings: EngineSettings, idle_s: float
) -> Iterator[Session]:
    """The session in parts, each arriving when somebody came back.

    What follows a long pause is another session, whose first prompt is all that was there.
    """
    begins = _begins(session, idle_s)
    if not begins:
        yield session
        return
    rounds = rounds_alone([session], hardware, settings)[session.id]
    edges = [0, *begins, len(session.rounds)]
    for turn, (begin, end) in enumerate(pairwise(edges)):
        part = _part(session, rounds, begin, turn)
        yield replace(part, rounds=part.rounds[: end - begin])


def _part(session: Session, rounds: Sequence[RoundAlone], begin: int, turn: int) -> Session:
    """From this round on, under a name of its own."""
    if turn == 0:
        return session
    since_s = rounds[begin].ready_at
    left = _named(rest(Drawn(session, since_s), rounds, 0), _names(session, turn))
    return replace(left, arrival_s=session.arrival_s + since_s)


def _names(session: Session, turn: int) -> Mapping[str, str]:
    return {f"{part.id}~warm0": f"{part.id}+{turn}" for part in session.walk()}


def _named(session: Session, names: Mapping[str, str]) -> Session:
    renamed = session.with_children(lambda child: _named(child, names))
    return replace(renamed, id=names[session.id])
