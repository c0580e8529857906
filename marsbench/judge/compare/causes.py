"""Why is it slower: where the seconds of a mean session went, by backend, and beside the baseline.

Reads what happened in each run (`marsbench.judge.why`), where all else of a comparison needs the
figures alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from pathlib import Path
from typing import NamedTuple

from marsbench.judge.compare.points import Place, Seed, Where, by_seed
from marsbench.judge.why.causes import Causes, alike, mean
from marsbench.judge.why.mean import MeanSession, mean_session
from marsbench.text.numbers import short
from marsbench.text.progress import progress_bar
from marsbench.text.words import listed

MOST_RUNS = 40
"""So many are read without being asked: a run's events take a tenth of a second and more."""
WORDS = {
    "admission_s": "waiting for admission",
    "queue_s": "queued in the engine",
    "recompute_s": "recomputing what was lost",
    "found_s": "saved by others' work",
    "contention_s": "in steps longer than alone",
    "agents_s": "in sub-agents",
    "tools_s": "in stretched tools",
    "rest_s": "not told apart",
    "ideal_s": "alone",
}
"""Of a difference, behind "41 s more"."""
MOST_TOLD, LEAST_TOLD = 3, 0.1
"""So many parts of a difference are told, and none below this share of the largest."""
ALIKE = 0.01
"""Of the baseline's completion: sessions take as long that differ by no more."""


class CauseRow(NamedTuple):
    """A mean session of a backend at a place: the mean over its seeds of the mean over sessions.

    causes: seconds, which add up to completion_s - ideal_s (docs/why.md). sessions: of all seeds,
    that finished and have a time alone; left_out: those that did not, or have none. None, with a
    note that says why, where one of its runs cannot be told: the others would be no sample.
    """

    place: Place
    backend: str
    seeds: int
    sessions: int
    left_out: int
    completion_s: float | None
    ideal_s: float | None
    causes: Causes
    note: str | None


class CauseDifference(NamedTuple):
    """A backend less the baseline, of the seeds that both have: ideal_s and causes add up to
    completion_s. told: the largest of them in a sentence.
    """

    place: Place
    backend: str
    baseline: str
    seeds: int
    completion_s: float
    ideal_s: float
    causes: Causes
    told: str


Seeds = Mapping[Seed, MeanSession]
Means = Mapping[Where, Seeds]
Lying = tuple[Where, Seed, Path]
"""Where a run stands, and where it lies."""


def read_means(runs: Sequence[Lying]) -> Means:
    """The mean session of every run, its events read."""
    found: defaultdict[Where, dict[Seed, MeanSession]] = defaultdict(dict)
    with progress_bar("reading why", len(runs)) as tell:
        for done, (where, seed, path) in enumerate(runs, 1):
            found[where][seed] = mean_session(path)
            tell(done)
    return found


def cause_rows(means: Means, order: Sequence[Where]) -> Iterator[CauseRow]:
    """A row a backend and place."""
    return (_row(where, means[where]) for where in order)


def _row(where: Where, of: Seeds) -> CauseRow:
    own = [*of.values()]
    dark = [one.note for one in own if not one.sessions]
    notes = [one.note for one in own if one.note is not None]
    counts = (len(own), sum(one.sessions for one in own), sum(one.left_out for one in own))
    if dark:
        return CauseRow(*where, *counts, None, None, Causes(), dark[0])
    times = (_mean([one.completion_s for one in own]), _mean([one.ideal_s for one in own]))
    causes = mean([one.causes for one in own])
    return CauseRow(*where, *counts, *times, causes, next(iter(notes), None))


def cause_differences(
    means: Means, order: Sequence[Where], baseline: str
) -> Iterator[CauseDifference]:
    """Every backend against the baseline of its place, where both can be told."""
    for where in order:
        place, backend = where
        base = means.get((place, baseline), {})
        shared = sorted(base.keys() & means[where].keys(), key=by_seed)
        sides = [_row((place, name), {seed: means[place, name][seed] for seed in shared})
                 for name in (baseline, backend) if shared]  # fmt: skip
        if backend != baseline and sides and all(row.completion_s is not None for row in sides):
            yield _difference(*sides)


def _difference(base: CauseRow, own: CauseRow) -> CauseDifference:
    below, above = (one.known for one in alike([base.causes, own.causes]))
    causes = {name: above[name] - below[name] for name in above}
    ideal_s, completion_s = (
        (after or 0.0) - (before or 0.0)
        for before, after in ((base.ideal_s, own.ideal_s), (base.completion_s, own.completion_s))
    )
    told = _told(base, own, completion_s, {"ideal_s": ideal_s, **causes})
    head = (own.place, own.backend, base.backend, own.seeds)
    return CauseDifference(*head, completion_s, ideal_s, Causes(**causes), told)


def _told(base: CauseRow, own: CauseRow, whole_s: float, parts: Mapping[str, float]) -> str:
    """ "A session of mars takes 2,855 s less than one of fcfs: 3,119 s less queued in the engine
    and 613 s more waiting for admission."
    """
    same = abs(whole_s) <= ALIKE * (base.completion_s or 0.0)
    amount = "as long as" if same else f"{_more(whole_s)} than"
    begin = f"A session of {own.backend} takes {amount} one of {base.backend}"
    ranked = sorted(parts.items(), key=lambda item: -abs(item[1]))
    least = max(LEAST_TOLD * abs(ranked[0][1]), ALIKE * (base.completion_s or 0.0))
    told = [_part(*part) for part in ranked[:MOST_TOLD] if abs(part[1]) > least]
    return f"{begin}: {listed(told)}." if told else f"{begin}."


def _part(name: str, value: float) -> str:
    """What is found of others' work is below 0, and saved."""
    return f"{_more(-value if name == 'found_s' else value)} {WORDS[name]}"


def _more(value: float) -> str:
    return f"{short(abs(value))} s {'more' if value > 0 else 'less'}"


def _mean(values: Sequence[float | None]) -> float:
    return fsum(value or 0.0 for value in values) / len(values)
