"""How far a backend's figures move over the readings of its paper, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Matrix, MatrixPoint, Place
from marsbench.judge.compare.winners import MEASURES, results_at, where_it_turns, winners
from marsbench.judge.paper.systems import CONTROL, KNOW_THE_FUTURE, MARS, PUBLISHED
from marsbench.judge.paper.tables import as_csv
from marsbench.text.numbers import UNMEASURED, percent, short, times
from marsbench.text.tables import Table, markdown
from marsbench.text.words import few, listed, quoted
from marsbench_backends import registry
from studies.reproduce.documents import matrix_of, read_sweeps

PAGE = """\
# How far our readings matter

Computed from run folders; {cells} runs of {sweeps}. {state}

Where a paper gives no value, or gives one for another world, ours is a reading of it. Here each \
is changed alone, over the range that `marsbench backends NAME` prints, with all else as it is. A \
figure stands as that of the default, with the lowest and highest over all readings in brackets: \
what is ours is a band, and a lead inside it is no lead of the paper's. Readings are not combined, \
so a band may be wider than it looks; \
where readings are missing, it is of so many as are named.

{reservation}

## Bands

Latency is from a session's arrival to its end; goodput(α) is the share of the sessions that \
arrived and took at most α times as long as alone; the worst slowdown is the largest of any session.

{bands}

## Who wins, and whom another reading lifts above it

Winners with all defaults, of the backends that a server can run. *Lifted*: backends with a \
reading whose value is at least as good as the winner's default.

{winners}

## What moves mean latency most

Mean latency of a reading over that of the default. *Unmoved*: no figure of the run differs from \
the default's, so that the reading decided nothing there.

{movers}

## Cautions of the runs

{cautions}

## Every reading

{every}
"""
FIGURES = (*MEASURES[:-1], LATENCY, MEASURES[-1])


@dataclass(frozen=True, slots=True)
class Played:
    """A point under its default, where `setting` is empty, or with one parameter changed."""

    backend: str
    setting: str
    point: MatrixPoint

    @staticmethod
    def of(point: MatrixPoint) -> Played:
        """Labels of the sweep are a backend's name, and after a space what is set."""
        backend, _, setting = point.backend.partition(" ")
        return Played(backend, setting, point)


def readings(folders: Sequence[Path]) -> tuple[str, str]:
    """The page and its figures as CSV. Raises UsageError when nothing is there to compare."""
    results, facts = read_sweeps(folders)
    matrix = matrix_of(results)
    page = PAGE.format(
        **facts,
        reservation=_reservation(matrix),
        bands=_by_place(matrix, _bands),
        winners=_by_place(matrix, _winners),
        movers=_by_place(matrix, _movers),
        every=_by_place(matrix, _every),
    )
    return page, as_csv(matrix)


def _by_place(matrix: Matrix, table: Callable[[Matrix, Place], Table]) -> str:
    return "\n\n".join(
        f"### {matrix.title(place)}\n\n{markdown(table(matrix, place))}" for place in matrix.places
    )


def by_backend(matrix: Matrix, place: Place) -> dict[str, list[Played]]:
    """The readings of every backend that has its default there, that first."""
    found: dict[str, list[Played]] = {}
    for reading in map(Played.of, matrix.here(place)):
        found.setdefault(reading.backend, []).append(reading)
    whole = {name: sorted(own, key=lambda r: bool(r.setting)) for name, own in found.items()}
    return {name: own for name, own in whole.items() if not own[0].setting}


def _bands(matrix: Matrix, place: Place) -> Table:
    rows = [
        (name, _played(name, len(own) - 1), *(_band(own, figure) for figure in FIGURES))
        for name, own in by_backend(matrix, place).items()
    ]
    return Table(("backend", "readings", *(figure.label for figure in FIGURES)), rows)


