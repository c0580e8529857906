"""What not to conclude from a comparison, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.compare.groups import Group
from marsbench.compare.read import Given

ENOUGH_SEEDS = 6
"""Below it not even a sign test could tell two backends apart at 95 %: 2 · 2⁻⁵ is over 5 %."""


def cautions_on(given: Given, groups: Sequence[Group], baseline: str) -> Iterator[str]:
    """One sentence each, the gravest first."""
    yield from _invalid(given)
    for folder, number in given.missing.items():
        yield f"{number} planned runs of {folder} are missing; `marsbench sweep` plays them."
    yield from _unpaired(groups, baseline)
    yield from _few(groups)
    codes = sorted({run.source.code for run in given.runs})
    if len(codes) > 1:
        yield f"The runs were made by different code ({', '.join(codes)}); rerun them with one."


def _invalid(given: Given) -> Iterator[str]:
    wrong = [run.source for run in given.runs if not run.source.valid]
    if wrong:
        yield (
            f"{len(wrong)} of {len(given.runs)} runs are not valid, the first {wrong[0].path}: "
            f"{wrong[0].reasons[0]}; rerun them."
        )


def _unpaired(groups: Sequence[Group], baseline: str) -> Iterator[str]:
    bases = {group.place: set(group.seeds) for group in groups if group.backend == baseline}
    lonely = [
        group for group in groups if group.place in bases and set(group.seeds) != bases[group.place]
    ]
    if lonely:
        yield (
            f"{lonely[0].backend} and {baseline} have not the same seeds on "
            f"{lonely[0].place.title}; differences are of the seeds that both have."
        )


def _few(groups: Sequence[Group]) -> Iterator[str]:
    fewest = min((len(group.runs) for group in groups), default=ENOUGH_SEEDS)
    if fewest == 1:
        yield (
            "Some intervals are of the sessions of one seed, which wait in one queue and are no "
            "independent sample; run several seeds before believing a small difference."
        )
    elif fewest < ENOUGH_SEEDS:
        yield (
            f"Intervals rest on {fewest} seeds, and a bootstrap of so few is too narrow to call a "
            f"backend better or worse; run {ENOUGH_SEEDS} seeds or more."
        )
