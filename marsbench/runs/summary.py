"""The summary of a run: what ran, whether it counts, and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, cast

from marsbench.core.metrics.cache import HitRate
from marsbench.core.metrics.summary import Summary
from marsbench.core.metrics.swaps import Swaps
from marsbench.runs.cautions import Caution, CautionNote, cautions_of
from marsbench.runs.config import RunConfig
from marsbench.runs.failures import MAX_FAILED, SETTING, Failure, count, in_words, too_many

FORMAT = 1
CAP_SEARCH = "cap_search"
"""The setting of a run that searched its cap: goodput by cap, and the α it was searched for."""

SCHEDULER_CLS = "scheduler_cls"
"""The setting of a run that no backend decided: the scheduler class in its place."""


class Decision(TypedDict):
    """Times asked, and times answered other than vLLM would have (docs/metrics.md).

    reasons: of sessions held back at the entrance, how many for each reason that was given.
    """

    asked: int
    differed: int
    reasons: NotRequired[Mapping[str, int]]


class _Failures(TypedDict, total=False):
    failures: list[Failure]


Decisions = Mapping[str, Decision]
"""By what is decided; `decisions.json` holds them."""


class RunSummary(Summary):
    """summary.json: the figures, with what they are of and whether they may be used.

    cap_search: goodput of every cap that the run tried before it took its own; None where it
    searched none. decisions: None where they were not counted. failures: by reason, where any
    session failed.
    reasons says why a run is not valid, one sentence each; it is empty when it is.
    """

    marsbench_summary: int
    backend: str
    params: Mapping[str, Any]
    engine: str
    workload: str
    workload_hash: str
    seed: int | None
    hardware: Mapping[str, Any]
    code: str
    valid: bool
    reasons: list[str]
    cautions: list[CautionNote]
    cap_search: Mapping[str, Any] | None
    decisions: Decisions | None
    failures: NotRequired[list[Failure]]


def read_back(record: dict[str, Any]) -> RunSummary:
    """A summary as it was written; what its marsbench did not measure yet is None.

    Before swaps were told apart, evicted blocks and hit rates included them. Before there was a
    backlog, the steady window was another.
    """
    for name in ("decisions", "cap_search"):
        record.setdefault(name, None)
    record.setdefault("cpu_calls", {"mean": None, "peak": None})
    record.setdefault("swaps", dict.fromkeys(Swaps.__annotations__))
    if "backlog" not in (record.get("steady") or {}):
        record["steady"] = None
    for name in HitRate.__annotations__:
        record["prefix_hit_rate"].setdefault(name, None)
    return cast("RunSummary", record)


def run_summary(
    config: RunConfig,
    figures: Summary,
    decisions: Decisions | None = None,
    reasons: Sequence[str] = (),
    cautions: Sequence[CautionNote] = (),
    failures: Sequence[Failure] = (),
) -> RunSummary:
    """The summary of a run with these figures; `reasons` and `cautions` are added to its own."""
    invalid = [*reasons, *_reasons(config, figures)]
    failed = _too_many_failed(config, figures)
    if failed is not None:
        invalid.append(f"{failed}: {in_words(failures)}" if failures else failed)
    elif failures:
        number = count(figures["sessions"]["failed"], "session")
        note = Caution.SESSIONS_FAILED.note(number=number, why=in_words(failures))
        cautions = (*cautions, note)
    failed_why: _Failures = {"failures": list(failures)} if failures else {}
    return {
        "marsbench_summary": FORMAT,
        "backend": config.backend,
        "params": config.params,
        "engine": config.engine,
        "workload": config.workload,
        "workload_hash": config.workload_hash,
        "seed": config.seed,
        "hardware": config.hardware,
        "code": config.code.label,
        "valid": not invalid,
        "reasons": invalid,
        "cautions": [*config.known_cautions(), *cautions, *cautions_of(figures)],
        "cap_search": config.settings.get(CAP_SEARCH),
        **figures,
        "decisions": decisions,
        **failed_why,
    }


def _too_many_failed(config: RunConfig, figures: Summary) -> str | None:
    bound, counts = config.settings.get(SETTING, MAX_FAILED), figures["sessions"]
    return too_many(counts["failed"], counts["arrived"], bound)


def _reasons(config: RunConfig, figures: Summary) -> list[str]:
    counts, offered = figures["sessions"], config.offered_sessions
    reasons = []
    if counts["arrived"] == 0:
        reasons.append("no session arrived")
    elif offered is not None and counts["arrived"] != offered:
        reasons.append(f"{counts['arrived']} of {offered} sessions arrived")
    if counts["unfinished"]:
        reasons.append(f"{counts['unfinished']} of {counts['arrived']} sessions had not ended")
    return reasons
