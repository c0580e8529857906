"""llm-d's benchmark report, version 0.2.1 (llm-d-benchmark, benchmark_report/schema_v0_2_1.py).

A request is a round, a session a session. The format knows no goodput, slowdown or evictions:
they are under `scenario.load.native.config.marsbench`, where it takes anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from marsbench.core.metrics.rounds import RoundRecord
from marsbench.report.export.results import Results, Tokens, latency_s, per_second, tokens_of

VERSION = "0.2.1"
QUANTILES = {
    "p0p1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90,
    "p95": 95, "p99": 99, "p99p9": 99.9,
}  # fmt: skip


def llm_d_report(results: Results) -> dict[str, Any]:
    """The run as a report; what was not measured is left out."""
    report = {
        "version": VERSION,
        "run": _run(results),
        "scenario": {"stack": _stack(results), "load": _load(results)},
        "results": {
            "request_performance": {"aggregate": _aggregate(results)},
            "session_performance": {"sessions": _sessions(results)},
            "observability": _observability(results),
        },
    }
    found: dict[str, Any] = _without_nulls(report)
    return found


def report_text(report: Mapping[str, Any], as_json: bool) -> str:
    """The report as YAML, the form that llm-d keeps, or as JSON."""
    if as_json:
        return json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    import yaml  # type: ignore[import-untyped]

    text: str = yaml.safe_dump(dict(report), sort_keys=False, allow_unicode=True)
    return text


def _run(results: Results) -> dict[str, Any]:
    config, wall = results.config, results.wall
    duration = wall.get("duration_s")
    return {
        "uid": _digest(config.to_json(), wall),
        "eid": config.workload_hash,
        "description": f"{config.backend} on {config.workload} ({config.engine})",
        "keywords": ["marsbench", config.engine, config.backend, config.workload],
        "time": {
            "start": wall.get("started"),
            "end": wall.get("ended"),
            "duration": None if duration is None else f"PT{duration}S",
        },
    }


def _stack(results: Results) -> list[dict[str, Any]]:
    config = results.config
    scheduler = _component("scheduler", {"kind": "generic", "tool": config.backend}, results)
    scheduler["native"] = {"args": dict(config.params)}
    engine = _component("engine", _engine(results), results)
    engine["native"] = {"args": dict(config.settings), "config": dict(config.hardware)}
    return [engine, scheduler]


def _engine(results: Results) -> dict[str, Any]:
    """The inference engine in their words, or, where its GPU is not known, a generic one."""
    hardware = results.config.hardware
    if not {"model", "gpu"} <= hardware.keys():
        return {"kind": "generic", "tool": "vllm"}
    parallel = int(hardware.get("tensor_parallel") or 1)
    return {
        "kind": "inference_engine",
        "tool": "vllm",
        "role": "replica",
        "model": {"name": hardware["model"]},
        "accelerator": {
            "model": hardware["gpu"],
            "count": parallel,
            "parallelism": {"dp": 1, "ep": 1, "pp": 1, "tp": parallel},
        },
    }


def _component(label: str, standardized: dict[str, Any], results: Results) -> dict[str, Any]:
    versions = results.config.code.versions
    tool = "vllm" if standardized["tool"] == "vllm" else "marsbench"
    config = results.config
    facts = (standardized, dict(config.params), dict(config.settings), dict(config.hardware))
    return {
        "metadata": {"label": label, "cfg_id": _digest(*facts)},
        "standardized": {**standardized, "tool_version": versions.get(tool) or "unknown"},
    }


def _load(results: Results) -> dict[str, Any] | None:
    prompts = _known(rnd.prompt_tokens for rnd in results.submitted)
    outputs = _known(rnd.output_tokens for rnd in results.submitted)
    turns = _known(session.num_rounds for session in results.own_sessions)
    if not prompts:
        return None  # the schema wants an input length, and there was no input
    config = results.config
    return {
        "metadata": {"cfg_id": config.workload_hash, "description": config.workload},
        "standardized": {
            "tool": "marsbench",
            "tool_version": config.code.versions.get("marsbench") or "unknown",
            "source": "unknown",
            "input_seq_len": _length(prompts),
            "output_seq_len": _length(outputs),
            "multi_turn": {"enabled": True, "max_turns": _length(turns)},
        },
        "native": {
            "config": {"workload": dict(config.workload_meta), "marsbench": results.facts},
        },
    }


def _length(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    mean = float(np.mean(values))
    return {
        "distribution": "other",
        "value": mean,
        "min": int(min(values)),
        "max": int(max(values)),
    }


def _aggregate(results: Results) -> dict[str, Any]:
    sent, done = results.submitted, results.completed
    seconds = results.summary["makespan_s"]
    tokens = tokens_of(done)
    return {
        "requests": {
            "total": len(sent),
            "incomplete": len(sent) - len(done),
            "input_length": _statistics("count", (rnd.prompt_tokens for rnd in sent)),
            "output_length": _statistics("count", (rnd.output_tokens for rnd in done)),
        },
        "latency": {
            "time_to_first_token": _statistics("s", (rnd.ttft_submit_s for rnd in done)),
            "normalized_time_per_output_token": _statistics("s/token", map(_normalized, done)),
            "time_per_output_token": _statistics("s/token", (rnd.tpot_s for rnd in done)),
            "request_latency": _statistics("s", map(latency_s, done)),
        },
        "throughput": {
            "input_token_rate": _rate("tokens/s", tokens.prompts, seconds),
            "output_token_rate": _rate("tokens/s", tokens.outputs, seconds),
            "total_token_rate": _rate("tokens/s", tokens.both, seconds),
            "request_rate": _rate("queries/s", len(done), seconds),
        },
    }


def _sessions(results: Results) -> dict[str, Any]:
    counts = results.summary["sessions"]
    own = results.own_sessions
    tokens = _tokens(results)
    return {
        "total": counts["arrived"],
        "succeeded": counts["finished"],
        "failed": counts["failed"],
        "total_events": sum(session.num_rounds for session in results.sessions),
        "session_rate": _rate("queries/s", counts["finished"], results.summary["makespan_s"]),
        "session_duration": _statistics("s", (session.completion_s for session in own)),
        "events_per_session": _statistics("count", (session.num_rounds for session in own)),
        "input_tokens_per_session": _statistics("count", (one.prompts for one in tokens)),
        "output_tokens_per_session": _statistics("count", (one.outputs for one in tokens)),
    }


def _tokens(results: Results) -> list[Tokens]:
    """Tokens of all rounds that each session sent and got; sub-agents' are their own."""
    by_session: dict[str, list[RoundRecord]] = {}
    for rnd in results.completed:
        by_session.setdefault(rnd.session, []).append(rnd)
    return [tokens_of(by_session.get(one.session, [])) for one in results.own_sessions]


