"""Runs beside what no schedule can pass, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from marsbench.bounds.of_run import Bounded
from marsbench.text.console import drawn
from marsbench.text.numbers import percent, seconds
from marsbench.text.tables import Table


def bounds_table(held: Sequence[Bounded], console: Console) -> None:
    """A row a run and figure: what it reached, what nobody passes, and the gap."""
    head = ("run", "figure", "reached", "bound", "gap")
    rows = [row for one in held for row in _rows(one)]
    console.print(drawn(Table(head, rows, "LLR")))


def _rows(one: Bounded) -> list[tuple[str, str, str, str, str]]:
    name, found = f"{one.run} ({one.backend})", one.bounds
    least, reached = found.mean_latency_s, one.mean_latency_s
    gap = "" if reached is None else f"{reached / least:.2f}×"
    rows = [(name, "mean latency", seconds(reached), f"≥ {seconds(least)}", gap)]
    for alpha, most in found.good.items():
        good, num = one.good[alpha], found.num_sessions
        gap = percent((most - good) / num)
        label = f"good at α = {alpha:g}"
        rows.append((name, label, f"{good}/{num}", f"≤ {most}/{num}", f"{gap} of sessions"))
    return rows


def bounds_json(held: Sequence[Bounded]) -> str:
    """The same for machines: one JSON array on one line."""
    return json.dumps([_record(one) for one in held], ensure_ascii=False) + "\n"


def _record(one: Bounded) -> dict[str, Any]:
    found = one.bounds
    return {
        "run": one.run,
        "backend": one.backend,
        "sessions": found.num_sessions,
        "resumes": one.num_resumes,
        "mean_latency_s": {"reached": one.mean_latency_s, "at_least": found.mean_latency_s},
        "good": {
            f"{alpha:g}": {"reached": one.good[alpha], "at_most": most}
            for alpha, most in found.good.items()
        },
    }
