"""What each part of MARS is worth, how often it ran, and how long its modes lasted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from marsbench.judge.compare.figures import num_asked, num_differed
from marsbench.judge.intervals import mean
from marsbench.judge.paper.parts import PARTS
from marsbench.judge.sweep.folder import Result
from marsbench.text.decisions import DECIDED
from marsbench.text.numbers import mean_count, percent, times
from marsbench.text.tables import Table
from studies.map.standing import Standing, regret

WHOLES = ("mars", "mars-published")
MODED = ("mars", "mars-published", "mars-released")
NOBODY = "nobody waits"
MODES = ("packing", "gpu_heavy_first", "small_first")
"""Of `mars`: KV is congested, tools are, neither is."""


class Worth(NamedTuple):
    """What MARS loses without a part, at a place: its mean latency over that of the whole, and
    goodput(3) in points; `ran`: how often the part decided something in a run of the whole.
    """

    one: Standing
    whole: str
    part: str
    times: float
    points: float
    seeds: int
    ran: Mapping[str, tuple[float | None, float | None]]

    @property
    def exercised(self) -> bool:
        """Runs are exact: a ratio other than 1 shows that the part did something."""
        counts = [count for count, _ in self.ran.values()]
        return self.times != 1 or None in counts or any(counts)

    @property
    def told(self) -> str:
        return times(self.times, 3) if self.exercised else "not exercised"


def worths(standings: Sequence[Standing]) -> list[Worth]:
    """Every part of every reading of MARS, wherever it was left out."""
    return [
        found
        for one in standings
        for whole in WHOLES
        for label, decisions in PARTS.items()
        if (found := _worth(one, whole, label.removeprefix("mars-no-"), decisions)) is not None
    ]


def _worth(one: Standing, whole: str, part: str, decisions: Sequence[str]) -> Worth | None:
    base, without = one.points.get(whole), one.points.get(f"{whole}-no-{part}")
    if base is None or without is None:
        return None
    found = regret(base, without)
    ran = {n: (base.mean(num_differed(n)), base.mean(num_asked(n))) for n in decisions}
    return Worth(one, whole, part, found.times, found.points, found.seeds, ran)


def worth_table(found: Sequence[Worth]) -> Table:
    """A row a place and reading, a column a part."""
    parts = list(dict.fromkeys(one.part for one in found))
    rows: dict[tuple[str, str], dict[str, Worth]] = {}
    for one in found:
        rows.setdefault((one.one.world.title, one.whole), {})[one.part] = one
    told = [
        (title, f"`{whole}`", *(_cell(own.get(part)) for part in parts))
        for (title, whole), own in rows.items()
    ]
    return Table(("world", "of", *(f"no {part}" for part in parts)), told, "llr")


def _cell(one: Worth | None) -> str | None:
    return None if one is None else f"{one.told} ({-100 * one.points:+.0f})"


def ran_table(standings: Sequence[Standing]) -> Table:
    """How often each decision was other than vLLM's, by the pauses' mix: means over its cells."""
    names = list(dict.fromkeys(name for own in PARTS.values() for name in own))
    groups: dict[tuple[str, str], list[Standing]] = {}
    for one in standings:
        for whole in WHOLES:
            if whole in one.points:
                groups.setdefault((one.world.pauses, whole), []).append(one)
    rows = [
        (pauses, f"`{whole}`", *(_ran(own, whole, name) for name in names))
        for (pauses, whole), own in groups.items()
    ]
    return Table(("pauses", "of", *(DECIDED[name] for name in names)), rows, "llr")


def _ran(standings: Sequence[Standing], whole: str, name: str) -> str | None:
    """ "3 of 120"."""
    points = [one.points[whole] for one in standings]
    counts, asked = (
        [value for p in points if (value := p.mean(figure)) is not None]
        for figure in (num_differed(name), num_asked(name))
    )
    return f"{mean_count(mean(counts))} of {mean_count(mean(asked))}" if counts and asked else None


Shares = Mapping[str, float]
"""Of a run's length, by mode."""


def shares_of(result: Result) -> Shares:
    """How long each mode of the controller lasted; the rest of the run nobody waited.

    The run is as long as its last session takes, those in flight at its start among them.
    """
    length = float(result.run.table("sessions")["ended_at"].max())
    told = {mode: spent / length for mode, spent in (result.run.modes() or {}).items()}
    return {**told, NOBODY: 1.0 - math.fsum(told.values())}


def mean_shares(runs: Sequence[Shares]) -> Shares:
    """The mean over runs; a mode that a run was never in counts as nothing there."""
    total: Counter[str] = Counter()
    for run in runs:
        total.update(run)
    return {mode: spent / len(runs) for mode, spent in total.items()}


def modes_table(shares: Mapping[tuple[str, str], Shares]) -> Table:
    """A row a world and backend. shares: by both."""
    seen = {mode for own in shares.values() for mode in own}
    names = [*MODES, *sorted(seen - {*MODES, NOBODY}), NOBODY]
    rows = [
        (title, f"`{backend}`", *(percent(own.get(mode, 0.0), 1) for mode in names))
        for (title, backend), own in shares.items()
    ]
    return Table(("world", "of", *(name.replace("_", " ") for name in names)), rows, "llr")


def modes_told(shares: Mapping[tuple[str, str], Shares]) -> Iterator[str]:
    """Where each congested mode of each backend fired, in a sentence."""
    for backend in MODED:
        own = {title: found for (title, name), found in shares.items() if name == backend}
        for mode in MODES[:2]:
            fired = {title: found[mode] for title, found in own.items() if found.get(mode)}
            if own:
                yield f"`{backend}`, {mode.replace('_', ' ')}: {_fired(fired, len(own))}."


def _fired(fired: Mapping[str, float], of: int) -> str:
    if not fired:
        return f"in none of {of} cells"
    most = max(fired, key=lambda title: fired[title])
    return f"in {len(fired)} of {of} cells, most of the time in {most} ({percent(fired[most], 1)})"
