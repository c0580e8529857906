"""What a capacity search is asked, and what its probes play."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from marsbench.replicas.options import DEFAULT, MOST, ReplicaOptions, divided, fleet_of
from marsbench.replicas.registry import choose_router
from marsbench.text.numbers import count
from marsbench.trees.imported import imported


class Probe(NamedTuple):
    """So many sessions at a rate, or on lanes that are kept busy; on how many replicas, where
    their number is searched.
    """

    sessions: int
    rate: float | None = None
    lanes: int | None = None
    replicas: int | None = None

    def __str__(self) -> str:
        at = f"{self.lanes} lanes" if self.rate is None else f"{self.rate:g} sessions/s"
        on = "" if self.replicas is None else f", {count(self.replicas, 'replica')}"
        return f"{self.sessions} sessions, {at}{on}"

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
    once, for a search of GPUs instead of a rate. span: the fewest and the most replicas behind a
    router that are tried for them; None where each GPU is played alone.
    """

    file: SweepFile
    share: float
    tolerance: float
    sessions: int | None = None
    agents: int | None = None
    span: tuple[int, int] | None = None
    jobs: int | None = None
    folder: Path

    @property
    def alpha(self) -> float:
        return self.file.alphas[0]

    def text(self) -> str:
        """What makes two searches the same."""
        asked = {"share": self.share, "tolerance": self.tolerance}
        more: dict[str, Any] = {"sessions": self.sessions, "agents": self.agents}
        if self.span is not None:
            more["replicas"] = self.span
        tree = imported()
        if tree is not None and not tree.is_pinned:
            more["vllm"] = tree.identity
        return json.dumps({**asked, **more, "sweep": self._product()}, indent=2)

    def _product(self) -> dict[str, Any]:
        """Without what is left at its default and a search of before did not have."""
        new = {name for name in ("replicas", "routers") if name not in self.file.model_fields_set}
        return self.file.model_dump(mode="json", exclude={"refine", "parts", *new})

    def cells(self, probe: Probe) -> list[Cell]:
        """The runs of all seeds of a probe."""
        (workload,) = self.file.workloads
        if probe.rate is None:
            turned: dict[str, Any] = {"arrivals": f"closed:{probe.lanes}"}
        else:
            turned = {"rates": (probe.rate,)}
        at = workload.model_copy(update={**turned, "sessions": probe.sessions})
        several = {} if probe.replicas is None else {"replicas": (probe.replicas,)}
        file = self.file.model_copy(update={"workloads": (at,), **several})
        return [replace(cell, mark=probe.mark) for cell in cells_of(file, self.folder)]


def search_of(options: CapacityOptions) -> Search:
    """The options of `capacity` as one value. Raises UsageError for what cannot be."""
    of_router, of_backend = divided(assignments(options.set))
    choice, workload = choose(options.backend, of_backend), str(options.workload)
    least, most = _replicas(options)
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
                **_fleet(options, of_router, most),
            }
        )
    except ValidationError as error:
        raise UsageError(first_problem(error)) from error
    return Search(
        file=file,
        sessions=options.sessions,
        agents=_agents(options, several=least < most),
        span=(least, most) if least < most else None,
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
        tp=options.tp,
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


def _replicas(options: CapacityOptions) -> tuple[int, int]:
    """The fewest and the most of "4" or "1..16". Raises UsageError."""
    low, dots, high = options.replicas.partition("..")
    try:
        least, most = int(low), int(high if dots else low)
    except ValueError:
        least, most = 0, 0
    if not 1 <= least <= most <= MOST or (dots and least == most):
        raise UsageError(
            f"--replicas takes a number from 1 to {MOST:,}, or two of them, the lower first, not "
            f"'{options.replicas}'; for example --replicas 4, or --replicas 1..16 "
            "--arrivals closed:200."
        )
    if options.gpus and most > 1:
        raise UsageError(
            "--gpus plays each GPU alone, and --replicas several behind a router; give one of them."
        )
    return least, most


def _fleet(options: CapacityOptions, of_router: Sequence[str], most: int) -> dict[str, object]:
    """The replicas and their router; nothing where one engine plays."""
    if most == 1:
        fleet_of(ReplicaOptions(router=options.router), of_router, "sim", ())  # says what is wrong
        return {}
    name = options.router or DEFAULT
    given = choose_router(name, of_router).settings
    return {"replicas": [most], "routers": [{"name": name, "set": dict(given)}]}


def _only(**fields: object) -> dict[str, object]:
    """The fields of a sweep file's entry that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _agents(options: CapacityOptions, several: bool) -> int | None:
    """How many agents are to be served at once, where GPUs are asked for. Raises UsageError.

    several: whether a number of replicas is searched.
    """
    arrivals = Arrivals.parse(options.arrivals or "poisson")
    if arrivals.lanes is not None and not (options.gpus or several):
        raise UsageError(
            f"Arrivals 'closed:{arrivals.lanes}' have no rate to search; give --gpus to ask how "
            f"many GPUs {arrivals.lanes} agents need, or --replicas 1..16 for as many behind one "
            "router, or choose other arrivals."
        )
    if several and arrivals.lanes is None:
        raise UsageError(
            f"--replicas {options.replicas} asks how many replicas a number of agents needs; say "
            f"how many are at work at once, for example --replicas {options.replicas} "
            "--arrivals closed:200."
        )
    if options.gpus and arrivals.lanes is None:
        raise UsageError(
            "--gpus asks how many GPUs a number of agents needs; say how many are at work at "
            "once, for example --gpus --arrivals closed:200."
        )
    return arrivals.lanes
