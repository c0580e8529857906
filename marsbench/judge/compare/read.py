"""ReadRun folders, sweep folders and capacity searches as runs at places."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from marsbench.errors import UsageError
from marsbench.judge.compare.figures import Figures, figures_of
from marsbench.judge.compare.points import DIMENSIONS, Place, Seed, Where, place_of
from marsbench.judge.compare.values import RunSource
from marsbench.judge.sweep.answer import ANSWER, Capacity, capacity_in
from marsbench.judge.sweep.folder import CELL, PLAN, Result, SweepFolder
from marsbench.replicas.registry import router_label
from marsbench.runs import RunFolder
from marsbench.runs.folder import CONFIG
from marsbench.runs.summary import CAP_SEARCH
from marsbench.text.words import gpu_in


@dataclass(frozen=True, slots=True)
class ReadRun:
    """A run that was read. `argument`: which of the folders given it came with."""

    argument: Path
    source: RunSource
    result: Result
    figures: Figures

    @property
    def place(self) -> Place:
        return self.source.place

    @property
    def backend(self) -> str:
        return self.source.backend

    @property
    def where(self) -> Where:
        return self.source.place, self.source.backend


@dataclass(frozen=True, slots=True)
class Folders:
    """What lay in the folders given, and how many planned runs of sweeps are missing.

    alphas: where goodput was taken; empty where none was asked for and the runs share none.
    """

    runs: tuple[ReadRun, ...]
    alphas: tuple[float, ...]
    capacities: tuple[Capacity, ...]
    missing: Mapping[str, int]


def read(folders: Sequence[Path], alphas: Sequence[float]) -> Folders:
    """Everything in these folders. Raises UsageError for one that is none of the three kinds.

    alphas: where goodput is taken; without any, where all runs took it.
    """
    runs: list[tuple[Path, Result]] = []
    missing: dict[str, int] = {}
    for folder in folders:
        found = list(_results(folder))
        runs += ((folder, result) for result in found)
        left = _planned(folder) - len(found)
        if left > 0:
            missing[str(folder)] = left
    chosen = tuple(alphas) or _common_alphas([result for _, result in runs])
    capacities = [capacity_in(f) for f in folders if (f / ANSWER).is_file()]
    read_runs = [
        ReadRun(folder, _source(result), result, figures_of(result, chosen))
        for folder, result in runs
    ]
    return Folders(_labelled(read_runs), chosen, tuple(capacities), missing)


def _results(folder: Path) -> Iterator[Result]:
    """The complete runs of a folder; of a capacity search none, for it is one number.

    A folder of run folders stands for all of them.
    """
    if (folder / ANSWER).is_file():
        return
    if (folder / PLAN).is_file():
        yield from SweepFolder.open(folder).results()
        return
    inside = sorted(file.parent for file in folder.glob(f"*/{CONFIG}"))
    for path in inside if inside and not (folder / CONFIG).is_file() else [folder]:
        yield _result(path)


def _result(folder: Path) -> Result:
    run = RunFolder.open(folder)
    if not run.complete:
        raise UsageError(
            f"{folder} did not go to its end, so nothing can be held against it; run it again, "
            "or look at it with `marsbench show`."
        )
    cell = folder / CELL
    place = json.loads(cell.read_text("utf-8")) if cell.is_file() else place_of_config(run)
    return Result(place, run, run.summary())


def _planned(folder: Path) -> int:
    if (folder / ANSWER).is_file() or not (folder / PLAN).is_file():
        return 0
    return len(SweepFolder.open(folder).plan()["cells"])


def place_of_config(run: RunFolder) -> dict[str, Any]:
    """Where a run stands that no sweep made."""
    config = run.config
    load = config.workload_meta.get("load")
    return {
        "workload": config.workload,
        "load": load,
        "rate": config.workload_meta.get("rate") if load is None else None,
        "hardware": gpu_in(config.hardware),
        "engine": config.engine,
        "variation": "base",
        **_fleet(config.settings),
        "backend": config.backend,
        "seed": config.seed,
    }


def _fleet(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How many replicas behind which router; nothing where one engine played."""
    if "replicas" not in settings:
        return {}
    router = settings["router"]
    return {
        "replicas": settings["replicas"],
        "router": router_label(router["name"], router["params"]),
    }


def _common_alphas(results: Sequence[Result]) -> tuple[float, ...]:
    """Those that every run took, in the order of the first."""
    taken = [result.run.config.alphas for result in results]
    return tuple(a for a in next(iter(taken), ()) if all(a in others for others in taken))


