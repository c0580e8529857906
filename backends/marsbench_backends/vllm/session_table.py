"""What a server knows of its sessions from their requests alone.

A simulation says of each request which round of which session it is, which tools follow, and
whether it is the last. A client of a server may say so (`vllm_xargs`, flat, see `FACTS`); what it
leaves out is counted or inferred here. A session that has been silent for `idle_s` is taken for
abandoned. Pure: no clock, no vLLM.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marsbench_backends.signals import DEFAULT_TENANT, Future, Signal, ToolEnded, ToolStarted
from marsbench_backends.vllm.rounds import RoundInfo

IDLE_S = 1800.0
UNKNOWN_TOOL = "unknown"
FACTS = {
    "marsbench_session": "the session's id, where `session_id` and X-Session-ID cannot be set",
    "marsbench_round": "number of the round, from 0",
    "marsbench_last": "1: no round follows",
    "marsbench_tools": "names of the tools that run after this round: a list, or a,b",
    "marsbench_parent": "id of the session that waits for this one (a sub-agent's)",
    "marsbench_tenant": "on whose account the session runs",
    "marsbench_reusable": "prompt tokens that the session had computed before and still has",
    "marsbench_future": "for oracle: the six numbers of signals.Future, in its order",
}
"""What a client may send as `vllm_xargs`. One that is malformed counts as not sent."""


@dataclass(slots=True)
class Known:
    """A session: its latest round, requests under way, tokens computed, and its pause."""

    round: int = -1
    under_way: int = 0
    computed_tokens: int = 0
    seen_at: float = 0.0
    tools: tuple[str, ...] = ()
    paused_at: float | None = None


@dataclass
class SessionTable:
    """All sessions that have been heard of and have not ended."""

    idle_s: float = IDLE_S
    _sessions: dict[str, Known] = field(default_factory=dict, init=False)
    _look_again_at: float = field(default=-math.inf, init=False)

    def __len__(self) -> int:
        return len(self._sessions)

    def submitted(
        self,
        request_id: str,
        session_id: str | None,
        sent: Mapping[str, Any],
        num_prompt_tokens: int,
        now: float,
    ) -> tuple[RoundInfo, list[Signal]]:
        """The facts of a request, and the tools that its coming has ended.

        A request that names no session can have no second one: it is a session of its own.
        """
        named = session_id or _text(sent.get("marsbench_session"))
        session = named or request_id
        known = self._sessions.setdefault(session, Known())
        ended = self._tools_ended(session, known, now)
        number = _number(sent.get("marsbench_round"))
        known.round = known.round + 1 if number is None else int(number)
        known.under_way += 1
        known.seen_at = now
        reusable = _number(sent.get("marsbench_reusable"))
        had = min(known.computed_tokens, num_prompt_tokens - 1)
        info = RoundInfo(
            session,
            known.round,
            tools=names_of(sent.get("marsbench_tools")),
            is_last=named is None or bool(_number(sent.get("marsbench_last"))),
            parent=_text(sent.get("marsbench_parent")),
            reusable_tokens=had if reusable is None else int(reusable),
            future=_future(sent.get("marsbench_future")),
            tenant=_text(sent.get("marsbench_tenant")) or DEFAULT_TENANT,
        )
        return info, ended

    def _tools_ended(self, session: str, known: Known, now: float) -> list[Signal]:
        if known.paused_at is None:
            return []
        seconds, known.paused_at = now - known.paused_at, None
        return [ToolEnded(now, session, name, seconds) for name in known.tools]

    def round_ended(
        self, info: RoundInfo, computed_tokens: int, now: float, aborted: bool
    ) -> list[Signal]:
        """A request is over: the tools that begin with that."""
        known = self._sessions.get(info.session_id)
        if known is None:
            return []
        known.under_way -= 1
        known.seen_at = now
        known.computed_tokens = computed_tokens
        if info.is_last or aborted:
            del self._sessions[info.session_id]
            return []
        known.tools = info.tools or (UNKNOWN_TOOL,)
        known.paused_at = now
        return [ToolStarted(now, info.session_id, name) for name in known.tools]

    def abandoned(self, now: float) -> Iterator[RoundInfo]:
        """The sessions that have been silent too long, forgotten here with that.

        Looks at them all at most a hundred times in `idle_s`.
        """
        if now < self._look_again_at:
            return
        self._look_again_at = now + self.idle_s / 100
        silent = [
            (name, known)
            for name, known in self._sessions.items()
            if not known.under_way and now - known.seen_at >= self.idle_s
        ]
        for name, known in silent:
            del self._sessions[name]
            yield RoundInfo(name, known.round)


def _number(value: object) -> float | None:
    """A number as sent, None where there is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def names_of(value: object) -> tuple[str, ...]:
    """Names as a client sends them, a list or a,b; none where it sends something else."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, Sequence):
        return ()
    return tuple(name.strip() for name in value if isinstance(name, str) and name.strip())


def _future(value: object) -> Future | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    numbers = [n for n in map(_number, value) if n is not None]
    if len(numbers) != 6 or len(value) != 6:
        return None
    rounds, prompt, output, tool_s, next_tool_s, peak = numbers
    return Future(int(rounds), int(prompt), int(output), tool_s, next_tool_s, int(peak))
