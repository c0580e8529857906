"""The documents: which tables, in which order, and what a reader must know beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.judge.compare.figures import figures_of
from marsbench.judge.compare.points import Matrix, place_of, points_of
from marsbench.judge.compare.ranking import held, varied
from marsbench.judge.compare.tally import Carrier, tally
from marsbench.judge.compare.winners import turning_places, winners_table
from marsbench.judge.paper import part_tables, tables
from marsbench.judge.paper.systems import BASELINES, CONTROL, KNOW_THE_FUTURE
from marsbench.judge.sweep.folder import Result, SweepFolder
from marsbench.text.tables import markdown
from marsbench.text.words import bulleted, each

STORY = """\
# The paper's comparison, repeated

Computed from run folders; {cells} runs of {sweeps}. {state}

Latency is from a session's arrival to its end, admission and tools included; goodput(α) is the \
share of the sessions that arrived and took at most α times as long as alone. Every figure is the \
mean over seeds, with the lowest and highest in brackets. Evictions are in blocks of 16 tokens, \
the paper's size; what is swapped to host memory is not evicted, and what is loaded from it is no \
hit on the GPU. Loads are rate × mean GPU seconds of a session alone. Definitions: \
[metrics](../docs/metrics.md); how it is run and read: [reproduction](../docs/reproduction.md).

## What the paper reports

{reported}

How the verdicts are reached; "contended" are the places at which FCFS serves less than nine \
tenths of the sessions within 3 times alone. {thresholds}

{rules}

Each row is judged for `mars`, which reserves memory by a rule that is ours, and for \
`mars-published`, the parts that the paper describes. What else is ours in both, and in the \
baselines, is a reading: how far each figure moves over them is in [readings](readings.md).

## Who is ahead where

Mean latency; a ratio above 1 is in favour of MARS. Best baseline: of {baselines}. {caps}

{overview}

## Who wins by which measure

Of the backends that a server can run: goodput at each α, and the worst slowdown of any session, \
mean over seeds. Level: within 5 % of sessions, or of the worst slowdown. {turning}

{winners}

## Cautions of the runs

{cautions}

## Goodput and throughput as load rises

From the lowest load to the highest. Computed tokens are prompts less what was found, outputs, \
and what was computed again after preemptions.

{loads}

## Evictions over a run

Blocks of 16 tokens a second that sessions still under way lost.

{quarters}

## MARS without its parts

Mean latency over that of the whole; above 1, the part helps. *Not exercised*: the part decided \
nothing in a run of the whole, so switching it off tells nothing. The paper's opportunistic part \
shrinks chunks and pins; its halves alone are ours. The light-load inversion would be a value \
below 1 of `no-opportunistic` in the lightest rows. `mars` has a memory reservation that is ours, \
`mars-published` the parts that the paper describes and nothing more: what a part is worth \
depends on it. How often the parts decided something, in a run, stands below each; the counts are \
defined in [metrics](../docs/metrics.md).

{parts}

## Every figure

{details}
"""

ALONG = """\
# {title}

Computed from run folders; {cells} runs of {sweeps}. {state} {caps} {thresholds} A verdict is \
*held* when no clear lead of one backend over another became a clear lead of the other; *winner \
held* when some did, but none that involves the first.

## Whether the ranking held

{rankings}

## Cautions of the runs

{cautions}

## Figures

