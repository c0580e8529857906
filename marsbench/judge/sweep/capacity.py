"""Capacity: the highest rate, or the fewest GPUs, at which a share of the sessions is in time.

A search is a sweep whose cells are decided as it goes: every probe's runs are kept as cells, so a
search that was stopped plays nothing twice, and the answer stands beside them in capacity.json.

A short run is kinder than an endless one: it ends before its backlog has grown. So without a given
number of sessions the search is repeated with twice as many until the rate stays where it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marsbench.core.metrics.goodput import alpha_key
from marsbench.errors import RunFailedError, UsageError
from marsbench.judge.sweep.answer import ANSWER
from marsbench.judge.sweep.bisect import Bracket, fewest, highest_rate
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.folder import PLAN, SweepFolder, write_json
from marsbench.judge.sweep.play import hardware_of, request_of
from marsbench.judge.sweep.probes import Probes
from marsbench.judge.sweep.run import RESULTS
from marsbench.judge.sweep.search import Probe, Search
from marsbench.runs.simulated import prepare

FORMAT = 1
FIRST_SESSIONS, MOST_SESSIONS = 30, 240
"""Where a search begins that may choose its number of sessions, and where it gives up."""
SESSIONS_A_LANE = 3


Reached = list[tuple[int, Bracket]]
"""By number of sessions a run, in the order of the search."""


def capacity(search: Search, output: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The folder of the search and its answer, searched or taken up where it stopped.

    Raises UsageError for what cannot be searched, RunFailedError when a probe cannot be played.
    """
    _check(search)
    root = output or RESULTS / _name(search)
    _check_folder(root, search)
    probes = Probes(root, search)
    found = _found(search, probes)
    answer = {**_searched(search), **found, "tried": probes.told(), "probes": len(probes.told())}
    try:
        write_json(root / ANSWER, answer)
    except OSError as error:
        raise RunFailedError(
            f"Cannot write {root / ANSWER}: {error.strerror}; make room and ask for the same "
            "again: what was played is kept."
        ) from error
    return root, answer


def _searched(search: Search) -> dict[str, Any]:
    (first, *_) = search.cells(Probe(sessions=1, rate=1.0))
    tp = hardware_of(first.hardware, first.folder).tensor_parallel
    return {
        "marsbench_capacity": FORMAT,
        "backend": first.backend.key,
        "workload": first.workload.key,
        "tools": first.tools,
        "hardware": first.hardware.key,
        **({"tp": tp} if tp > 1 else {}),
        **_fleet(first, search.span),
        "alpha": search.alpha,
        "share": search.share,
        "seeds": len(search.file.seeds),
    }


def _fleet(first: Cell, span: tuple[int, int] | None) -> dict[str, Any]:
    """How many replicas behind which router; nothing where one engine plays."""
    if first.router is None:
        return {}
    return {"replicas": list(span) if span else first.replicas, "router": first.router.key}


def _found(search: Search, probes: Probes) -> dict[str, Any]:
    """By what is searched: replicas behind a router, GPUs that play alone, or a rate."""
    if search.span is not None:
        return _replicas(search, search.span, probes)
    return _rates(search, probes) if search.agents is None else _gpus(search, probes)


def _rates(search: Search, probes: Probes) -> dict[str, Any]:
    """The highest rate, by number of sessions, and whether the last two agree."""
    found = list(_growing(search, probes))
    sessions, bracket = found[-1]
    return {
        "rate": bracket.reached,
        "above": bracket.missed,
        "sessions": sessions,
        "settled": None if search.sessions else agree(found, search.tolerance),
        "by_sessions": [
            {"sessions": n, "rate": bracket.reached, "above": bracket.missed}
            for n, bracket in found
        ],
    }


