"""What is asked of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from marsbench.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """The options of `marsbench gate` that say what is judged."""

    metric: Annotated[
        Sequence[str],
        Option("NAME", "goodput, latency, latency_p95_s, …; repeatable", typed=list[str]),
    ] = ()
    alpha: Annotated[float, Option("A", "Goodput's α (3)")] = 3.0
    margin: Annotated[str, Option("M", "How much worse still passes: 5%, 0.02 (5%)")] = "5%"
    confidence: Annotated[float, Option("C", "Of a verdict, one-sided (0.95)")] = 0.95
    rules: Annotated[Path | None, Option("FILE", "Several metrics and margins (TOML)")] = None
    exact: Annotated[bool, Option(None, "Nothing at all may differ (simulator)")] = False
