"""From a recipe and knobs to a workload: bodies first, then arrivals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from marsbench.core.session import Session
from marsbench.core.workload.arrivals import Arrivals
from marsbench.core.workload.draws import stream
from marsbench.core.workload.files import Workload
from marsbench.core.workload.generate import Generator
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.recipe import Defaults, Recipe
from marsbench.core.workload.tenants import with_tenants
from marsbench.errors import UsageError

GpuSeconds = Callable[[Sequence[Session]], float]
"""The mean seconds that these sessions keep the engine busy, each alone on it."""

Track = Callable[[Sequence[int]], Iterable[int]]
"""Passes the numbers on and shows how far they are."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How sessions arrive: at a rate, at a rate that gives a load, or on lanes."""

    arrivals: Arrivals
    seed: int
    rate: float | None = None
    load: float | None = None

    @classmethod
    def of(cls, knobs: Knobs, defaults: Defaults) -> Schedule:
        """The knobs over the defaults. Raises UsageError when they contradict each other."""
        arrivals = Arrivals.parse(defaults.arrivals if knobs.arrivals is None else knobs.arrivals)
        seed = defaults.seed if knobs.seed is None else knobs.seed
        if arrivals.lanes is None:
            if knobs.rate is None and knobs.load is None:
                return cls(arrivals, seed, defaults.rate, defaults.load)
            return cls(arrivals, seed, knobs.rate, knobs.load)
        if knobs.rate is not None or knobs.load is not None:
            raise UsageError(
                f"Arrivals 'closed:{arrivals.lanes}' have no rate or load, for a session begins "
                f"when a lane is free: leave out --rate and --load, or choose other arrivals."
            )
        return cls(arrivals, seed)

    def times(
        self, bodies: Sequence[Session], gpu_s: GpuSeconds | None
    ) -> tuple[list[float], float | None]:
        """Every session's arrival in seconds, and the rate in sessions per second."""
        rng = stream(self.seed, "arrivals")
        if self.arrivals.lanes is not None:
            return self.arrivals.times(len(bodies), 1.0, rng), None
        rate = self._rate(bodies, gpu_s)
        return self.arrivals.times(len(bodies), rate, rng), rate

    def _rate(self, bodies: Sequence[Session], gpu_s: GpuSeconds | None) -> float:
        if self.rate is not None:
            return self.rate
        if gpu_s is None or self.load is None:
            raise UsageError(
                f"A load of {self.load:g} needs an engine to time the sessions on, and there is "
                f"none here: give --rate in sessions per second instead."
            )
        return self.load / gpu_s(bodies)


def make_workload(
    recipe: Recipe,
    knobs: Knobs | None = None,
    gpu_s: GpuSeconds | None = None,
    track: Track | None = None,
) -> Workload:
    """The workload of a recipe; the same arguments always give the same one.

    gpu_s is needed when a load is asked for and the arrivals are not closed.
    Raises UsageError when a knob cannot be.
    """
    knobs, defaults = knobs or Knobs(), recipe.defaults
    schedule = Schedule.of(knobs, defaults)
    tools = defaults.tools if knobs.tools is None else knobs.tools
    prefixes = defaults.prefixes if knobs.prefixes is None else knobs.prefixes
    generator = Generator(recipe, tools, prefixes, schedule.seed)
    numbers = range(defaults.sessions if knobs.sessions is None else knobs.sessions)
    bodies = [generator.body(i) for i in (track(numbers) if track else numbers)]
    meta = {"recipe": recipe.name, "source": recipe.source, "tools": tools, "prefixes": prefixes}
    workload = arrange(recipe.name, bodies, schedule, gpu_s, meta)
    return with_tenants(workload, knobs.tenants)


def arrange(
    name: str,
    bodies: Sequence[Session],
    schedule: Schedule,
    gpu_s: GpuSeconds | None,
    meta: dict[str, object],
) -> Workload:
    """A workload of these bodies, arriving on this schedule; `meta` is extended by it."""
    times, rate = schedule.times(bodies, gpu_s)
    sessions = tuple(replace(b, arrival_s=t) for b, t in zip(bodies, times, strict=True))
    arrivals = {
        "arrivals": str(schedule.arrivals),
        "seed": schedule.seed,
        "load": schedule.load,
        "rate": rate,
    }
    return Workload(name, sessions, schedule.arrivals.lanes, {**meta, **arrivals})