def _growing(search: Search, probes: Probes) -> Iterator[tuple[int, Bracket]]:
    """One answer for each number of sessions, until two in a row agree or there are enough."""
    sessions, start, factor = search.sessions or FIRST_SESSIONS, _start(search), 2.0
    found: Reached = []
    while True:

        def reaches(rate: float, sessions: int = sessions) -> bool:
            return probes.reaches(Probe(sessions=sessions, rate=rate))

        bracket = highest_rate(reaches, start, search.tolerance, factor)
        found.append((sessions, bracket))
        yield found[-1]
        enough = search.sessions is not None or 2 * sessions > MOST_SESSIONS
        if enough or agree(found, search.tolerance):
            return
        sessions *= 2
        # The next answer is near this one, and a probe far beyond it takes longest.
        start, factor = bracket.reached or start, 1 + 2 * search.tolerance


def agree(found: Reached, tolerance: float) -> bool:
    """Whether the last two rates are the same, as far as brackets of this width can tell."""
    if len(found) < 2:
        return False
    one, other = (bracket.reached for _, bracket in found[-2:])
    if one is None or other is None:
        return one == other
    return max(one, other) <= min(one, other) * (1 + 2 * tolerance)


def _gpus(search: Search, probes: Probes) -> dict[str, Any]:
    """The fewest GPUs that hold so many agents, split evenly; each is played as one alone."""
    agents = search.agents or 1

    def probe(gpus: int) -> Probe:
        lanes = -(-agents // gpus)
        return Probe(sessions=search.sessions or SESSIONS_A_LANE * max(lanes, 10), lanes=lanes)

    gpus = fewest(lambda number: probes.reaches(probe(number)), agents)
    at = None if gpus is None else probe(gpus)
    return {
        "agents": agents,
        "gpus": gpus,
        "lanes": None if at is None else at.lanes,
        "sessions": None if at is None else at.sessions,
        "rate": None,
        "above": None,
    }


def _replicas(search: Search, span: tuple[int, int], probes: Probes) -> dict[str, Any]:
    """The fewest replicas behind a router that hold so many agents together."""
    agents, (least, most) = search.agents or 1, span
    sessions = search.sessions or SESSIONS_A_LANE * max(agents, 10)

    def reaches(replicas: int) -> bool:
        return probes.reaches(Probe(sessions=sessions, lanes=agents, replicas=replicas))

    return {
        "agents": agents,
        "gpus": fewest(reaches, most, least),
        "lanes": agents,
        "sessions": sessions,
        "rate": None,
        "above": None,
    }


def _check(search: Search) -> None:
    if not 0 < search.share <= 1:
        raise UsageError(
            f"--share must be above 0 and at most 1, not {search.share:g}; for example 0.9."
        )
    if not 0.001 <= search.tolerance <= 1:
        raise UsageError(
            f"--tolerance must be from 0.001 to 1, not {search.tolerance:g}; for example 0.05."
        )


def _name(search: Search) -> str:
    backend, workload = search.file.backends[0].key, search.file.workloads[0].key
    what = "capacity" if search.agents is None else f"gpus-for-{search.agents}"
    more = "" if max(search.file.replicas) == 1 else f"_{_behind(search)}"
    return f"{what}_{workload}_{backend}{more}_alpha{alpha_key(search.alpha)}"


def _behind(search: Search) -> str:
    """ "replicas4_dynamo", "replicas1-16_dynamo"."""
    several = search.span or search.file.replicas
    return f"replicas{'-'.join(map(str, several))}_{search.file.routers[0].key}"


def _check_folder(root: Path, search: Search) -> None:
    """Raises UsageError when another search, or something else, lies there."""
    if (root / PLAN).is_file() and SweepFolder.open(root).plan().get("file") != search.text():
        raise UsageError(
            f"{root} holds another search or sweep; give another folder with -o, or ask for the "
            "same to go on with it."
        )


def _start(search: Search) -> float:
    """The rate at which the GPU would just keep up if every session were alone: load 1."""
    # Sessions are the same at every rate, so any rate will do to make them.
    (first, *_) = search.cells(Probe(sessions=search.sessions or FIRST_SESSIONS, rate=1.0))
    return first.replicas / prepare(request_of(first)).alone.mean_gpu_s
