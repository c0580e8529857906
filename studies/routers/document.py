"""The page: who is best where, what a router is worth beside a scheduler, and the arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from marsbench.text.numbers import UNMEASURED, fixed, measured, percent, seconds, times
from marsbench.text.tables import Table, as_csv, markdown
from studies.routers.arguments import arguments_table
from studies.routers.rows import LINE, PLAIN, Row, Spot, at, read, spots

NEAR = 0.05
HOW = (
    "Load is of each replica's capacity. All replicas share one stream of sessions and one tool "
    "host; `mars` has an admission controller before each. `infercept` has host memory for "
    "2,000,000 tokens at each, which the others lack: where it leads, part of that is the memory. "
    "Level: within 5 points of goodput(3) and 5 % of mean latency of "
    "the best of a place, `clairvoyant` apart, which knows the length of every answer and is no "
    "router that anybody could run. It decides round by round, so it is no bound: where another is "
    "ahead of it, that one was better by what it did not count. One seed a cell: an order within "
    "the margin means nothing, and a lead beyond it holds for this traffic. Forty sessions a "
    "replica are few for a hash: `session-affinity` gives some replicas many more than others "
    "(CV), which thousands of shorter sessions would even out.\n"
)


SHOWN = ("found", "of endless", "CV", "moves", "moved tokens", "evicted")
"""What a router's rows say beside goodput and latency, under one scheduler."""


def document(folders: Sequence[Path], stem: str) -> tuple[list[Row], str, str]:
    """The rows, the page and the rows as CSV. Raises UsageError for a folder without runs."""
    rows = [row for folder in folders for row in read(folder)]
    names = " and ".join(f"`{folder.name}`" for folder in folders)
    parts = [
        "# Routers\n",
        f"{len(rows)} simulated runs of {names}: routers, schedulers and numbers of "
        "replicas ([docs/replicas.md](../docs/replicas.md)).\n",
        HOW,
        *_not_all(rows),
        f"![mean latency behind each router]({stem}-latency.svg)\n",
        f"![tokens that each router found, and evenness]({stem}-cache.svg)\n",
        _section("Who is best", _best_table(rows)),
        _section("Router or scheduler", _worth_table(rows), WORTH),
        _section("What is argued in public", arguments_table(rows)),
        *(_section(spot.title, _spot_table(rows, spot)) for spot in spots(rows)),
    ]
    return rows, "\n".join(parts), _csv(rows)


def _not_all(rows: Sequence[Row]) -> Iterator[str]:
    """A sentence on the places at which not every pair of router and scheduler was played."""
    most = len({(row.router, row.backend) for row in rows})
    played = {
        spot: len({(r.router, r.backend) for r in rows if r.spot == spot}) for spot in spots(rows)
    }
    few = [f"{spot.title}: {num} of {most}" for spot, num in played.items() if num < most]
    if few:
        yield f"Not every pair of router and scheduler was played: {'; '.join(few)}.\n"


def _section(title: str, table: Table, text: str = "") -> str:
    said = f"{text}\n" if text else ""
    return f"## {title[0].upper()}{title[1:]}\n\n{said}{markdown(table)}\n"


def _best_table(rows: Sequence[Row]) -> Table:
    """At every place the best pair of router and scheduler, and who is level with it."""
    head = ("place", "best", "goodput(3)", "mean s", "level with it", f"{LINE}, mean s")
    return Table(head, [_best(rows, spot) for spot in spots(rows)], "llrrlr")


def _best(rows: Sequence[Row], spot: Spot) -> tuple[str, ...]:
    here = [row for row in rows if row.spot == spot]
    own = [row for row in here if row.router != LINE] or here
    best = max(own, key=_score)
    level = [row for row in own if row is not best and is_level(row, best)]
    line = max((row for row in here if row.router == LINE), key=_score, default=None)
    return (
        spot.title,
        _pair(best),
        percent(best.goodput, 0, " %"),
        seconds(best.latency_s),
        ", ".join(map(_pair, level[:4])) + (f", {len(level) - 4} more" if len(level) > 4 else ""),
        UNMEASURED if line is None else f"{seconds(line.latency_s)} ({line.backend})",
    )