def _played(name: str, number: int) -> str:
    """How many readings a band is over, and of how many where some are missing."""
    known = registry.load(name).parameters if name in registry.BACKENDS else ()
    planned = sum(len(p.reading.others) for p in known if p.reading is not None)
    return str(number) if number >= planned else f"**{number} of {planned}**"


def _band(own: Sequence[Played], figure: Figure) -> str:
    """ "88% (54%–91%)"."""
    known = [v for one in own if (v := one.point.mean(figure)) is not None]
    default = own[0].point.mean(figure)
    low, high = (_cell(figure, end(known)) for end in (min, max)) if known else (UNMEASURED,) * 2
    return _cell(figure, default) if low == high else f"{_cell(figure, default)} ({low}–{high})"


def _cell(figure: Figure, value: float | None) -> str:
    return percent(value) if figure.is_share else short(value)


def _winners(matrix: Matrix, place: Place) -> Table:
    found = by_backend(matrix, place)
    able = [name for name in found if name not in (*KNOW_THE_FUTURE, CONTROL)]
    best = winners(results_at(matrix, place, able))
    rows = [
        (figure.label, one.told, few(quoted(_lifted(found, able, figure, one.value))) or "nobody")
        for figure, one in best.items()
    ]
    rows.append(("all", f"{where_it_turns(best)} Of {listed(able)}.", ""))
    return Table(("by", "winner", "lifted"), rows, "l")


def _lifted(
    found: Mapping[str, Sequence[Played]], able: Sequence[str], figure: Figure, bar: float
) -> list[str]:
    """Backends that do not have this value by default and have it, or better, by a reading."""
    up = figure.better == "higher"

    def reaches(one: Played) -> bool:
        value = one.point.mean(figure)
        return value is not None and (value >= bar if up else value <= bar)

    return [
        name for name in able if not reaches(found[name][0]) and any(map(reaches, found[name][1:]))
    ]


def _movers(matrix: Matrix, place: Place) -> Table:
    rows = [(name, *_moved(own)) for name, own in by_backend(matrix, place).items() if len(own) > 1]
    head = ("backend", "worst reading", "÷ default", "best", "÷ default", "unmoved")
    return Table(head, rows, "llrlrl")


def _moved(own: Sequence[Played]) -> Iterator[str]:
    default = own[0].point.mean(LATENCY)
    ratios = {
        one.setting: value / default
        for one in own[1:]
        if default and (value := one.point.mean(LATENCY)) is not None
    }
    for end in (max, min):
        setting = end(ratios, key=lambda name: ratios[name], default="")
        yield f"`{setting}`" if setting else UNMEASURED
        yield times(ratios.get(setting), 2)
    same = [one.setting for one in own[1:] if one.point.runs == own[0].point.runs]
    yield f"{len(same)} of {len(own) - 1}" + (f": {few(quoted(same))}" if same else "")


def _every(matrix: Matrix, place: Place) -> Table:
    rows = [
        (name, one.setting or "default", *(_cell(f, one.point.mean(f)) for f in FIGURES),
         times(matrix.ratio(place, LATENCY, one.point.backend, name), 2))
        for name, own in by_backend(matrix, place).items()
        for one in own
    ]  # fmt: skip
    head = ("backend", "reading", *(figure.label for figure in FIGURES), "mean ÷ default")
    return Table(head, rows, "ll")


def _reservation(matrix: Matrix) -> str:
    """What MARS's reservation, which is ours, is worth at each point."""
    told = [
        f"{times(ratio, 2)} at {matrix.title(place)}"
        for place in matrix.places
        if (ratio := matrix.ratio(place, LATENCY, PUBLISHED, MARS)) is not None
    ]
    if not told:
        return "Which backends have readings: `marsbench backends`."
    return (
        "`mars` reserves memory for sessions in flight, by a rule that is ours; `mars-published` "
        f"does not. Its mean latency over that of `mars`: {', '.join(told)}. `mars` with "
        "`reserve=false` is `mars-published`."
    )
