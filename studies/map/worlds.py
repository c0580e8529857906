"""Where a cell of the map lies: what its sessions and its tool host are like, as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from marsbench.core.session import Session, ToolCall
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import load_recipe
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.folder import Result

SAMPLE = 200
"""Sessions of a recipe that its figures are taken from."""
M = 1_000_000


class World(NamedTuple):
    """The axes of the map.

    pauses: the tool mix. pause_s: mean seconds that a tool call takes alone. load: rate x mean GPU
    seconds of a session alone. kv_tokens: that the KV cache holds. cores: of the tool host.
    tool_load: CPU-seconds of tools that arrive a second, per core; at 1 the cores just keep up.
    sizes: the recipe. spread: standard deviation of first prompts ÷ their mean.
    """

    pauses: str
    pause_s: float
    load: float
    kv_tokens: int
    cores: int
    tool_load: float
    sizes: str
    spread: float

    @property
    def title(self) -> str:
        """ "recorded, load 1, 0.72 M tokens of KV"."""
        told = [self.pauses, f"load {self.load:g}", f"{kv(self.kv_tokens)} of KV"]
        return ", ".join([*told, *self.cuts])

    @property
    def cuts(self) -> list[str]:
        """What sets it apart from the map's own plane, in words."""
        cores = [] if self.cores == CORES else [f"{self.cores} tool cores"]
        return cores + ([] if self.sizes == SIZES else [self.sizes])


CORES, SIZES = 24, "ilr-1"
"""Of the map's plane; what differs is a cut."""


def kv(tokens: int) -> str:
    """ "0.72 M tokens"."""
    return f"{tokens / M:.2f} M tokens"


class Bodies(NamedTuple):
    """What the sessions of a recipe with a tool mix are like, whatever their arrivals."""

    pause_s: float
    cpu_s: float
    spread: float


def world_of(cell: Cell, result: Result) -> World:
    """Where a run lies. The rate is that of its seed."""
    config, meta = result.run.config, result.run.config.workload_meta
    bodies = bodies_of(cell.workload_path, str(meta["tools"]))
    cores = int(config.settings["tool_cores"])
    return World(
        pauses=str(meta["tools"]),
        pause_s=bodies.pause_s,
        load=float(meta["load"]),
        kv_tokens=int(config.settings["kv_blocks"]) * int(config.settings["block_size"]),
        cores=cores,
        tool_load=float(meta["rate"]) * bodies.cpu_s / cores,
        sizes=Path(cell.workload.name).stem,
        spread=bodies.spread,
    )


@cache
def bodies_of(recipe: str, tools: str) -> Bodies:
    """Of the first sessions of seed 1; sub-agents count with their parents."""
    knobs = Knobs(sessions=SAMPLE, tools=tools, seed=1, rate=1.0)
    sessions = make_workload(load_recipe(recipe), knobs).sessions
    own = [call for session in sessions for call in _calls(session) if call.child is None]
    firsts = [float(session.rounds[0].append_tokens) for session in sessions]
    mean = math.fsum(firsts) / len(firsts)
    deviation = math.sqrt(math.fsum((n - mean) ** 2 for n in firsts) / len(firsts))
    return Bodies(
        pause_s=math.fsum(call.alone_s for call in own) / max(1, len(own)),
        cpu_s=math.fsum(call.cpu_s for call in own) / len(sessions),
        spread=deviation / mean,
    )


def _calls(session: Session) -> Iterator[ToolCall]:
    for one in session.walk():
        for rnd in one.rounds:
            yield from rnd.tools


FEATURES: Mapping[str, str] = {
    "pause_s": "mean pause",
    "load": "load",
    "kv_tokens": "KV",
    "tool_load": "tool load",
    "spread": "spread of first prompts",
}
"""The numbers of a world that a border may run along, and what they are called."""


def told(feature: str, value: float) -> str:
    """ "mean pause < 5.1 s" without the sign: the value in its unit."""
    if feature == "pause_s":
        return f"{value:.3g} s"
    return kv(int(value)) if feature == "kv_tokens" else f"{value:.2g}"
