"""Each session's time alone: measured on the idle server for a sample, simulated for the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from marsbench.core.session import Round, Session

# Which sessions are measured must not depend on who measures.
SAMPLE_SEED = 20_261_122


@dataclass(frozen=True, slots=True)
class Ideals:
    """Seconds that each session takes alone, and how that is known."""

    seconds: Mapping[str, float]
    how: dict[str, Any]


def sample(sessions: Sequence[Session], number: int) -> list[Session]:
    """So many sessions, the same ones every time, in their order."""
    chosen = np.random.default_rng(SAMPLE_SEED).choice(
        len(sessions), size=min(number, len(sessions)), replace=False
    )
    return [sessions[i] for i in sorted(chosen)]


def apart(session: Session) -> Session:
    """The session under another name and in prefix groups of its own.

    So it finds nothing of anybody in the server's cache, and leaves nothing that the run could
    find. Its sub-agents share their prefixes among themselves: they are part of the session.
    """
    return _renamed(session, f"alone/{session.id}/")


def _renamed(session: Session, mark: str) -> Session:
    group = None if session.prefix_group is None else mark + session.prefix_group
    rounds = tuple(_with_children(rnd, mark) for rnd in session.rounds)
    return dataclasses.replace(session, id=mark + session.id, prefix_group=group, rounds=rounds)


def _with_children(rnd: Round, mark: str) -> Round:
    tools = tuple(
        call if call.child is None else dataclasses.replace(call, child=_renamed(call.child, mark))
        for call in rnd.tools
    )
    return dataclasses.replace(rnd, tools=tools)


def with_rest(found: Mapping[str, float], simulated: Mapping[str, float] | None) -> Ideals:
    """The measured times, and for the others the simulated ones, scaled as the sample was.

    The scale is the median over the sample of measured ÷ simulated.
    """
    how: dict[str, Any] = {"how": "measured", "sessions": sorted(found)}
    rest = {name for name in simulated or () if name not in found}
    if simulated is None or not rest:
        return Ideals(found, how)
    scale = median(seconds / simulated[name] for name, seconds in found.items())
    how |= {"rest": "simulated, times the sample's median of measured ÷ simulated", "scale": scale}
    return Ideals({**{name: simulated[name] * scale for name in rest}, **found}, how)
