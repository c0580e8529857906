"""The kinds of figure: one entry in KINDS says all of each, from its label to how it is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from marsbench.core.metrics.goodput import alpha_key, goodput
from marsbench.core.metrics.window import Window
from marsbench.judge.sweep.folder import Result
from marsbench.runs.summary import CAP_SEARCH
from marsbench.text.decisions import DECIDED, REASONS

PAPER_BLOCK = 16
"""Tokens a block in the paper's engine: evictions are given in blocks of this size."""
TO_ALPHA = 10.0
"""Where the area under goodput against α ends: ten times as long as alone."""
CAPPED = "fcfs-cap"
"""The backend whose cap is its only parameter."""

Better = Literal["higher", "lower"]
Take = Callable[..., float | None]
"""Of a run, and of an α where the kind has one; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a figure is named to readers, which side of it is good (None: neither), how it is taken.

    label: with {} for α where `at_alpha`. is_share: told in per cent. of_sessions: taken only
    where the sessions of a run are read. measured: whether a run says anything of it.
    """

    label: str
    unit: str
    better: Better | None
    take: Take
    is_share: bool = False
    at_alpha: bool = False
    of_sessions: bool = False
    measured: Callable[[Result], bool] = lambda run: True


def _at(*path: str) -> Take:
    """What stands there in the summary."""

    def take(run: Result) -> float | None:
        value: Any = run.summary
        for name in path:
            value = value[name]
        return None if value is None else float(value)

    return take


def _share(run: Result, alpha: float) -> float | None:
    """Goodput; of a run that kept its summary alone, what that says."""
    if run.run.has_table("sessions"):
        return goodput(run.sessions, alpha, None)["share"]
    return run.summary["goodput"][alpha_key(alpha)]["share"]


def _rate(run: Result, alpha: float) -> float | None:
    span = run.summary["makespan_s"]
    return goodput(run.sessions, alpha, Window(0.0, span) if span else None)["rate"]


def _has_tenants(run: Result) -> bool:
    return "fairness" in run.summary


def _worst_tenant(run: Result, alpha: float) -> float | None:
    """Goodput of the tenant who has the least; of a run that kept its summary alone, as told."""
    if not run.run.has_table("sessions"):
        return run.summary["fairness"]["worst_goodput"][alpha_key(alpha)]["share"]
    names = {session.tenant for session in run.sessions}
    own = ([s for s in run.sessions if s.tenant == name] for name in names)
    shares = [goodput(sessions, alpha, None)["share"] for sessions in own]
    return None if None in shares else min(share for share in shares if share is not None)


def _has_steady(run: Result) -> bool:
    return run.summary["steady"] is not None


def _has_drift(run: Result) -> bool:
    steady = run.summary["steady"]
    return steady is not None and steady["backlog"] is not None


def _steady_share(run: Result, alpha: float) -> float | None:
    """Goodput of the sessions that arrived in the steady window."""
    steady = run.summary["steady"]
    if steady is None:
        return None
    if not run.run.has_table("sessions"):
        return steady["goodput"][alpha_key(alpha)]["share"]
    window = Window(steady["from_s"], steady["to_s"])
    own = [session for session in run.sessions if window.holds(session.arrived_at)]
    return goodput(own, alpha, None)["share"]


def _steady(label: str, *path: str) -> Kind:
    unit = "s" if path[0] != "slowdown" else ""
    return Kind(f"{label}, steady", unit, "lower", _at("steady", *path), measured=_has_steady)


def _area(run: Result) -> float | None:
    """The area under goodput against α from 1 to TO_ALPHA, ÷ its width.

    A session adds exactly the stretch of α in which it is good, so it is a mean over sessions.
    """
    import numpy as np

    if goodput(run.sessions, 1.0, None)["share"] is None:
        return None
    slowdowns = [math.inf if s.slowdown is None else s.slowdown for s in run.sessions]
    good = (TO_ALPHA - np.clip(slowdowns, 1.0, TO_ALPHA)) / (TO_ALPHA - 1)
    return float(good.mean())


