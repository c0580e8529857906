"""The shortest description of the borders: a decision tree over the axes, found exhaustively.

The cells are few and an axis has few values, so all trees of a depth can be looked at: no heuristic
chooses a cut. A leaf names a backend; a cell is wrong where that is neither the best nor level with
it. Of equally wrong trees the one with the lower regret is taken, then the one with fewer leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

DEPTHS = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Case:
    """A cell as the tree sees it. regrets: times the best's latency, by backend."""

    features: Mapping[str, float]
    accepted: frozenset[str]
    regrets: Mapping[str, float]


class Loss(NamedTuple):
    """What is minimised, in this order. regret: sum of the logarithms of the times."""

    wrong: int
    regret: float
    leaves: int

    def plus(self, other: Loss) -> Loss:
        wrong, regret = self.wrong + other.wrong, self.regret + other.regret
        return Loss(wrong, regret, self.leaves + other.leaves)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Everything that comes here is told this backend."""

    name: str
    loss: Loss = field(compare=False)

    def answer(self, features: Mapping[str, float]) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Cut:
    """Below the value of a feature one tree, from it on the other."""

    feature: str
    value: float
    below: Tree
    above: Tree
    loss: Loss = field(compare=False)

    def answer(self, features: Mapping[str, float]) -> str:
        side = self.below if features[self.feature] < self.value else self.above
        return side.answer(features)


Tree = Leaf | Cut


def best_tree(cases: Sequence[Case], depth: int) -> Tree:
    """The best of all trees that ask at most `depth` questions."""
    found = _leaf(cases)
    if depth == 0 or found.loss.wrong == 0:
        return found
    return min([found, *_cuts(cases, depth)], key=lambda tree: tree.loss)


def _leaf(cases: Sequence[Case]) -> Leaf:
    names = sorted(set.intersection(*({*case.regrets} for case in cases)))
    return min((Leaf(name, _loss(cases, name)) for name in names), key=lambda leaf: leaf.loss)


def _loss(cases: Sequence[Case], name: str) -> Loss:
    wrong = sum(name not in case.accepted for case in cases)
    return Loss(wrong, math.fsum(math.log(case.regrets[name]) for case in cases), 1)


def _cuts(cases: Sequence[Case], depth: int) -> list[Tree]:
    found: list[Tree] = []
    for feature, value in _questions(cases):
        below = [case for case in cases if case.features[feature] < value]
        above = [case for case in cases if case.features[feature] >= value]
        one, other = best_tree(below, depth - 1), best_tree(above, depth - 1)
        found.append(Cut(feature, value, one, other, one.loss.plus(other.loss)))
    return found


def _questions(cases: Sequence[Case]) -> list[tuple[str, float]]:
    """Half way between two neighbouring values; of values far apart, half way in ratio."""
    found = []
    for feature in cases[0].features:
        values = sorted({case.features[feature] for case in cases})
        found += [(feature, _between(a, b)) for a, b in pairwise(values)]
    return found


def _between(low: float, high: float) -> float:
    return math.sqrt(low * high) if low > 0 else (low + high) / 2


class Fit(NamedTuple):
    """A tree of a depth, how many cells it has wrong, and how many of cells it has not seen.

    unseen: each cell is asked of a tree that was made of the others. times: what following the
    tree costs in mean latency, a geometric mean over the cells.
    """

    depth: int
    tree: Tree
    wrong: int
    unseen: int
    times: float


def fits(cases: Sequence[Case]) -> list[Fit]:
    """The best tree of each depth."""
    return [_fit(cases, depth) for depth in DEPTHS]


def _fit(cases: Sequence[Case], depth: int) -> Fit:
    tree = best_tree(cases, depth)
    times = math.exp(tree.loss.regret / len(cases))
    return Fit(depth, tree, tree.loss.wrong, _unseen(cases, depth), times)


def _unseen(cases: Sequence[Case], depth: int) -> int:
    wrong = 0
    for number, case in enumerate(cases):
        others = [*cases[:number], *cases[number + 1 :]]
        wrong += bool(others) and _misses(best_tree(others, depth), case)
    return wrong


def _misses(tree: Tree, case: Case) -> bool:
    return tree.answer(case.features) not in case.accepted


def shortest(found: Sequence[Fit]) -> Fit:
    """The shallowest of those with the fewest wrong among cells that they have not seen."""
    return min(found, key=lambda fit: (fit.unseen, fit.depth))
