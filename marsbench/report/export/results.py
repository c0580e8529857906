"""What exports are made of: a run's inputs, figures, rounds and sessions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.runs import RunFolder, RunSummary
from marsbench.runs.config import RunConfig


@dataclass(frozen=True, slots=True)
class Results:
    """One run, read whole.

    wall: when and for how long it ran on the wall clock; empty for a run that was killed.
    """

    name: str
    config: RunConfig
    summary: RunSummary
    rounds: Sequence[RoundRecord]
    sessions: Sequence[SessionRecord]
    wall: dict[str, Any]

    @property
    def submitted(self) -> list[RoundRecord]:
        """The rounds that reached the engine."""
        return [rnd for rnd in self.rounds if rnd.submitted_at is not None]

    @property
    def completed(self) -> list[RoundRecord]:
        """The rounds that were answered to their end."""
        return [rnd for rnd in self.submitted if rnd.ended_at is not None]

    @property
    def own_sessions(self) -> Sequence[SessionRecord]:
        """The sessions without their sub-agents, which are part of them."""
        return roots(self.sessions)

    @property
    def facts(self) -> dict[str, Any]:
        """What no other format has a place for: validity, goodput and slowdown of sessions."""
        summary = self.summary
        return {
            "run": self.name,
            "engine": summary["engine"],
            "backend": summary["backend"],
            "params": dict(summary["params"]),
            "workload": summary["workload"],
            "workload_hash": summary["workload_hash"],
            "seed": summary["seed"],
            "code": summary["code"],
            "valid": summary["valid"],
            "reasons": list(summary["reasons"]),
            "cautions": [caution["code"] for caution in summary["cautions"]],
            "goodput": {alpha: dict(figure) for alpha, figure in summary["goodput"].items()},
            "slowdown": dict(summary["slowdown"]),
            "evictions": dict(summary["evictions"]),
            "prefix_hit_rate": dict(summary["prefix_hit_rate"]),
        }


def read_results(path: Path) -> Results:
    """The run of a folder, even one that was cut short. Raises UsageError."""
    run = RunFolder.open(path)
    measured = run.measure()
    wall = run.path / "wall.json"
    return Results(
        path.resolve().name,
        run.config,
        run.summary(),
        measured.rounds,
        measured.sessions,
        json.loads(wall.read_text(encoding="utf-8")) if wall.is_file() else {},
    )


def latency_s(rnd: RoundRecord) -> float | None:
    """From submit to the last token."""
    if rnd.ended_at is None or rnd.submitted_at is None:
        return None
    return rnd.ended_at - rnd.submitted_at


class Tokens(NamedTuple):
    """Tokens of rounds together; None where one of them is not known, or there is no round."""

    prompts: int | None
    outputs: int | None

    @property
    def both(self) -> int | None:
        """Prompts and outputs."""
        return _total(self)


def tokens_of(rounds: Sequence[RoundRecord]) -> Tokens:
    """How many they sent and got."""
    return Tokens(
        _total(rnd.prompt_tokens for rnd in rounds), _total(rnd.output_tokens for rnd in rounds)
    )


def _total(values: Iterable[int | None]) -> int | None:
    """The sum if every value is known and there is one: a partial sum is not a total."""
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    return sum(value for value in known if value is not None)


def per_second(amount: float | None, seconds: float | None) -> float | None:
    """The amount over the time; None where either is not known."""
    return None if amount is None or not seconds else amount / seconds
