"""What not to conclude from a comparison, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.judge.compare.groups import Group
from marsbench.judge.compare.read import Given
from marsbench.judge.intervals import fewest


def cautions_on(
    given: Given, groups: Sequence[Group], baseline: str, confidence: float
) -> Iterator[str]:
    """One sentence each, the gravest first."""
    yield from _invalid(given)
    for folder, number in given.missing.items():
        yield f"{number} planned runs of {folder} are missing; `marsbench sweep` plays them."
    yield from _unpaired(groups, baseline)
    yield from _few(groups, confidence)
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


def _few(groups: Sequence[Group], confidence: float) -> Iterator[str]:
    """Nothing is better or worse on few seeds; said once, with the fewest that there are."""
    needed = fewest(confidence)
    few = min((len(group.runs) for group in groups), default=needed)
    if few < needed:
        have = "1 seed" if few == 1 else f"{few} seeds"
        yield (
            f"{have} cannot tell what is better at {100 * confidence:g}%: there is no interval and "
            f"no verdict below {needed} seeds; run {needed} or more."
        )
