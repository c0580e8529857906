"""Run folders, sweep folders and capacity searches as runs at places."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from marsbench.core.runs import RunFolder, RunSummary
from marsbench.core.runs.folder import CONFIG
from marsbench.core.runs.summary import CAP_SEARCH
from marsbench.errors import UsageError
from marsbench.judge.compare.figures import Figures, figures_of, goodput_name, goodput_rate_name
from marsbench.judge.compare.points import Place, place_of
from marsbench.judge.compare.sessions import Sessions, area, sessions_in, share_within
from marsbench.judge.compare.values import Capacity, Source
from marsbench.judge.sweep.folder import CELL, PLAN, Result, SweepFolder

CAPACITY = "capacity.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was read. `argument`: which of the folders given it came with."""

    argument: Path
    source: Source
    folder: RunFolder
    figures: Figures
    sessions: Sessions

    @property
    def place(self) -> Place:
        return self.source.place

    @property
    def backend(self) -> str:
        return self.source.backend


@dataclass(frozen=True, slots=True)
class Given:
    """What lay in the folders given, and how many planned runs of sweeps are missing."""

    runs: tuple[Run, ...]
    capacities: tuple[Capacity, ...]
    missing: Mapping[str, int]


def read(folders: Sequence[Path], alphas: Sequence[float]) -> Given:
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
    chosen = tuple(alphas) or _common_alphas(result for _, result in runs)
    capacities = [capacity_in(f) for f in folders if (f / CAPACITY).is_file()]
    read_runs = [_run(folder, result, chosen) for folder, result in runs]
    return Given(_labelled(read_runs), tuple(capacities), missing)


def _results(folder: Path) -> Iterator[Result]:
    """The complete runs of a folder; of a capacity search none, for it is one number.

    A folder of run folders stands for all of them.
    """
    if (folder / CAPACITY).is_file():
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
    if (folder / CAPACITY).is_file() or not (folder / PLAN).is_file():
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
        "hardware": str(config.hardware.get("gpu", config.hardware.get("id", ""))),
        "engine": config.engine,
        "variation": "base",
        "backend": config.backend,
        "seed": config.seed,
    }


def _common_alphas(results: Iterable[Result]) -> tuple[float, ...]:
    taken = [tuple(result.run.config.alphas) for result in results]
    return tuple(a for a in (taken[0] if taken else ()) if all(a in others for others in taken))


def _run(argument: Path, result: Result, alphas: Sequence[float]) -> Run:
    sessions = sessions_in(result.run)
    figures = {**figures_of(result), **_of_sessions(sessions, result.summary, alphas)}
    return Run(argument, _source(result), result.run, figures, sessions)


def _of_sessions(
    sessions: Sessions, summary: RunSummary, alphas: Sequence[float]
) -> dict[str, float | None]:
    """Goodput at each α, as a share and a second, and the area under it."""
    names = [name(a) for a in alphas for name in (goodput_name, goodput_rate_name)]
    if not sessions.known:
        return dict.fromkeys([*names, "goodput_area"])
    span, number = summary["makespan_s"], len(sessions.names)
    found: dict[str, float | None] = {"goodput_area": float(area(sessions.slowdown))}
    for alpha in alphas:
        share = float(share_within(sessions.slowdown, alpha))
        found[goodput_name(alpha)] = share
        found[goodput_rate_name(alpha)] = share * number / span if span else None
    return found


def _source(result: Result) -> Source:
    config, summary = result.run.config, result.summary
    return Source(
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
        sessions=summary["sessions"]["arrived"],
        valid=summary["valid"],
        reasons=tuple(summary["reasons"]),
        cautions=tuple(summary["cautions"]),
    )


def _labelled(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs, those of one backend told apart by what they have different.

    By parameters, where one backend comes with several; by the folder given, where one run would
    stand twice at one place. Raises UsageError when a run was given twice.
    """
    found = [_named(run, label) for run, label in zip(runs, _by_params(runs), strict=True)]
    keys = Counter((run.place, run.backend, run.source.seed) for run in found)
    twice = {backend for (_, backend, _), count in keys.items() if count > 1}
    found = [
        _named(run, f"{run.backend} in {run.argument.name}") if run.backend in twice else run
        for run in found
    ]
    seen: set[tuple[Place, str, int | None]] = set()
    for run in found:
        key = (run.place, run.backend, run.source.seed)
        if key in seen:
            raise UsageError(
                f"{run.source.path} is given twice, or beside another run of {run.source.name} "
                "with the same seed and folder name; give each run once."
            )
        seen.add(key)
    return tuple(found)


def _named(run: Run, backend: str) -> Run:
    return replace(run, source=replace(run.source, backend=backend))


def _by_params(runs: Sequence[Run]) -> list[str]:
    """Labels by parameters: "mars", "mars (opportunistic=False)"; a sweep's labels stay."""
    kinds: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        params = _chosen(run.source)
        if params not in kinds[run.backend]:
            kinds[run.backend].append(params)
    return [_label(run, kinds[run.backend]) for run in runs]


def _label(run: Run, kinds: Sequence[Mapping[str, Any]]) -> str:
    own = _chosen(run.source)
    turned = [name for name in own if any(kind.get(name) != own[name] for kind in kinds)]
    if not turned:
        return run.backend
    return f"{run.backend} ({', '.join(f'{name}={own[name]}' for name in turned)})"


def _chosen(source: Source) -> dict[str, Any]:
    """The parameters that somebody chose: a cap that the run searched for itself is none."""
    return {
        name: value
        for name, value in source.params.items()
        if not (name == "cap" and CAP_SEARCH in source.settings)
    }


def capacity_in(folder: Path) -> Capacity:
    """The result of a capacity search. Raises UsageError for a file that is none."""
    try:
        record = json.loads((folder / CAPACITY).read_text("utf-8"))
        fields = {name: record[name] for name in Capacity._fields if name in record}
        return Capacity(**{**fields, "path": str(folder)})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{folder / CAPACITY} is not the result of a capacity search: {error}; "
            "run `marsbench capacity` again with the same -o."
        ) from error


def across(runs: Sequence[Run], dimensions: Collection[str]) -> tuple[Run, ...]:
    """The runs at places that do not tell these dimensions apart: their backends do instead."""
    found = tuple(runs)
    for name, fields in (("workload", ("workload", "load", "rate")), ("engine", ("engine",)),
                         ("hardware", ("hardware", "model", "variation"))):  # fmt: skip
        if name in dimensions:
            found = _merged(found, fields)
    return found


def _merged(runs: Sequence[Run], fields: Sequence[str]) -> tuple[Run, ...]:
    kinds = {tuple(getattr(run.place, field) for field in fields) for run in runs}
    if len(kinds) < 2:
        return tuple(runs)
    many = [f for i, f in enumerate(fields) if len({kind[i] for kind in kinds}) > 1]
    return tuple(_moved(run, fields, many) for run in runs)


def _moved(run: Run, fields: Sequence[str], many: Sequence[str]) -> Run:
    """The run with these fields of its place in its label."""
    whole = run.place
    told = [whole.title if "workload" in fields else "", *(
        str(getattr(whole, f)) for f in many if f not in ("workload", "load", "rate"))]  # fmt: skip
    unsaid: dict[str, Any] = {f: None if f in ("load", "rate") else "several" for f in fields}
    place = whole._replace(**unsaid)
    label = f"{run.backend} on {', '.join(filter(None, told))}"
    return replace(run, source=replace(run.source, place=place, backend=label))
