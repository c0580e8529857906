"""What a capacity search is asked, and what its probes play."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from marsbench.core.backends import choose
from marsbench.core.metrics.goodput import check_alpha
from marsbench.core.workload.arrivals import Arrivals
from marsbench.core.workload.recipe import load_recipe, recipe_names
from marsbench.errors import UsageError
from marsbench.judge.sweep.cells import Cell, cells_of
from marsbench.judge.sweep.options import CapacityOptions
from marsbench.judge.sweep.spec import SweepFile
from marsbench.option import assignments
from marsbench.problems import first_problem
from marsbench.trees.imported import imported


class Probe(NamedTuple):
    """So many sessions at a rate, or on lanes that are kept busy."""

    sessions: int
    rate: float | None = None
    lanes: int | None = None

    def __str__(self) -> str:
        at = f"{self.lanes} lanes" if self.rate is None else f"{self.rate:g} sessions/s"
        return f"{self.sessions} sessions, {at}"

    @property
    def mark(self) -> str:
        """What the names of its cells say of it beside a rate."""
        lanes = "" if self.lanes is None else f"lanes{self.lanes}-"
        return f"{lanes}sessions{self.sessions}"

    def told(self) -> dict[str, Any]:
        """Its fields that say something, as JSON."""
        return {name: value for name, value in self._asdict().items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched: everything of a sweep but the rate. `file` holds one backend, one
    workload without rates or loads, and the seeds.

    sessions: of every probe; None is as many as it takes. agents: how many are to be served at
    once, for a search of GPUs instead of a rate.
    """

    file: SweepFile
    share: float
    tolerance: float
    sessions: int | None = None
    agents: int | None = None
    jobs: int | None = None
    folder: Path

    @property
    def alpha(self) -> float:
        return self.file.alphas[0]

    def text(self) -> str:
        """What makes two searches the same."""
        asked = {"share": self.share, "tolerance": self.tolerance}
        more: dict[str, Any] = {"sessions": self.sessions, "agents": self.agents}
        tree = imported()
        if tree is not None and not tree.is_pinned:
            more["vllm"] = tree.identity
        return json.dumps({**asked, **more, "sweep": self._product()}, indent=2)

    def _product(self) -> dict[str, Any]:
        return self.file.model_dump(mode="json", exclude={"refine", "parts"})

    def cells(self, probe: Probe) -> list[Cell]:
        """The runs of all seeds of a probe."""
        (workload,) = self.file.workloads
        if probe.rate is None:
            turned: dict[str, Any] = {"arrivals": f"closed:{probe.lanes}"}
        else:
            turned = {"rates": (probe.rate,)}
        at = workload.model_copy(update={**turned, "sessions": probe.sessions})
        file = self.file.model_copy(update={"workloads": (at,)})
        return [replace(cell, mark=probe.mark) for cell in cells_of(file, self.folder)]


def search_of(options: CapacityOptions) -> Search:
    """The options of `capacity` as one value. Raises UsageError for what cannot be."""
    choice, workload = choose(options.backend, assignments(options.set)), str(options.workload)
    check_alpha(options.alpha)
    if workload not in recipe_names() and not Path(workload).suffix:
        load_recipe(workload)  # says which recipe was meant
    try:
        file = SweepFile.model_validate(
            {
                "backends": [{"name": options.backend, "set": dict(choice.settings)}],
                "workloads": [_traffic(options, workload)],
                "seeds": list(range(1, options.seeds + 1)),
                "alphas": [options.alpha],
                "hardware": [_hardware(options)],
                "engines": [_engine(options)],
            }
        )
    except ValidationError as error:
        raise UsageError(first_problem(error)) from error
    return Search(
        file=file,
        sessions=options.sessions,
        agents=_agents(options),
        share=options.share,
        tolerance=options.tolerance,
        jobs=options.jobs,
        folder=Path.cwd(),
    )


def _traffic(options: CapacityOptions, name: str) -> dict[str, object]:
    return _only(
        name=name, arrivals=options.arrivals, tools=options.tools, prefixes=options.prefixes
    )


def _hardware(options: CapacityOptions) -> dict[str, object]:
    return _only(
        gpu=options.gpu,
        model=options.model,
        precision=options.precision,
        kv_dtype=options.kv_dtype,
        profile=options.hardware,
    )


def _engine(options: CapacityOptions) -> dict[str, object]:
    return _only(
        profile=options.engine_profile,
        block_size=options.block_size,
        kv_blocks=options.kv_blocks,
        step_budget=options.step_budget,
        max_seqs=options.max_seqs,
        memory_fraction=options.memory_fraction,
        tool_cores=options.tool_cores,
    )


def _only(**fields: object) -> dict[str, object]:
    """The fields of a sweep file's entry that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _agents(options: CapacityOptions) -> int | None:
    """How many agents are to be served at once, where GPUs are asked for. Raises UsageError."""
    arrivals = Arrivals.parse(options.arrivals or "poisson")
    if arrivals.lanes is not None and not options.gpus:
        raise UsageError(
            f"Arrivals 'closed:{arrivals.lanes}' have no rate to search; give --gpus to ask how "
            f"many GPUs {arrivals.lanes} agents need, or choose other arrivals."
        )
    if options.gpus and arrivals.lanes is None:
        raise UsageError(
            "--gpus asks how many GPUs a number of agents needs; say how many are at work at "
            "once, for example --gpus --arrivals closed:200."
        )
    return arrivals.lanes
