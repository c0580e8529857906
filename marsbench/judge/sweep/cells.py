"""A sweep file as the list of its runs, in the order in which they are best made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.recipe import load_recipe, recipe_names
from marsbench.errors import UsageError
from marsbench.judge.sweep.spec import (
    BackendEntry,
    EngineEntry,
    HardwareEntry,
    RouterEntry,
    SweepFile,
    Variation,
    WorkloadEntry,
)
from marsbench.presets import preset_named


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a sweep. `folder` is that of the sweep file: paths in it are relative to it.

    router: of several replicas; None where there is one.
    mark: what its name says beside its place, where a search makes several runs at one.
    """

    backend: BackendEntry
    workload: WorkloadEntry
    knobs: Knobs
    hardware: HardwareEntry
    engine: EngineEntry
    variation: Variation
    alphas: tuple[float, ...]
    folder: Path
    replicas: int = 1
    router: RouterEntry | None = None
    mark: str = ""

    @property
    def place(self) -> dict[str, Any]:
        """Where the cell stands in the sweep, as JSON."""
        return {
            "workload": self.workload.key,
            "load": self.knobs.load,
            "rate": self.knobs.rate,
            "hardware": self.hardware.key,
            "engine": self.engine.key,
            "variation": self.variation.key,
            **self._fleet,
            "backend": self.backend.key,
            "seed": self.knobs.seed,
        }

    @property
    def _fleet(self) -> dict[str, Any]:
        """Nothing where one engine plays."""
        if self.router is None:
            return {}
        return {"replicas": self.replicas, "router": self.router.key}

    @property
    def point(self) -> tuple[object, ...]:
        """Its place, backend and seed apart: where backends stand against each other."""
        return tuple(v for name, v in self.place.items() if name not in ("backend", "seed"))

    @property
    def tools(self) -> str | None:
        """The tool mix that its pauses are drawn from; None where its sessions were recorded."""
        path = self.workload_path
        is_recipe = path in recipe_names() or Path(path).suffix == ".toml"
        return self.knobs.tools or (load_recipe(path).defaults.tools if is_recipe else None)

    @property
    def name(self) -> str:
        """The name of its folder: "ilr-1_load0.9_h200_paper_base_mars_seed1"."""
        marked = ("load", "rate", "replicas", "seed")
        parts = [
            f"{name if name in marked else ''}{_number(value)}"
            for name, value in self.place.items()
            if value is not None
        ]
        parts += [self.mark] if self.mark else []
        return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part) for part in parts)

    @property
    def sessions(self) -> tuple[object, ...]:
        """What decides the session bodies: cells alike in it share each session's time alone."""
        bodies = (self.workload.key, self.knobs.seed, self.hardware.key, self.engine.key)
        return (*bodies, self.variation.key)

    @property
    def workload_path(self) -> str:
        """The workload as `marsbench run --workload` takes it."""
        return _path(self.workload.name, self.folder)


def cells_of(sweep: SweepFile, folder: Path) -> list[Cell]:
    """Every combination; those that share their sessions' times alone stand together.

    A cell of several parts is one. Raises UsageError where they mean different runs by one name.
    """
    found: dict[str, Cell] = {}
    for cell in (cell for part in sweep.products for cell in product_of(part, folder)):
        if found.setdefault(cell.name, cell) != cell:
            raise UsageError(
                f"Two parts have different runs of the name {cell.name}; "
                "give what differs a label of its own."
            )
    return list(found.values())


def product_of(sweep: SweepFile, folder: Path) -> list[Cell]:
    """The cells of a file without parts, or of one part."""
    worlds = product(sweep.workloads, sweep.hardware, sweep.engines, sweep.variations, sweep.seeds)
    return [
        Cell(
            backend=backend,
            workload=workload,
            knobs=knobs,
            hardware=hardware,
            engine=engine,
            variation=variation,
            alphas=sweep.alphas,
            folder=folder,
            replicas=replicas,
            router=router,
        )
        for workload, hardware, engine, variation, seed in worlds
        if not (_is_as_recorded(workload) and seed != sweep.seeds[0])
        for knobs in _knobs(workload, sweep.sessions, seed)
        for replicas, router in _fleets(sweep)
        for backend in sweep.backends
    ]


def _fleets(sweep: SweepFile) -> Iterator[tuple[int, RouterEntry | None]]:
    """How many replicas behind which router; one engine stands behind none."""
    for replicas in sweep.replicas:
        for router in (None,) if replicas == 1 else sweep.routers:
            yield replicas, router


@cache
def _path(name: str, folder: Path) -> str:
    return name if name in recipe_names() else str(folder / name)


def _is_as_recorded(workload: WorkloadEntry) -> bool:
    """Whether it is a file of sessions that is played as it is: no seed, no load."""
    is_file = workload.name not in recipe_names() and Path(workload.name).suffix != ".toml"
    turned = workload.model_dump(exclude={"name", "label"}, exclude_defaults=True)
    return is_file and not turned


def _knobs(workload: WorkloadEntry, sessions: int | None, seed: int) -> Iterator[Knobs]:
    """One for each load or rate; one where there are none. Raises UsageError."""
    if _is_as_recorded(workload):
        yield Knobs()
        return
    preset = None if workload.preset is None else preset_named(workload.preset)
    own = (preset.sessions, preset.warm_start) if preset else (sessions, None)
    for load, rate in [
        *((load, None) for load in workload.loads),
        *((None, rate) for rate in workload.rates),
    ] or [(None, None)]:
        yield Knobs(
            sessions=workload.sessions or own[0],
            rate=rate,
            load=load,
            arrivals=workload.arrivals,
            seed=seed,
            tools=workload.tools,
            prefixes=workload.prefixes,
            tenants=workload.tenants,
            warm_start=workload.warm_start or own[1],
            load_on=None if workload.load_on == "reference" else workload.load_on,
            context_paging=workload.context_paging,
        )


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
