"""Where an axis ends that a few backends would stretch."""

from __future__ import annotations

import pytest

from marsbench.report.figures.fence import fence, said
from marsbench.text.words import wrapped

OTHERS = {f"b{n}": [1.0, 10.0 + n] for n in range(5)}


def test_one_backend_far_beyond_the_others_ends_the_axis_before_it():
    found = fence({**OTHERS, "far": [2.0, 900.0]}, far=5.0)
    assert found is not None
    assert found.end == 14.0
    assert found.beyond == {"far": 900.0}


def test_nobody_far_beyond_is_no_fence():
    assert fence({**OTHERS, "near": [60.0]}, far=5.0) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_more_than_one_in_five_are_the_picture(number):
    far = {f"far{n}": [900.0] for n in range(number)}
    assert (fence({**OTHERS, **far}, far=5.0) is None) == (number > 1)


def test_a_backend_without_a_value_counts_for_nothing():
    assert fence({"a": [], "b": [5.0]}, far=2.0) is None


def test_a_caption_says_what_lies_beyond():
    found = fence({**OTHERS, "far": [900.0]}, far=5.0)
    assert "far up to 900 (mean latency, s)" in said([("mean latency, s", found), ("x", None)])
    assert said([("x", None)]) == ""


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [
        ("mars", 10, ["mars"]),
        ("infercept-static", 12, ["infercept-", "static"]),
        ("ilr-1 at load 1.2", 15, ["ilr-1 at load", "1.2"]),
        ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
    ],
)
def test_names_are_wrapped_where_they_may_break(text, most, lines):
    assert wrapped(text, most) == "\n".join(lines)


def test_what_takes_too_many_lines_ends_in_an_ellipsis():
    assert wrapped("one two three four", 5, 2) == "one\ntwo…"
