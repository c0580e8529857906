"""Whether the control's cap was searched is read from the runs, and said wherever they are told."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from compare.builders import write_run
from marsbench.judge.compare import compare
from marsbench.judge.compare.caps import caps_in, sentences
from marsbench.judge.compare.documents import record
from marsbench.judge.compare.figures import CAP, CAP_SEARCHED
from marsbench.judge.compare.points import Matrix, MatrixPoint, Place
from marsbench.judge.compare.show import render
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file, sweep_names
from marsbench.report.material import Material
from marsbench.report.paper import overview
from marsbench.report.tables import backends

SEARCH = {"goodput_by_cap": {"3": 1.0}, "alpha": 3.0}


def control(folder, caps, searched):
    """A run of `fcfs-cap` for each seed, beside one of `mars`."""
    runs = []
    for seed, (cap, own) in enumerate(zip(caps, searched, strict=True), start=1):
        settings = {"tool_cores": 8, **({"cap_search": SEARCH} if own else {})}
        told = {"seed": seed, "params": {"cap": cap}, "settings": settings}
        runs.append(write_run(folder / f"cap{seed}", "fcfs-cap", **told))
        runs.append(write_run(folder / f"mars{seed}", "mars", seed=seed))
    return runs


def printed(found):
    text = io.StringIO()
    render(found, [], Console(file=text, width=200))
    return text.getvalue()


def test_searched_caps_are_told_with_their_range(tmp_path):
    found = compare(control(tmp_path, [3, 5], [True, True]))
    (cap,) = found.caps
    assert (cap.backend, cap.low, cap.high, cap.searched) == ("fcfs-cap", 3, 5, True)
    assert "fcfs-cap: cap searched for each run, 3 to 5" in printed(found)
    assert not [caution for caution in found.cautions if "cap" in caution]
    assert record(found)["caps"][0]["searched"] is True


def test_a_cap_that_was_given_is_no_control_and_a_caution(tmp_path):
    found = compare(control(tmp_path, [2, 2], [False, False]))
    assert "fcfs-cap: cap fixed at 2, not searched: no best control" in printed(found)
    assert [c for c in found.cautions if "leave the cap out" in c]


def test_reports_say_it_of_the_runs_that_they_are_of(tmp_path):
    for caps, searched, words in (
        ([3, 5], True, "cap searched for each run, 3 to 5"),
        ([2, 2], False, "cap fixed at 2, not searched: no best control"),
    ):
        material = Material.read(control(tmp_path / str(searched), caps, [searched, searched]))
        assert ("fcfs-cap", "fcfs-cap", words) in backends(material).rows
        assert f"`fcfs-cap`: {words}." in overview(material).caption


def test_a_backend_of_ones_own_with_another_cap_is_none(tmp_path):
    run = write_run(tmp_path / "mine", "mine:Mine", params={"cap": 3})
    assert compare([run]).caps == ()


def test_a_cap_is_searched_anew_where_the_world_is_varied():
    places = [Place("ilr-1", 1.2, None, "h200", "paper", name, "m") for name in ("base", "slow")]
    points = [
        MatrixPoint(place, "fcfs-cap", (1,), ({CAP: cap, CAP_SEARCHED: 1.0},))
        for place, cap in zip(places, (5.0, 6.0), strict=True)
    ]
    assert list(sentences(caps_in(Matrix(points)))) == [
        "`fcfs-cap`: cap searched for each run, 5 to 6, anew in each variation "
        "(the traffic is the same)."
    ]


FEWEST_CAPS = 3


NO_CONTROL = {"gate-calibration", "host-kv"}
"""There a cap is a policy: a smaller one is what makes it worse, or host memory what is varied."""


@pytest.mark.parametrize("name", sorted({*sweep_names()} - NO_CONTROL))
def test_a_shipped_sweep_searches_the_cap_or_plays_several(name):
    sweep = read_sweep_file(find_sweep(name))
    for part in (sweep, *sweep.parts):
        caps = {entry.set["cap"] for entry in part.backends if "cap" in entry.set}
        assert not caps or len(caps) >= FEWEST_CAPS