{details}
"""


def story(folders: Sequence[Path]) -> tuple[str, str]:
    """The comparison as Markdown and as CSV. Raises UsageError when nothing is there to compare."""
    results, facts = read_sweeps(folders)
    matrix = matrix_of(results)
    text = STORY.format(
        **facts,
        reported=tables.reported(matrix),
        thresholds=tables.thresholds(),
        rules=tables.rules(),
        baselines=", ".join(f"`{name}`" for name in BASELINES),
        overview=tables.overview(matrix),
        loads=tables.loads(matrix),
        quarters=tables.eviction_quarters(matrix),
        parts="\n\n".join(_parts(matrix, mars) for mars in tables.wholes(matrix)),
        caps=tables.caps(matrix),
        winners=markdown(winners_table(matrix, _runnable(matrix))),
        turning=turning_places(matrix, _runnable(matrix)),
        details=tables.details(matrix),
    )
    return text, tables.as_csv(matrix)


def _parts(matrix: Matrix, mars: str) -> str:
    tables_ = (part_tables.ablations(matrix, mars), part_tables.decided(matrix, mars))
    return "\n\n".join((f"### {mars}", *tables_))


def _runnable(matrix: Matrix) -> list[str]:
    """Without ablations, the clairvoyant, and the cap that was searched in hindsight."""
    beyond = (*KNOW_THE_FUTURE, CONTROL)
    return [name for name in matrix.backends if "-no-" not in name and name not in beyond]


def along(folders: Sequence[Path]) -> tuple[str, str]:
    """Whether the ranking holds along what a sweep varies, as Markdown and as CSV.

    Raises UsageError when it varies nothing but workloads, loads, backends and seeds.
    """
    results, facts = read_sweeps(folders)
    matrix = matrix_of(results)
    dimensions = varied(matrix)
    if not dimensions:
        raise UsageError(
            f"{folders[0]} has one hardware, one engine and one variation, so there is nothing "
            "to hold a ranking against; list several in the sweep file."
        )
    text = ALONG.format(
        **facts,
        title=facts["titles"],
        caps=tables.caps(matrix),
        thresholds=tables.thresholds(),
        rankings="\n\n".join(tables.rankings(held(matrix, name), name) for name in dimensions),
        details=tables.details(matrix),
    )
    return text, tables.as_csv(matrix)


def matrix_of(results: Sequence[Result]) -> Matrix:
    """The runs of sweeps as points, by what their summaries say."""
    return Matrix(
        points_of(
            ((place_of(run), str(run.place["backend"])), run.place["seed"], figures_of(run))
            for run in results
        )
    )


def read_sweeps(folders: Sequence[Path]) -> tuple[list[Result], dict[str, str]]:
    """Every complete run of these sweeps, and what a page says of them. Raises UsageError."""
    sweeps = [SweepFolder.open(folder) for folder in folders]
    plans = [sweep.plan() for sweep in sweeps]
    results = [result for sweep in sweeps for result in sweep.results()]
    if not results:
        raise UsageError(f"{folders[0]} holds no complete run yet; go on with `marsbench sweep`.")
    planned = sum(len(plan["cells"]) for plan in plans)
    names = [f"`{plan['name']}`" for plan in plans]
    return results, {
        "cautions": bulleted(tally(_carriers(results))),
        "cells": str(len(results)),
        "sweeps": " and ".join(names),
        "titles": " and ".join(str(plan["name"]) for plan in plans),
        "state": " ".join(_state(results, planned)),
    }


def _carriers(results: Sequence[Result]) -> Iterator[Carrier]:
    matrix = matrix_of(results)
    for result in results:
        where = matrix.title(place_of(result))
        yield Carrier(str(result.place["backend"]), where, result.summary["cautions"])


def _state(results: Sequence[Result], planned: int) -> Iterator[str]:
    """What is missing, what does not count, and what it was made with."""
    if planned > len(results):
        yield f"**{planned - len(results)} of {planned} runs are missing.**"
    invalid = sum(not result.summary["valid"] for result in results)
    if invalid:
        yield f"**{invalid} runs are not valid.**"
    hardware = each([str(result.summary["hardware"].get("id")) for result in results])
    code = each([result.summary["code"] for result in results])
    yield f"Hardware {', '.join(hardware)}; code {', '.join(code)}; step times modelled."
    if len({result.place["seed"] for result in results}) == 1:
        yield "One seed: what is near may turn with another."
    if len(code) > 1:
        yield "**The code changed meanwhile**: `marsbench sweep` again plays what it concerns."
