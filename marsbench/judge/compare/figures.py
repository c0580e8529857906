"""What is taken from a run: one number a figure, None where it was not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from marsbench.core.metrics.goodput import alpha_key
from marsbench.core.runs import RunSummary
from marsbench.errors import unknown_name
from marsbench.judge.compare.decided import LABELS, cap_figures, decision_figures
from marsbench.judge.sweep.folder import Result

PAPER_BLOCK = 16
"""Tokens a block in the paper's engine: evictions are given in blocks of this size."""

Figures = Mapping[str, float | None]

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is named to readers, and which side of it is good; None where neither is."""

    name: str
    label: str
    unit: str
    better: Better | None


FROM_SUMMARY: dict[str, Callable[[RunSummary], float | None]] = {
    "latency_mean_s": lambda s: s["latency"]["mean"],
    "latency_p50_s": lambda s: s["latency"]["p50"],
    "latency_p90_s": lambda s: s["latency"]["p90"],
    "latency_p95_s": lambda s: s["latency"]["p95"],
    "latency_p99_s": lambda s: s["latency"]["p99"],
    "slowdown_mean": lambda s: s["slowdown"]["mean"],
    "slowdown_p50": lambda s: s["slowdown"]["p50"],
    "slowdown_p90": lambda s: s["slowdown"]["p90"],
    "slowdown_p95": lambda s: s["slowdown"]["p95"],
    "slowdown_p99": lambda s: s["slowdown"]["p99"],
    "slowdown_max": lambda s: s["slowdown"]["max"],
    "admission_wait_mean_s": lambda s: s["admission_wait"]["mean"],
    "ttft_ready_p99_s": lambda s: s["ttft"]["ready"]["all"]["p99"],
    "ttft_ready_first_p99_s": lambda s: s["ttft"]["ready"]["first"]["p99"],
    "ttft_ready_continuation_p99_s": lambda s: s["ttft"]["ready"]["continuation"]["p99"],
    "ttft_submit_p99_s": lambda s: s["ttft"]["submit"]["all"]["p99"],
    "ttft_submit_first_p99_s": lambda s: s["ttft"]["submit"]["first"]["p99"],
    "ttft_submit_continuation_p99_s": lambda s: s["ttft"]["submit"]["continuation"]["p99"],
    "ttft_submit_worst_round_p99_s": lambda s: _worst_round(s),
    "recomputed_tokens": lambda s: _float(s["evictions"]["recomputed_tokens"]),
    "preempt_recomputed_tokens": lambda s: _float(s["evictions"]["preempt_recomputed_tokens"]),
    "preemptions": lambda s: _float(s["preemptions"]),
    "hit_rate": lambda s: s["prefix_hit_rate"]["continuation"],
    "host_hit_rate": lambda s: s["prefix_hit_rate"]["host_continuation"],
    "output_tokens_per_s": lambda s: s["throughput"]["output_tokens_per_s"],
    "computed_tokens_per_s": lambda s: computed_tokens_per_s(s),
    "sessions_per_s": lambda s: s["throughput"]["sessions_per_s"],
    "makespan_s": lambda s: s["makespan_s"],
    "kv_used_share": lambda s: s["kv_usage"]["used_share"]["mean"],
    "kv_held_share": lambda s: s["kv_usage"]["held_share"]["mean"],
    "tools_in_flight": lambda s: s["tools_in_flight"]["mean"],
    "unfinished": lambda s: _float(s["sessions"]["arrived"] - s["sessions"]["finished"]),
}

_LABELS: tuple[tuple[str, str, str, Better | None], ...] = (
    ("goodput_area", "goodput over α, area", "", "higher"),
    ("latency_mean_s", "mean latency", "s", "lower"),
    ("latency_p50_s", "P50 latency", "s", "lower"),
    ("latency_p90_s", "P90 latency", "s", "lower"),
    ("latency_p95_s", "P95 latency", "s", "lower"),
    ("latency_p99_s", "P99 latency", "s", "lower"),
    ("slowdown_mean", "mean slowdown", "", "lower"),
    ("slowdown_p50", "P50 slowdown", "", "lower"),
    ("slowdown_p90", "P90 slowdown", "", "lower"),
    ("slowdown_p95", "P95 slowdown", "", "lower"),
    ("slowdown_p99", "P99 slowdown", "", "lower"),
    ("slowdown_max", "worst slowdown", "", "lower"),
    ("admission_wait_mean_s", "mean wait for admission", "s", None),
    ("ttft_ready_p99_s", "P99 TTFT from ready", "s", "lower"),
    ("ttft_ready_first_p99_s", "P99 TTFT ready, first", "s", "lower"),
    ("ttft_ready_continuation_p99_s", "P99 TTFT ready, later", "s", "lower"),
    ("ttft_submit_p99_s", "P99 TTFT from submit", "s", "lower"),
    ("ttft_submit_first_p99_s", "P99 TTFT submit, first", "s", "lower"),
    ("ttft_submit_continuation_p99_s", "P99 TTFT submit, later", "s", "lower"),
    ("ttft_submit_worst_round_p99_s", "P99 TTFT from submit, worst round", "s", "lower"),
    ("evicted_per_s", "evicted blocks of 16 tokens", "1/s", "lower"),
    ("evicted_live_per_s", "evicted of open sessions", "1/s", "lower"),
    ("evicted_peak_per_s", "evicted in the worst second", "1/s", "lower"),
    ("swapped_out_per_s", "blocks of 16 tokens swapped out", "1/s", None),
    ("recomputed_tokens", "tokens recomputed", "", "lower"),
    ("preempt_recomputed_tokens", "tokens recomputed after preemption", "", "lower"),
    ("preemptions", "preemptions", "", None),
    ("hit_rate", "prefix hit rate of later rounds", "", "higher"),
    ("host_hit_rate", "loaded from host memory, of later rounds' prompts", "", None),
    ("output_tokens_per_s", "output tokens", "1/s", "higher"),
    ("computed_tokens_per_s", "tokens computed", "1/s", None),
    ("sessions_per_s", "sessions finished", "1/s", "higher"),
    ("makespan_s", "length of the run", "s", "lower"),
    ("kv_used_share", "KV cache in use", "", None),
    ("kv_held_share", "KV cache held for paused sessions", "", None),
    ("tools_in_flight", "tool calls in flight", "", None),
    ("unfinished", "sessions that did not finish", "", "lower"),
)
FIGURES = {
    **{row[0]: Figure(*row) for row in _LABELS},
    **{name: Figure(name, label, "", None) for name, label in LABELS.items()},
}
"""The figures whose names do not depend on an α; `figure_of` knows the others."""

_GOODPUT, _GOODPUT_RATE = "goodput_", "goodput_rate_"


def figure_of(name: str) -> Figure:
    """What is to be said of a figure. Raises UsageError for a name that is none."""
    if name in FIGURES:
        return FIGURES[name]
    for prefix, text, unit in (
        (_GOODPUT_RATE, "goodput({}) a second", "1/s"),
        (_GOODPUT, "goodput({})", ""),
    ):
        alpha = name.removeprefix(prefix)
        if alpha != name and alpha.replace(".", "", 1).isdigit():
            return Figure(name, text.format(alpha), unit, "higher")
    quarter = name.removeprefix("evicted_live_quarter_").removesuffix("_per_s")
    if quarter in ("1", "2", "3", "4"):
        return Figure(name, f"evicted of open sessions, quarter {quarter}", "1/s", "lower")
    raise unknown_name("metric", name, [*FIGURES, goodput_name(3)])


def figures_of(result: Result) -> Figures:
    """Every figure of a run."""
    summary = result.summary
    goods = {f"goodput_{alpha}": good["share"] for alpha, good in summary["goodput"].items()}
    own = {name: take(summary) for name, take in FROM_SUMMARY.items()}
    decided = {**decision_figures(summary), **cap_figures(result)}
    return {**goods, **own, **_evictions(result), **_swaps(result), **decided}


def goodput_name(alpha: float) -> str:
    """The figure of goodput at this α, as a share of the sessions that arrived."""
    return f"{_GOODPUT}{alpha_key(alpha)}"


def goodput_rate_name(alpha: float) -> str:
    """The figure of goodput at this α, in sessions a second."""
    return f"{_GOODPUT_RATE}{alpha_key(alpha)}"


def computed_tokens_per_s(summary: RunSummary) -> float | None:
    """Tokens that the GPU computed a second: prompts less what was found, again after losses.

    It is what a saturated engine keeps up whether or not the work is of use.
    """
    speed, hits = summary["throughput"], summary["prefix_hit_rate"]
    found, loaded = hits["all"], hits["host_all"] or 0.0
    prompts, outputs = speed["prompt_tokens_per_s"], speed["output_tokens_per_s"]
    again, span = summary["evictions"]["preempt_recomputed_tokens"], summary["makespan_s"]
    if prompts is None or outputs is None or found is None or again is None or not span:
        return None
    return prompts * (1 - found - loaded) + outputs + again / span


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


def _swaps(result: Result) -> dict[str, float | None]:
    """Blocks of 16 tokens a second that left for host memory."""
    size, span = result.run.config.block_size, result.summary["makespan_s"]
    out = result.summary["swaps"]["out_blocks"]
    if size is None or out is None or not span:
        return {}
    return {"swapped_out_per_s": out * size / PAPER_BLOCK / span}


def _quarters(result: Result, scale: float) -> dict[str, float | None]:
    if not result.run.has_table("evictions"):
        return {}
    cells = result.run.table("evictions")["live_blocks"].tolist()
    edges = [len(cells) * quarter // 4 for quarter in range(5)]
    return {
        f"evicted_live_quarter_{number}_per_s": sum(cells[a:b]) * scale / (b - a) if b > a else None
        for number, (a, b) in enumerate(pairwise(edges), 1)
    }
