"""What is asked of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from marsbench.judge.gate.values import GateError
from marsbench.option import VLLM, Option


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayOptions:
    """Two vLLMs to be played, in the place of two folders.

    preset: a sweep by name or path. output: the folder that both sides are kept in, so that a
    gate that was stopped goes on, and a baseline serves other candidates.
    """

    vllm: Annotated[str | None, Option("VLLM", "Baseline: a version, PATH, PATH@REV", VLLM)] = None
    vllm_candidate: Annotated[str | None, Option("VLLM", "The same, to be judged", VLLM)] = None
    preset: Annotated[str, Option("SWEEP", "What both play (vllm-pr)", VLLM)] = "vllm-pr"
    output: Annotated[
        Path | None, Option("DIR", "Kept there (results/…)", VLLM, names=("-o", "--output"))
    ] = None
    jobs: Annotated[int | None, Option("N", "Processes (one a core)", VLLM, least=1)] = None

    @property
    def are_given(self) -> bool:
        """Raises GateError where one of the two is missing."""
        if (self.vllm is None) != (self.vllm_candidate is None):
            raise GateError(
                "--vllm and --vllm-candidate go together; for example --vllm 0.33.0 "
                "--vllm-candidate ./vllm."
            )
        return self.vllm is not None