def _score(row: Row) -> tuple[float, float]:
    """By goodput; by latency where goodput is the same."""
    return row.goodput or 0.0, -(row.latency_s or 0.0)


def is_level(row: Row, best: Row) -> bool:
    """Within the margin of the best in both."""
    near = (best.goodput or 0.0) - (row.goodput or 0.0) <= NEAR
    return near and (row.latency_s or 0.0) <= (1 + NEAR) * (best.latency_s or 0.0)


def _pair(row: Row) -> str:
    return f"`{row.router}` + `{row.backend}`"


WORTH = (
    "Mean latency: the slowest router of a place ÷ the fastest, under each scheduler; and the "
    "slowest scheduler ÷ the fastest, behind the best router of a place.\n"
)


def _worth_table(rows: Sequence[Row]) -> Table:
    backends = list(dict.fromkeys(row.backend for row in rows))
    head = ("place", *(f"routers, {name}" for name in backends), "schedulers", "behind")
    return Table(head, [_worth(rows, spot, backends) for spot in spots(rows)], "l")


def _worth(rows: Sequence[Row], spot: Spot, backends: Sequence[str]) -> tuple[str, ...]:
    by = {name: at(rows, spot, name) for name in backends}
    routers = [_apart([r for r in own.values() if r.router != LINE]) for own in by.values()]
    here = [row for row in rows if row.spot == spot and row.router != LINE]
    best = max(here, key=_score, default=None)
    behind = "" if best is None else best.router
    schedulers = _apart([own[behind] for own in by.values() if behind in own])
    return (spot.title, *routers, schedulers, f"`{behind}`")


def _apart(rows: Sequence[Row]) -> str:
    """ "2.4×"."""
    own = [row.latency_s for row in rows if row.latency_s]
    return times(max(own) / min(own), 2) if own else UNMEASURED


def _spot_table(rows: Sequence[Row], spot: Spot) -> Table:
    """A row a router: goodput and mean latency under each scheduler, and what its cache gave."""
    backends = list(dict.fromkeys(row.backend for row in rows))
    main = PLAIN if PLAIN in backends else backends[0]
    head = ("router", *backends, *(f"{name}, {main}" for name in SHOWN))
    found = sorted(at(rows, spot), key=lambda router: _by_score(rows, spot, router, main))
    return Table(head, [(n, *_cells(rows, spot, n, backends, main)) for n in found], "l")


def _by_score(rows: Sequence[Row], spot: Spot, router: str, backend: str) -> tuple[float, float]:
    row = at(rows, spot, backend).get(router)
    return (0.0, 0.0) if row is None else (-(row.goodput or 0.0), row.latency_s or 0.0)


def _cells(
    rows: Sequence[Row], spot: Spot, router: str, backends: Sequence[str], main: str
) -> Iterator[str]:
    for name in backends:
        row = at(rows, spot, name).get(router)
        yield "" if row is None else f"{percent(row.goodput, 0, ' %')}, {seconds(row.latency_s)} s"
    own = at(rows, spot, main).get(router)
    if own is None:
        yield from [""] * len(SHOWN)
        return
    yield percent(own.hit_share, 1, " %")
    yield percent(_of_endless(own), 1, " %")
    yield measured(own.busy_cv, ".2f")
    yield from map(fixed, (own.moves, own.moved_tokens, own.evicted_blocks))


def _of_endless(row: Row) -> float | None:
    if row.hit_share is None or not row.endless_share:
        return None
    return row.hit_share / row.endless_share


def _csv(rows: Sequence[Row]) -> str:
    head = tuple(asdict(rows[0]))
    cells = [tuple("" if v is None else str(v) for v in asdict(row).values()) for row in rows]
    return as_csv(Table(head, cells, "l"))