def _observability(results: Results) -> dict[str, Any] | None:
    used = results.summary["kv_usage"]["used_share"]
    mean, peak = used["mean"], used["peak"]
    if mean is None or peak is None:
        return None
    usage = {"units": "fraction", "mean": mean, "max": peak}
    return {"components": [{"component_label": "engine", "aggregate": {"kv_cache_usage": usage}}]}


def _normalized(rnd: RoundRecord) -> float | None:
    seconds = latency_s(rnd)
    return None if seconds is None or not rnd.output_tokens else seconds / rnd.output_tokens


def _rate(units: str, amount: float | None, seconds: float | None) -> dict[str, Any] | None:
    mean = per_second(amount, seconds)
    return None if mean is None else {"units": units, "mean": mean}


def _statistics(units: str, values: Iterable[float | None]) -> dict[str, Any] | None:
    known = _known(values)
    if not known:
        return None
    quantiles = np.percentile(known, list(QUANTILES.values()))
    return {
        "units": units,
        "mean": float(np.mean(known)),
        "stddev": float(np.std(known)),
        "min": float(min(known)),
        **{name: float(value) for name, value in zip(QUANTILES, quantiles, strict=True)},
        "max": float(max(known)),
    }


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _digest(*facts: Any) -> str:
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _without_nulls(value: Any) -> Any:
    """Their writer leaves out what is None; ours does too, at any depth."""
    if isinstance(value, Mapping):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
