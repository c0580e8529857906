"""The JSON that `vllm bench serve --save-result` writes (vLLM 0.33.0, vllm/benchmarks/serve.py).

A request is a round. Its times count from submit, as vLLM's client counts; what a session waited
for admission before is `queue_times`. Gaps between single tokens are not recorded, so all of
`itl` is null, and so is `request_goodput`: ours is of sessions, and in the `marsbench_` keys,
which stand where vLLM puts `--metadata`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from marsbench.core.metrics.rounds import RoundRecord
from marsbench.report.export.results import Results, latency_s, per_second, tokens_of

PERCENTILES = (50, 90, 95, 99)
ALWAYS = ("latencies", "queue_times")
"""The lists that vLLM writes without `--save-detailed` too."""


def vllm_bench(results: Results, detailed: bool = False) -> dict[str, Any]:
    """The run as vLLM's benchmark writes it; the lists of `--save-detailed` when asked for."""
    lists = _lists(results)
    if not detailed:
        lists = {name: lists[name] for name in ALWAYS}
    return {
        **_setup(results),
        **{f"marsbench_{key}": value for key, value in results.facts.items()},
        **_totals(results),
        **lists,
        **_timings(results.completed),
    }


def _setup(results: Results) -> dict[str, Any]:
    """Requests arrive as their sessions do, so a rate of requests was not asked for."""
    started = results.wall.get("started")
    date = datetime.fromisoformat(started).strftime("%Y%m%d-%H%M%S") if started else None
    return {
        "date": date,
        "endpoint_type": f"marsbench-{results.config.engine}",
        "backend": results.config.backend,
        "label": results.name,
        "model_id": results.config.hardware.get("model"),
        "tokenizer_id": None,
        "num_prompts": len(results.submitted),
        "request_rate": None,
        "burstiness": None,
        "max_concurrency": None,
    }


def _totals(results: Results) -> dict[str, Any]:
    done = results.completed
    seconds = results.summary["makespan_s"]
    tokens = tokens_of(done)
    return {
        "duration": seconds,
        "completed": len(done),
        "failed": len(results.submitted) - len(done),
        "total_input_tokens": tokens.prompts,
        "total_output_tokens": tokens.outputs,
        "request_throughput": per_second(len(done), seconds),
        "request_goodput": None,
        "output_throughput": per_second(tokens.outputs, seconds),
        "total_token_throughput": per_second(tokens.both, seconds),
        "max_output_tokens_per_s": None,
        "max_concurrent_requests": _most_at_once(done),
        "rtfx": None,
    }


def _most_at_once(rounds: Sequence[RoundRecord]) -> int | None:
    """As vLLM counts: the most requests that touch one and the same second of the run."""
    spans = [(r.submitted_at, r.ended_at) for r in rounds]
    known = [(begin, end) for begin, end in spans if begin is not None and end is not None]
    if not known:
        return None
    first = min(begin for begin, _ in known)
    changes: Counter[int] = Counter()
    for begin, end in known:
        changes[int(begin - first)] += 1
        changes[int(end - first) + 1] -= 1
    return int(np.cumsum([changes[second] for second in sorted(changes)]).max())


def _lists(results: Results) -> dict[str, Any]:
    """A value a submitted round, in the order in which they were ready."""
    rounds = results.submitted
    reasons = {session.session: session.reason for session in results.sessions}
    return {
        "input_lens": [rnd.prompt_tokens for rnd in rounds],
        "output_lens": [rnd.output_tokens for rnd in rounds],
        "ttfts": [rnd.ttft_submit_s for rnd in rounds],
        "itls": None,
        "latencies": _latencies(rounds),
        "start_times": [rnd.submitted_at for rnd in rounds],
        "queue_times": [(rnd.submitted_at or rnd.ready_at) - rnd.ready_at for rnd in rounds],
        "generated_texts": None,
        "errors": [
            "" if rnd.ended_at is not None else reasons.get(rnd.session) or "did not end"
            for rnd in rounds
        ],
    }


def _latencies(rounds: Iterable[RoundRecord]) -> list[float | None]:
    return [latency_s(rnd) for rnd in rounds]


def _timings(done: Sequence[RoundRecord]) -> dict[str, float | None]:
    seconds: dict[str, list[float | None]] = {
        "ttft": [rnd.ttft_submit_s for rnd in done],
        "tpot": [rnd.tpot_s for rnd in done],
        "itl": [],
        "e2el": _latencies(done),
    }
    found: dict[str, float | None] = {}
    for name, values in seconds.items():
        known = np.array([value for value in values if value is not None]) * 1000
        for statistic, value in _statistics(known).items():
            found[f"{statistic}_{name}_ms"] = value
    return found


def _statistics(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float | None]:
    names = ("mean", "median", "std", *(f"p{percent}" for percent in PERCENTILES))
    if not values.size:
        return dict.fromkeys(names)
    percentiles = np.percentile(values, PERCENTILES)
    numbers = (values.mean(), np.median(values), values.std(), *percentiles)
    return {name: float(number) for name, number in zip(names, numbers, strict=True)}
