"""The knobs of a workload, as a user turns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from marsbench.errors import UsageError, unknown_name
from marsbench.option import ADVANCED, WORKLOAD, Option

LoadOn = Literal["reference", "this"]

FEWEST = 2_048
"""The smallest window: three quarters hold half of it, its summaries and what asks for them."""


# No slots: the options of a run are this, and the options of other rooms.
@dataclass(frozen=True, kw_only=True)
class Knobs:
    """What a user turned; None is the recipe's own value.

    rate: sessions per second. load: rate x mean isolated GPU seconds, on the default hardware and
    settings, so that other hardware meets the same traffic ("reference"), or on those of the run
    ("this"): load_on. prefixes: how many variants
    of the shared prefix there are (1 is the best case for a cache, 0 shares nothing).
    warm_start: how many times rate x mean time alone are in flight at the start (`warm.py`); None
    starts empty. tenants: whose sessions they are (`tenants.py`). context_paging: the window that
    contexts are paged in (`paging.py`).
    """

    sessions: Annotated[int | None, Option("N", "How many sessions", WORKLOAD)] = None
    rate: Annotated[float | None, Option("R", "Sessions a second", WORKLOAD)] = None
    load: Annotated[
        float | None, Option("RHO", "Rate x mean GPU s of a session alone", WORKLOAD)
    ] = None
    load_on: Annotated[
        LoadOn | None,
        Option("WHICH", "Its hardware: reference, this (reference)", WORKLOAD, typed=str),
    ] = None
    arrivals: Annotated[
        str | None, Option("KIND", "poisson, fixed, gamma:CV, burst:N, closed:N", WORKLOAD)
    ] = None
    seed: Annotated[int | None, Option("S", "Of the sessions and their arrivals", WORKLOAD)] = None
    tools: Annotated[
        str | None, Option("MIX", "Pauses: autonomous, recorded, contended, …", WORKLOAD)
    ] = None
    warm_start: Annotated[
        float | None, Option("X", "In flight at first: X x rate x mean s alone", WORKLOAD)
    ] = None
    prefixes: Annotated[int | None, Option("K", "Variants of the shared prefix", WORKLOAD)] = None
    tenants: Annotated[
        str | None, Option("KIND", "even:N, greedy:N, long:N, shares:5,3,2", WORKLOAD)
    ] = None
    context_paging: Annotated[
        int | None, Option("W", "Page contexts in a window, as MemGPT", ADVANCED)
    ] = None

    def __post_init__(self) -> None:
        if self.load_on is not None and self.load_on not in get_args(LoadOn):
            raise unknown_name("hardware for --load-on", self.load_on, get_args(LoadOn))
        if self.rate is not None and self.load is not None:
            raise UsageError(
                "A rate and a load were given, and one follows from the other: give --rate "
                "(sessions per second) or --load (1 = the engine just keeps up)."
            )
        _require(self.rate is None or 0 < self.rate < 1e9, "rate", self.rate, "above 0", "0.05")
        _require(self.load is None or 0 < self.load < 1e9, "load", self.load, "above 0", "0.8")
        _require(self.sessions is None or self.sessions >= 1, "sessions", self.sessions,
                 "at least 1", "30")  # fmt: skip
        _require(self.seed is None or self.seed >= 0, "seed", self.seed, "at least 0", "1")
        _require(self.prefixes is None or self.prefixes >= 0, "prefixes", self.prefixes,
                 "at least 0", "50")  # fmt: skip
        _require(self.warm_start is None or 0 < self.warm_start < 1e3, "warm-start",
                 self.warm_start, "above 0", "1")  # fmt: skip
        _require(self.context_paging is None or self.context_paging >= FEWEST, "context-paging",
                 self.context_paging, f"at least {FEWEST} tokens", "8192")  # fmt: skip


def _require(holds: bool, knob: str, given: object, allowed: str, example: str) -> None:
    if not holds:
        raise UsageError(
            f"--{knob} must be {allowed}, not {given}; for example --{knob} {example}."
        )
