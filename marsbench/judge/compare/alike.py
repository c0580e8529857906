"""Whether runs may be compared at all: the same sessions, hardware and engine, or a refusal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from marsbench.errors import UsageError, unknown_name
from marsbench.judge.compare.points import DIMENSIONS
from marsbench.judge.compare.read import ReadRun
from marsbench.judge.compare.values import RunSource
from marsbench.replicas.registry import router_label
from marsbench.runs.summary import CAP_SEARCH, SCHEDULER_CLS

BLOCKS_OF = "kv_blocks_of"
FLEET = ("replicas", "router")
"""Settings of several engines, each a dimension of its own."""


def check_dimensions(given: Collection[str]) -> frozenset[str]:
    """The names in "workload,hardware" and the like. Raises UsageError for one that is none."""
    names = [part.strip() for entry in given for part in entry.split(",") if part.strip()]
    for name in names:
        if name not in DIMENSIONS:
            raise unknown_name("dimension to compare across", name, DIMENSIONS)
    return frozenset(names)


def check_alike(runs: Sequence[ReadRun], across: Collection[str]) -> None:
    """Raises UsageError, naming the first difference, when runs that stand together are not alike.

    At one place all runs with one seed have played the same sessions on the same hardware with
    the same engine settings. A folder whose runs meet none of another folder's, and that has
    nothing to compare within itself, was not made for this comparison.
    """
    check_places(runs, across)
    for run in _alone(runs):
        _refuse(run, next(other for other in runs if other.argument != run.argument))
    _check_seeds(runs)


def check_places(runs: Sequence[ReadRun], across: Collection[str] = ()) -> None:
    """The first part of it: those that stand together are alike."""
    groups: defaultdict[tuple[Any, ...], list[ReadRun]] = defaultdict(list)
    for run in runs:
        groups[run.place, run.source.seed].append(run)
    for together in groups.values():
        for other in together[1:]:
            for dimension, difference in differences(together[0], other):
                if dimension not in across:
                    raise _unlike(together[0], other, dimension, difference)


def _alone(runs: Sequence[ReadRun]) -> Iterator[ReadRun]:
    """The first run of each folder that meets no other folder and holds one backend only."""
    by_argument: defaultdict[Any, list[ReadRun]] = defaultdict(list)
    for run in runs:
        by_argument[run.argument].append(run)
    if len(by_argument) < 2:
        return
    for argument, own in by_argument.items():
        places = {run.place for run in own}
        meets = any(run.place in places for run in runs if run.argument != argument)
        if not meets and len({run.backend for run in own}) == 1:
            yield own[0]


def _refuse(run: ReadRun, other: ReadRun) -> None:
    for dimension, difference in differences(run, other):
        raise _unlike(run, other, dimension, difference)
    own, theirs = run.place, other.place
    different = [f for f in own._fields if getattr(own, f) != getattr(theirs, f)]
    told = f"{different[0]} {getattr(own, different[0])}, {getattr(theirs, different[0])}"
    raise _unlike(
        run, other, next(name for name, of in DIMENSIONS.items() if different[0] in of), told
    )


def _unlike(a: ReadRun, b: ReadRun, dimension: str, difference: str) -> UsageError:
    what = {"workload": "workloads", "engine": "engines", "router": "routers"}.get(
        dimension, dimension
    )
    return UsageError(
        f"{a.source.path} and {b.source.path} used different {what} ({difference}); rerun one, "
        f"or give --across {dimension} to see them side by side."
    )


def _check_seeds(runs: Sequence[ReadRun]) -> None:
    """Raises UsageError when two backends at one place have no seed in common."""
    seeds: defaultdict[Any, defaultdict[str, set[int | None]]] = defaultdict(
        lambda: defaultdict(set)
    )
    for run in runs:
        seeds[run.place][run.backend].add(run.source.seed)
    for place, of in seeds.items():
        first, *others = of
        for other in others:
            if not of[first] & of[other]:
                raise UsageError(
                    f"{first} and {other} have no seed in common on {place.title} "
                    f"({_list(of[first])}; {_list(of[other])}), so their sessions cannot be "
                    "paired; rerun one with --seed of the other."
                )


def _list(seeds: Collection[int | None]) -> str:
    return "seed " + ", ".join(str(seed) for seed in sorted(seeds, key=str))


def differences(a: ReadRun, b: ReadRun) -> Iterator[tuple[str, str]]:
    """What keeps two runs with one seed apart: (dimension, both values in a few words)."""
    one, other = a.source, b.source
    same_seed = one.seed == other.seed
    if one.place.workload != other.place.workload or (
        same_seed and one.workload_hash != other.workload_hash
    ):
        yield "workload", _workloads(a, b)
    # A session's mean GPU time is of the sessions too, and not of the machine alone.
    yield from _first("hardware", _of_one(one), _of_one(other), {"mean_gpu_s"})
    left_out = {*_of_no_engine(one.settings, other.settings), *FLEET}
    own, theirs = ({"engine": s.engine, **s.settings} for s in (one, other))
    yield from _first("engine", own, theirs, left_out)
    for name in FLEET:
        if one.settings.get(name) != other.settings.get(name):
            yield name, f"{name} {_fleet(one.settings, name)}, {_fleet(other.settings, name)}"


def _of_one(source: RunSource) -> dict[str, Any]:
    """The hardware of one replica: the KV tokens of a run are those of all together."""
    hardware, tokens = dict(source.hardware), source.hardware.get("kv_tokens")
    num = source.settings.get("replicas", 1)
    return hardware if tokens is None else {**hardware, "kv_tokens": tokens // num}


def _fleet(settings: Mapping[str, Any], name: str) -> str:
    """ "4"; "dynamo (overlap_weight=2.0)"."""
    value = settings.get(name)
    if isinstance(value, Mapping):
        return router_label(value["name"], value["params"])
    return str(value or (1 if name == "replicas" else "none"))


def _workloads(a: ReadRun, b: ReadRun) -> str:
    titles = [f"{run.place.title} {run.source.workload_hash[:8]}" for run in (a, b)]
    meta = dict(_pairs(a.source.workload_meta, b.source.workload_meta))
    turned = [
        f"{name} {x} and {y}" for name, (x, y) in meta.items() if name not in ("rate", "source")
    ]
    return ", ".join([*titles, *turned[:1]])


def _of_no_engine(*settings: Mapping[str, Any]) -> set[str]:
    """Settings that are not the engine's: a search, what stands in a backend's place, and blocks
    that are what a GPU's memory gives.

    Where those differ, so do the KV tokens of the hardware.
    """
    given = any(told.get(BLOCKS_OF) == "hardware" for told in settings)
    return {CAP_SEARCH, SCHEDULER_CLS, BLOCKS_OF, *(["kv_blocks"] if given else [])}


def _first(
    dimension: str, one: Mapping[str, Any], other: Mapping[str, Any], left_out: Collection[str]
) -> Iterator[tuple[str, str]]:
    for name, (a, b) in _pairs(one, other):
        if name not in left_out:
            yield dimension, f"{name} {a}, {b}"
            return


def _pairs(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in {**one, **other}:
        if one.get(name) != other.get(name):
            yield name, (one.get(name), other.get(name))
