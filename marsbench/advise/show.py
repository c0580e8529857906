"""An advice on a screen: a paragraph, a table a load, what it depends on."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from marsbench.advise.advise import Advice, cautions_of
from marsbench.advise.traffic import UserLoad
from marsbench.advise.verdict import FCFS, AtLoad, ChoiceRow
from marsbench.advise.words import depends, figure_head, load_of, summary, sureness, users_at
from marsbench.judge.compare import Difference, Estimate
from marsbench.judge.compare.show import beside, value_in_words
from marsbench.text.cautions import print_caution
from marsbench.text.console import drawn
from marsbench.text.tables import Cell, Table


def render(advice: Advice, console: Console) -> None:
    """The whole advice."""
    print_line(console, summary(advice))
    print_line(console, f"\nHow sure: {sureness(advice)}\n")
    for at in (advice.verdict.today, advice.verdict.twice):
        load = load_of(advice, at.name)
        console.print(f"[bold]{escape(_title(advice, load))}[/bold]", highlight=False)
        console.print(drawn(_table(advice, at)))
    print_line(console, "* best or level with the best; in brackets the typical seed's interval\n")
    print_line(console, "It depends on")
    for sentence in depends(advice):
        print_line(console, f"  {sentence}")
    for code, text in cautions_of(advice, (FCFS, advice.verdict.choice)).items():
        print_caution(console, text, code)


def print_line(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False)


def _title(advice: Advice, load: UserLoad) -> str:
    where = advice.world.hardware.id
    return f"{users_at(advice, load.name)}, {load.rate:g} sessions/s on one {where}"


def _table(advice: Advice, at: AtLoad) -> Table:
    """Who is level with the best comes first, then by mean latency."""
    figures = advice.verdict.figures
    head = ("", *(text for figure in figures for text in (figure_head(figure), "to fcfs")))
    order = sorted(at.rows, key=lambda row: _place(at, row))
    return Table(head, [_cells(at, row) for row in order], "Lr")


def _place(at: AtLoad, row: ChoiceRow) -> tuple[int, str]:
    own = at.level.index(row.backend) if row.backend in at.level else len(at.level)
    return own, row.backend


def _cells(at: AtLoad, row: ChoiceRow) -> tuple[Cell, ...]:
    mark = " *" if row.backend in at.level else ""
    told = (
        text
        for figure, own in row.figures.items()
        for text in (_mean(own), _against(row.against.get(figure)))
    )
    return (f"{row.backend}{mark}", *told)


def _mean(own: Estimate) -> str:
    """The mean over the seeds, and the typical seed's interval: "97% (95.0%–100.0%)"."""
    _, low, high = own.typical
    value = value_in_words(own.figure, own.mean)
    if low is None or high is None:
        return value
    between = (value_in_words(own.figure, bound) for bound in (low, high))
    return f"{value} ({'–'.join(between)})"


def _against(one: Difference | None) -> str:
    return "" if one is None else beside(one)[1]
