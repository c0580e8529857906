"""The tree is the best of all of its depth, and is asked of what it has not seen."""

from __future__ import annotations

import math
from itertools import product

from studies.map.tree import Case, Cut, Leaf, best_tree, fits, shortest

NAMES = ("a", "b")


def case(x, y, best):
    regrets = {name: 1.0 if name == best else 2.0 for name in NAMES}
    return Case({"x": float(x), "y": float(y)}, frozenset([best]), regrets)


CORNERS = [case(x, y, "ab"[x * y]) for x, y in product((0, 1), (0, 1)) for _ in range(2)]
CROSSED = [case(x, y, "ab"[x ^ y]) for x, y in product((0, 1), (0, 1)) for _ in range(2)]


def test_one_question_where_one_does():
    cases = [case(x, 0, "b" if x >= 3 else "a") for x in range(6)]
    tree = best_tree(cases, 3)
    assert isinstance(tree, Cut)
    assert (tree.feature, round(tree.value, 6)) == ("x", round(math.sqrt(6), 6))
    assert (tree.below, tree.above) == (Leaf("a", tree.loss), Leaf("b", tree.loss))
    assert tree.loss == (0, 0.0, 2)


def test_it_finds_what_a_greedy_cut_does_not_see():
    assert [best_tree(CROSSED, depth).loss.wrong for depth in (0, 1, 2)] == [4, 4, 0]


def test_no_tree_by_hand_is_better():
    tree = best_tree(CORNERS, 1)
    by_hand = [
        sum((one if c.features[name] < 0.5 else other) not in c.accepted for c in CORNERS)
        for name, one, other in product("xy", NAMES, NAMES)
    ]
    assert tree.loss.wrong == min(by_hand) == 2


def test_cells_that_were_not_seen_tell_how_far_it_carries():
    noise = [case(x, 0, "ab"[x % 2]) for x in range(6)]
    found = fits(noise)
    assert found[3].wrong < found[0].wrong
    assert found[3].unseen > found[3].wrong
    crossed = shortest(fits(CROSSED))
    assert (crossed.depth, crossed.wrong, crossed.unseen, crossed.times) == (2, 0, 0, 1.0)
