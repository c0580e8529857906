"""One run of the sweep as a row of the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from marsbench.judge.sweep.folder import Result
from studies.pages import results_of

LINE = "clairvoyant"
"""The router that knows what none can."""
PLAIN = "fcfs"


class Spot(NamedTuple):
    """Where routers and schedulers stand against each other; load: of each replica's capacity."""

    workload: str
    load: float
    replicas: int

    @property
    def title(self) -> str:
        """ "short at 0.9, 4 replicas"."""
        return f"{self.workload} at {self.load:g}, {self.replicas} replicas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Shares of 1, seconds, tokens, blocks; None where it was not measured.

    hit_share: of all prompt tokens, those found on the GPU where the round went; endless_share:
        those that one cache without end in place of all would have had.
    """

    workload: str
    load: float
    replicas: int
    router: str
    backend: str
    seed: int | None
    goodput: float | None
    latency_s: float | None
    ttft_p50_s: float | None
    ttft_p99_s: float | None
    hit_share: float | None
    endless_share: float | None
    busy_cv: float | None
    moves: int
    moved_tokens: int
    evicted_blocks: int | None

    @property
    def spot(self) -> Spot:
        """Where it stands, its router and backend apart."""
        return Spot(self.workload, self.load, self.replicas)


def read(folder: Path) -> list[Row]:
    """Of the runs with several replicas. Raises UsageError where there is none."""
    return [_row(result) for result in results_of(folder, "make routers", _is_of_several)]


def _is_of_several(result: Result) -> bool:
    return "replicas" in result.summary


def _row(result: Result) -> Row:
    place, summary = result.place, result.summary
    several = summary["replicas"]
    goodput = next(iter(summary["goodput"].values()))
    ttft, evicted = summary["ttft"]["ready"]["all"], several.get("evicted_blocks")
    return Row(
        workload=place["workload"],
        load=round((place["load"] or 0.0) / place["replicas"], 6),
        replicas=place["replicas"],
        router=place["router"],
        backend=place["backend"],
        seed=place["seed"],
        goodput=goodput["share"],
        latency_s=summary["latency"]["mean"],
        ttft_p50_s=ttft["p50"],
        ttft_p99_s=ttft["p99"],
        hit_share=summary["prefix_hit_rate"]["all"],
        endless_share=several.get("endless_hit_rate"),
        busy_cv=several["busy_cv"],
        moves=several["moves"],
        moved_tokens=several["moved_recomputed_tokens"],
        evicted_blocks=None if evicted is None else sum(evicted),
    )


def spots(rows: Iterable[Row]) -> list[Spot]:
    """Every place, each once, in the order of workload, load and number of replicas."""
    return sorted({row.spot for row in rows})


def at(rows: Iterable[Row], spot: Spot, backend: str | None = None) -> dict[str, Row]:
    """By router the rows of a place, of one backend where it is named; of a seed the first."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.spot == spot and backend in (None, row.backend):
            found.setdefault(row.router, row)
    return found
