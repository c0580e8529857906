"""A run as one mean session: what comparisons and reports hold beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.errors import UsageError
from marsbench.judge.why.causes import Causes, mean

if TYPE_CHECKING:
    from marsbench.judge.why.explain import ExplainedRun


@dataclass(frozen=True, slots=True)
class MeanSession:
    """The mean over a run's sessions that finished and have a time alone; seconds.

    left_out: how many did not finish, or have none. note: why not all causes are told, or none is.
    """

    sessions: int
    left_out: int
    completion_s: float | None
    ideal_s: float | None
    causes: Causes
    note: str | None = None


def mean_session(path: Path) -> MeanSession:
    """Of a run's folder. Of one that cannot be told nothing but the note."""
    # It brings scipy, which no --help may load: all of compare knows a mean session.
    from marsbench.judge.why.explain import CAUSE_KINDS, ExplainedRun

    try:
        return mean_of(ExplainedRun.read(path, kinds=CAUSE_KINDS))
    except UsageError as error:
        return MeanSession(0, 0, None, None, Causes(), str(error))


def mean_of(run: ExplainedRun) -> MeanSession:
    """Of a run that was read."""
    of = run.explained
    if not of:
        why = f"no session of {run.name} finished and has a time alone"
        return MeanSession(0, run.num_left_out, None, None, Causes(), why)
    completion_s = fsum(one.record.completion_s or 0.0 for one in of) / len(of)
    ideal_s = fsum(one.record.ideal_s or 0.0 for one in of) / len(of)
    causes = mean([one.causes for one in of])
    return MeanSession(len(of), run.num_left_out, completion_s, ideal_s, causes, run.note)