def _worst_round(run: Result) -> float | None:
    values = [index["submit_p99"] for index in run.summary["ttft_by_round"]]
    return max((value for value in values if value is not None), default=None)


def _computed_tokens_per_s(run: Result) -> float | None:
    """Tokens that the GPU computed a second: prompts less what was found, again after losses.

    It is what a saturated engine keeps up whether or not the work is of use.
    """
    summary = run.summary
    speed, hits = summary["throughput"], summary["prefix_hit_rate"]
    found, loaded = hits["all"], hits["host_all"] or 0.0
    prompts, outputs = speed["prompt_tokens_per_s"], speed["output_tokens_per_s"]
    again, span = summary["evictions"]["preempt_recomputed_tokens"], summary["makespan_s"]
    if prompts is None or outputs is None or found is None or again is None or not span:
        return None
    return prompts * (1 - found - loaded) + outputs + again / span


def _unfinished(run: Result) -> float:
    return float(run.summary["sessions"]["arrived"] - run.summary["sessions"]["finished"])


def _blocks(part: str, name: str, per_s: bool = True) -> Take:
    """Blocks of 16 tokens: of a count a second of the run, else of what is a rate already."""

    def take(run: Result) -> float | None:
        number = _at(part, name)(run)
        span = run.summary["makespan_s"] or 1.0
        return None if number is None else number * _scale(run) / (span if per_s else 1.0)

    return take


def _scale(run: Result) -> float:
    return (run.run.config.block_size or 0) / PAPER_BLOCK


def _counts(part: str, name: str) -> Callable[[Result], bool]:
    """Whether a run counted such blocks, says how large they are, and took time."""

    def measured(run: Result) -> bool:
        sized = run.run.config.block_size is not None
        return sized and _at(part, name)(run) is not None and bool(run.summary["makespan_s"])

    return measured


_evicting, _swapping = _counts("evictions", "blocks"), _counts("swaps", "out_blocks")


def _evicted(label: str, name: str, per_s: bool = True) -> Kind:
    take = _blocks("evictions", name, per_s)
    return Kind(label, "1/s", "lower", take, measured=_evicting)


