"""What is taken from a run: one number a figure, None where it was not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from marsbench.metrics.goodput import alpha_key
from marsbench.runs import RunSummary
from marsbench.sweep.folder import Result

PAPER_BLOCK = 16
"""Tokens a block in the paper's engine: evictions are given in blocks of this size."""

Figures = Mapping[str, float | None]

FROM_SUMMARY: dict[str, Callable[[RunSummary], float | None]] = {
    "latency_mean_s": lambda s: s["latency"]["mean"],
    "latency_p90_s": lambda s: s["latency"]["p90"],
    "latency_p95_s": lambda s: s["latency"]["p95"],
    "latency_p99_s": lambda s: s["latency"]["p99"],
    "slowdown_mean": lambda s: s["slowdown"]["mean"],
    "slowdown_max": lambda s: s["slowdown"]["max"],
    "ttft_ready_p99_s": lambda s: s["ttft"]["ready"]["all"]["p99"],
    "ttft_submit_p99_s": lambda s: s["ttft"]["submit"]["all"]["p99"],
    "ttft_submit_worst_round_p99_s": lambda s: _worst_round(s),
    "preemptions": lambda s: _float(s["preemptions"]),
    "hit_rate": lambda s: s["prefix_hit_rate"]["continuation"],
    "output_tokens_per_s": lambda s: s["throughput"]["output_tokens_per_s"],
    "computed_tokens_per_s": lambda s: computed_tokens_per_s(s),
    "makespan_s": lambda s: s["makespan_s"],
}


def figures_of(result: Result) -> Figures:
    """Every figure of a run."""
    summary = result.summary
    goods = {f"goodput_{alpha}": good["share"] for alpha, good in summary["goodput"].items()}
    own = {name: take(summary) for name, take in FROM_SUMMARY.items()}
    return {**goods, **own, **_evictions(result)}


def goodput_name(alpha: float) -> str:
    """The figure of goodput at this α."""
    return f"goodput_{alpha_key(alpha)}"


def computed_tokens_per_s(summary: RunSummary) -> float | None:
    """Tokens that the GPU computed a second: prompts less what was cached, again after losses.

    It is what a saturated engine keeps up whether or not the work is of use.
    """
    speed, found = summary["throughput"], summary["prefix_hit_rate"]["all"]
    prompts, outputs = speed["prompt_tokens_per_s"], speed["output_tokens_per_s"]
    again, span = summary["evictions"]["preempt_recomputed_tokens"], summary["makespan_s"]
    if prompts is None or outputs is None or found is None or again is None or not span:
        return None
    return prompts * (1 - found) + outputs + again / span


def _worst_round(summary: RunSummary) -> float | None:
    values = [index["submit_p99"] for index in summary["ttft_by_round"]]
    return max((value for value in values if value is not None), default=None)


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _evictions(result: Result) -> dict[str, float | None]:
    """Blocks of 16 tokens a second: over the run, at its most, and by quarter of the run."""
    size = result.run.config.block_size
    lost, span = result.summary["evictions"], result.summary["makespan_s"]
    if size is None or lost["blocks"] is None or not span:
        return {}
    scale = size / PAPER_BLOCK
    live = lost["live_blocks"]
    return {
        "evicted_per_s": lost["blocks"] * scale / span,
        "evicted_live_per_s": None if live is None else live * scale / span,
        "evicted_peak_per_s": None
        if lost["peak_blocks_per_s"] is None
        else lost["peak_blocks_per_s"] * scale,
        **_quarters(result, scale),
    }


def _quarters(result: Result, scale: float) -> dict[str, float | None]:
    cells = result.run.table("evictions")["live_blocks"].tolist()
    edges = [len(cells) * quarter // 4 for quarter in range(5)]
    return {
        f"evicted_live_quarter_{number}_per_s": sum(cells[a:b]) * scale / (b - a) if b > a else None
        for number, (a, b) in enumerate(pairwise(edges), 1)
    }