def _source(result: Result) -> RunSource:
    config, summary = result.run.config, result.summary
    return RunSource(
        path=str(result.run.path),
        place=place_of(result),
        backend=str(result.place["backend"]),
        seed=result.place["seed"],
        name=config.backend,
        params=config.params,
        engine=config.engine,
        workload_hash=config.workload_hash,
        workload_meta=config.workload_meta,
        hardware=config.hardware,
        settings=config.settings,
        alphas=config.alphas,
        asked=config.asked,
        code=summary["code"],
        vllm=config.code.other_vllm,
        sessions=summary["sessions"]["arrived"],
        valid=summary["valid"],
        reasons=tuple(summary["reasons"]),
        cautions=tuple(summary["cautions"]),
        failures=tuple(summary.get("failures", ())),
    )


def _labelled(runs: Sequence[ReadRun]) -> tuple[ReadRun, ...]:
    """The runs, those of one backend told apart by what they have different.

    By parameters, where one backend comes with several; by their vLLM, where it is not the pinned
    one; by the folder given, where one run would stand twice at one place. Raises UsageError when
    a run was given twice.
    """
    found = [
        _named(run, label if run.source.vllm is None else f"{label}, vLLM {run.source.vllm}")
        for run, label in zip(runs, _by_params(runs), strict=True)
    ]
    twice = {run.backend for run in _repeated(found)}
    found = [
        _named(run, f"{run.backend} in {run.argument.name}") if run.backend in twice else run
        for run in found
    ]
    for run in _repeated(found):
        raise UsageError(
            f"{run.source.path} is given twice, or beside another run of {run.source.name} "
            "with the same seed and folder name; give each run once."
        )
    return tuple(found)


def _repeated(runs: Sequence[ReadRun]) -> Iterator[ReadRun]:
    """Those where another with the same backend, place and seed came before."""
    seen: set[tuple[Where, Seed]] = set()
    for run in runs:
        key = run.where, run.source.seed
        if key in seen:
            yield run
        seen.add(key)


def _named(run: ReadRun, backend: str) -> ReadRun:
    return replace(run, source=replace(run.source, backend=backend))


def _by_params(runs: Sequence[ReadRun]) -> list[str]:
    """Labels by parameters: "mars", "mars (opportunistic=False)"; a sweep's labels stay."""
    kinds: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        params = _chosen(run.source)
        if params not in kinds[run.backend]:
            kinds[run.backend].append(params)
    return [_label(run, kinds[run.backend]) for run in runs]


def _label(run: ReadRun, kinds: Sequence[Mapping[str, Any]]) -> str:
    own = _chosen(run.source)
    turned = [name for name in own if any(kind.get(name) != own[name] for kind in kinds)]
    if not turned:
        return run.backend
    return f"{run.backend} ({', '.join(f'{name}={own[name]}' for name in turned)})"


def _chosen(source: RunSource) -> dict[str, Any]:
    """The parameters that somebody chose: a cap that the run searched for itself is none."""
    return {
        name: value
        for name, value in source.params.items()
        if not (name == "cap" and CAP_SEARCH in source.settings)
    }


def across(runs: Sequence[ReadRun], dimensions: Collection[str]) -> tuple[ReadRun, ...]:
    """The runs at places that do not tell these dimensions apart: their backends do instead."""
    found = tuple(runs)
    for name, fields in DIMENSIONS.items():
        if name in dimensions:
            found = _merged(found, fields)
    return found


def _merged(runs: Sequence[ReadRun], fields: Sequence[str]) -> tuple[ReadRun, ...]:
    kinds = {tuple(getattr(run.place, field) for field in fields) for run in runs}
    if len(kinds) < 2:
        return tuple(runs)
    many = [f for i, f in enumerate(fields) if len({kind[i] for kind in kinds}) > 1]
    return tuple(_moved(run, fields, many) for run in runs)


def _moved(run: ReadRun, fields: Sequence[str], many: Sequence[str]) -> ReadRun:
    """The run with these fields of its place in its label."""
    whole = run.place
    told = [whole.title if "workload" in fields else "", *(
        _said(whole, f) for f in many if f not in DIMENSIONS["workload"])]  # fmt: skip
    unsaid: dict[str, Any] = {
        f: "several" if f in (*DIMENSIONS["engine"], *DIMENSIONS["hardware"]) else None
        for f in fields
    }
    place = whole._replace(**unsaid)
    link = "behind" if fields == DIMENSIONS["router"] else "on"
    label = f"{run.backend} {link} {', '.join(filter(None, told))}"
    return replace(run, source=replace(run.source, place=place, backend=label))


def _said(place: Place, field: str) -> str:
    """ "h200"; "4 replicas"; what one engine has none of is "one engine"."""
    value = getattr(place, field)
    if field == "replicas":
        return "one engine" if value is None else f"{value} replicas"
    return "no router" if value is None else str(value)
