"""What not to conclude from a comparison, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.judge.compare.points import MatrixPoint
from marsbench.judge.compare.read import Folders
from marsbench.judge.compare.values import RunSource
from marsbench.judge.intervals import fewest
from marsbench.runs.failures import in_words, together
from marsbench.text.numbers import count

PINNED = "the pinned one"


def cautions_on(
    given: Folders, points: Sequence[MatrixPoint], baseline: str, confidence: float
) -> Iterator[str]:
    """One sentence each, the gravest first."""
    yield from _invalid(given)
    yield from failed_sessions([run.source for run in given.runs])
    for folder, number in given.missing.items():
        yield f"{number} planned runs of {folder} are missing; `marsbench sweep` plays them."
    yield from _unpaired(points, baseline)
    yield from _few(points, confidence)
    vllms = sorted({run.source.vllm or PINNED for run in given.runs})
    if len(vllms) > 1:
        yield f"The runs are of different vLLMs ({', '.join(vllms)}): what differs may be vLLM's."
    codes = sorted({run.source.code.partition(", vLLM ")[0] for run in given.runs})
    if len(codes) > 1:
        yield f"The runs were made by different code ({', '.join(codes)}); rerun them with one."


def _invalid(given: Folders) -> Iterator[str]:
    wrong = [run.source for run in given.runs if not run.source.valid]
    if wrong:
        yield (
            f"{len(wrong)} of {len(given.runs)} runs are not valid, the first {wrong[0].path}: "
            f"{wrong[0].reasons[0]}; rerun them."
        )


def failed_sessions(sources: Sequence[RunSource]) -> Iterator[str]:
    """How many sessions failed, by backend, and why."""
    for backend in dict.fromkeys(source.backend for source in sources):
        own = [source.failures for source in sources if source.backend == backend]
        failures = together(own)
        if failures:
            number = count(sum(one["sessions"] for one in failures), "session")
            runs = count(sum(map(bool, own)), "run")
            yield f"{number} of {backend} failed, in {runs}: {in_words(failures)}."


def _unpaired(points: Sequence[MatrixPoint], baseline: str) -> Iterator[str]:
    bases = {point.place: set(point.seeds) for point in points if point.backend == baseline}
    lonely = [
        point for point in points if point.place in bases and set(point.seeds) != bases[point.place]
    ]
    if lonely:
        yield (
            f"{lonely[0].backend} and {baseline} have not the same seeds on "
            f"{lonely[0].place.title}; differences are of the seeds that both have."
        )


def _few(points: Sequence[MatrixPoint], confidence: float) -> Iterator[str]:
    """Nothing is better or worse on few seeds; said once, with the fewest that there are."""
    needed = fewest(confidence)
    few = min((len(point.seeds) for point in points), default=needed)
    if few < needed:
        have = "1 seed" if few == 1 else f"{few} seeds"
        yield (
            f"{have} cannot tell what is better at {100 * confidence:g}%: there is no interval and "
            f"no verdict below {needed} seeds; run {needed} or more."
        )