def _quarter(number: int) -> Kind:
    """Evicted of open sessions in a quarter of the run, from its table of seconds."""

    def take(run: Result) -> float | None:
        cells = run.live_evictions
        first, end = (len(cells) * quarter // 4 for quarter in (number - 1, number))
        return sum(cells[first:end]) * _scale(run) / (end - first) if end > first else None

    def measured(run: Result) -> bool:
        return _evicting(run) and run.run.has_table("evictions")

    label = f"evicted of open sessions, quarter {number}"
    return Kind(label, "1/s", "lower", take, measured=measured)


def _decisions(name: str, how: Literal["differed", "asked"]) -> Take:
    def take(run: Result) -> float | None:
        decided = run.summary["decisions"]
        return None if decided is None or name not in decided else float(decided[name][how])

    return take


def _held_back(reason: str) -> Take:
    """None where sessions were held back and the controller did not say why."""

    def take(run: Result) -> float | None:
        decided = run.summary["decisions"]
        entries = None if decided is None else decided.get("admission")
        if entries is None or (entries["differed"] and not entries.get("reasons")):
            return None
        return float(entries.get("reasons", {}).get(reason, 0))

    return take


def _cap(run: Result) -> float | None:
    """The fixed cap of a run.

    A backend of somebody's own that has a `cap` too is taken for one only where that was searched.
    """
    config = run.run.config
    cap, searched = config.params.get("cap"), CAP_SEARCH in config.settings
    if not isinstance(cap, int) or not (searched or config.backend == CAPPED):
        return None
    return float(cap)


def _cap_searched(run: Result) -> float | None:
    """1 where the run searched its cap, 0 where it was given."""
    return None if _cap(run) is None else float(CAP_SEARCH in run.run.config.settings)


def _offloading(run: Result) -> bool:
    """Whether vLLM's own offloading copied something."""
    return "host_kv" in run.summary


def _moving(run: Result) -> bool:
    """Whether KV was copied from one replica to another."""
    return "kv_moves" in run.summary.get("replicas", {})


def _gigabytes(of: str) -> Callable[[Result], float | None]:
    """Bytes of `host_kv` that were stored, or loaded."""

    def take(run: Result) -> float | None:
        return run.summary["host_kv"][f"{of}_bytes"] / 1e9 if _offloading(run) else None  # type: ignore[literal-required]

    return take


def _under_way(run: Result) -> float | None:
    """Copies that had not ended when the run had; a summary says so only where there were any."""
    if not _offloading(run):
        return None
    return float(run.summary["host_kv"].get("under_way_copies", 0))


def _fanning_out(run: Result) -> bool:
    """Whether sub-agents ran side by side."""
    return "branches" in run.summary


_MEAN_TO_P99 = {"mean": "mean", "p50": "P50", "p90": "P90", "p95": "P95", "p99": "P99"}
_ROUNDS = {"": "from {}", "_first": "{}, first", "_continuation": "{}, later"}

KINDS: Mapping[str, Kind] = {
    "goodput": Kind("goodput({})", "", "higher", _share, is_share=True, at_alpha=True),
    **{f"latency_{of}_s": Kind(f"{words} latency", "s", "lower", _at("latency", of))
       for of, words in _MEAN_TO_P99.items()},
    **{f"slowdown_{of}": Kind(f"{words} slowdown", "", "lower", _at("slowdown", of))
       for of, words in {**_MEAN_TO_P99, "max": "worst"}.items()},
    "steady_goodput": Kind("goodput({}), steady", "", "higher", _steady_share, is_share=True,
                           at_alpha=True, measured=_has_steady),
    "steady_latency_mean_s": _steady("mean latency", "latency", "mean"),
    "steady_slowdown_mean": _steady("mean slowdown", "slowdown", "mean"),
    "steady_ttft_ready_p99_s": _steady("P99 TTFT from ready", "ttft", "p99"),
    "backlog_drift": Kind("growth of the backlog, per session that arrived", "", None,
                          _at("steady", "backlog", "drift"), measured=_has_drift),
    "admission_wait_mean_s": Kind("mean wait for admission", "s", None,
                                  _at("admission_wait", "mean")),
    **{f"ttft_{since}{of}_p99_s": Kind(f"P99 TTFT {words.format(since)}", "s", "lower",
                                       _at("ttft", since, of.strip("_") or "all", "p99"))
       for since in ("ready", "submit") for of, words in _ROUNDS.items()},
    "ttft_submit_worst_round_p99_s": Kind("P99 TTFT from submit, worst round", "s", "lower",
                                          _worst_round),
    "recomputed_tokens": Kind("tokens recomputed", "", "lower",
                              _at("evictions", "recomputed_tokens")),
    "preempt_recomputed_tokens": Kind("tokens recomputed after preemption", "", "lower",
                                      _at("evictions", "preempt_recomputed_tokens")),
    "preemptions": Kind("preemptions", "", None, _at("preemptions")),
    "hit_rate": Kind("prefix hit rate of later rounds", "", "higher",
                     _at("prefix_hit_rate", "continuation"), is_share=True),
    "host_hit_rate": Kind("loaded from host memory, of later rounds' prompts", "", None,
                          _at("prefix_hit_rate", "host_continuation"), is_share=True),
    "output_tokens_per_s": Kind("output tokens", "1/s", "higher",
                                _at("throughput", "output_tokens_per_s")),
    "computed_tokens_per_s": Kind("tokens computed", "1/s", None, _computed_tokens_per_s),
    "sessions_per_s": Kind("sessions finished", "1/s", "higher",
                           _at("throughput", "sessions_per_s")),
    "makespan_s": Kind("length of the run", "s", "lower", _at("makespan_s")),
    "kv_used_share": Kind("KV cache in use", "", None, _at("kv_usage", "used_share", "mean"),
                          is_share=True),
    "kv_held_share": Kind("KV cache held for paused sessions", "", None,
                          _at("kv_usage", "held_share", "mean"), is_share=True),
    "tools_in_flight": Kind("tool calls in flight", "", None, _at("tools_in_flight", "mean")),
    "tenant_jain": Kind("Jain's index of tenants' slowdown", "", "higher",
                        _at("fairness", "jain_slowdown"), measured=_has_tenants),
    "worst_tenant_goodput": Kind("goodput({}) of the worst tenant", "", "higher", _worst_tenant,
                                 is_share=True, at_alpha=True, measured=_has_tenants),
    "unfinished": Kind("sessions that did not finish", "", "lower", _unfinished),
    "evicted_per_s": _evicted("evicted blocks of 16 tokens", "blocks"),
    "evicted_live_per_s": _evicted("evicted of open sessions", "live_blocks"),
    "evicted_peak_per_s": _evicted("evicted in the worst second", "peak_blocks_per_s", per_s=False),
    **{f"evicted_live_quarter_{n}_per_s": _quarter(n) for n in range(1, 5)},
    "swapped_out_per_s": Kind("blocks of 16 tokens swapped out", "1/s", None,
                              _blocks("swaps", "out_blocks"), measured=_swapping),
    "load_wait_mean_s": Kind("mean wait for a load from host memory", "s", "lower",
                             _at("host_kv", "load_wait", "mean"), measured=_offloading),
    **{f"link_{lane}_busy_share": Kind(f"link to host memory in use, {words}", "", None,
                                       _at("host_kv", f"{lane}_busy_share"), is_share=True,
                                       measured=_offloading)
       for lane, words in {"out": "out", "in": "back"}.items()},
    **{f"host_{of}_gb": Kind(words, "GB", None, _gigabytes(of), measured=_offloading)
       for of, words in {"stored": "copied to host memory", "loaded": "loaded from it"}.items()},
    "host_under_way": Kind("copies under way at the run's end", "", None, _under_way,
                           measured=_offloading),
    "host_dropped_per_s": Kind("blocks of 16 tokens evicted from host memory", "1/s", "lower",
                               _blocks("host_kv", "dropped_blocks"), measured=_offloading),
    "kv_move_wait_mean_s": Kind("mean wait for KV from another replica", "s", "lower",
                                _at("replicas", "kv_moves", "wait", "mean"), measured=_moving),
    "kv_moved_saved_tokens": Kind("tokens that KV from another replica saved", "", None,
                                  _at("replicas", "kv_moves", "saved_tokens"), measured=_moving),
    "critical_llm_mean_s": Kind("mean LLM seconds on the critical path", "s", "lower",
                                _at("branches", "critical_llm_s", "mean"), measured=_fanning_out),
    "critical_share": Kind("critical path, of all LLM seconds", "", None,
                           _at("branches", "critical_share"), is_share=True,
                           measured=_fanning_out),
    "slack_mean_s": Kind("mean wait of a branch for the last", "s", "lower",
                         _at("branches", "slack_s", "mean"), measured=_fanning_out),
    "slack_share": Kind("parallel slack, of branches' seconds", "", None,
                        _at("branches", "slack_share"), is_share=True, measured=_fanning_out),
    **{f"num_{of}_differed": Kind(words, "", None, _decisions(of, "differed"))
       for of, words in DECIDED.items()},
    **{f"num_{of}_asked": Kind(f"{words}: of how many", "", None, _decisions(of, "asked"))
       for of, words in DECIDED.items()},
    **{f"num_held_back_{why}": Kind(f"sessions held back by {why}", "", None, _held_back(why))
       for why in REASONS},
    "cap": Kind("sessions in flight at most", "", None, _cap),
    "cap_searched": Kind("share of runs that searched that cap", "", None, _cap_searched),
    "goodput_area": Kind("goodput over α, area", "", "higher", _area,
                         of_sessions=True),
    "goodput_rate": Kind("goodput({}) a second", "1/s", "higher", _rate, at_alpha=True,
                         of_sessions=True),
}  # fmt: skip
"""By the name of each kind; those at an α are typed and printed with it, as "goodput_3"."""
