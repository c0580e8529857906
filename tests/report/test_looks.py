"""A backend looks the same everywhere, and like no other, in colour and in grey."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from marsbench.report.looks import LOOKS, SPARE, looks_of, luminance
from marsbench_backends.registry import BACKENDS

ALL = [*LOOKS.values(), *SPARE]


def test_every_backend_of_ours_has_a_look_of_its_own():
    assert set(BACKENDS) <= set(LOOKS)


def test_a_backend_looks_the_same_whoever_is_beside_it():
    assert looks_of(["mars", "fcfs"])["mars"] == looks_of(["oracle", "mars", "theirs"])["mars"]


def test_those_of_others_come_last_and_in_order_of_name():
    assert list(looks_of(["zeta", "mars", "alpha"])) == ["mars", "alpha", "zeta"]


def test_no_two_share_a_colour():
    assert max(Counter(look.color for look in ALL).values()) == 1


def test_no_two_share_a_marker_so_that_grey_can_be_read():
    assert max(Counter(look.marker for look in ALL).values()) == 1


@pytest.mark.parametrize(("a", "b"), list(combinations(LOOKS, 2)))
def test_in_grey_two_backends_differ_by_dash_or_clearly_by_shade(a, b):
    one, other = LOOKS[a], LOOKS[b]
    shades = abs(luminance(one.color) - luminance(other.color))
    assert one.dash != other.dash or one.hollow != other.hollow or shades > 0.02


@pytest.mark.parametrize("name", LOOKS)
def test_every_line_stands_out_from_white_paper(name):
    assert luminance(LOOKS[name].color) < 0.75


def test_luminance_of_black_white_and_green():
    assert [luminance(c) for c in ("#000000", "#ffffff", "#00ff00")] == pytest.approx(
        [0, 1, 0.7152]
    )
