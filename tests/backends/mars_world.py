"""What an admission controller sees, in a few words: blocks of 16 tokens, 1,000 of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marsbench_backends.admission import Candidate, EngineState


def queue(*prompts: int) -> list[Candidate]:
    """Sessions q0, q1, … with first prompts of so many blocks, in arrival order."""
    return [Candidate(f"q{n}", float(n), blocks * 16) for n, blocks in enumerate(prompts)]


def inside(*prompts: int) -> list[Candidate]:
    """Sessions in flight, i0, i1, …"""
    return [Candidate(f"i{n}", 0.0, blocks * 16) for n, blocks in enumerate(prompts)]


def state(
    free: int | None = 1_000,
    *,
    now: float = 0.0,
    in_flight: Sequence[Candidate] = (),
    tools: int = 0,
    **facts: Any,
) -> EngineState:
    known: dict[str, Any] = {"num_blocks": 1_000, "tool_cores": 8, "arrivals_over": False}
    return EngineState(
        now=now, in_flight=in_flight, free_blocks=free, block_size=16, num_cpu_calls=tools,
        **{**known, **facts},
    )  # fmt: skip
