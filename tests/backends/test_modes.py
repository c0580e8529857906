"""Seconds in each mode of a controller are counted while sessions wait, and nothing else moves."""

from __future__ import annotations

import pytest

from marsbench.core.entrance import Entrance
from marsbench.runs import RunConfig, RunFolder
from marsbench_backends.admission import Admission, Candidate, EngineState
from marsbench_backends.answers.admission import watched


class Moody(Admission):
    """Lets nobody in while it is in a mood."""

    mood: object = "calm"
    open = False

    def mode(self, waiting, state):
        return self.mood

    def admit(self, waiting, state):
        return [c.session_id for c in waiting] if self.open else []


class Desk:
    """An entrance with a clock that is set by hand."""

    def __init__(self, admission):
        self.now = 0.0
        self.entrance = Entrance(admission, self._state, lambda name: None, lambda *_: None)

    def _state(self, in_flight):
        return EngineState(self.now, in_flight, None, None, 16, 0, 8, False)

    def arrive(self, name, at):
        self.now = at
        self.entrance.arrive(Candidate(name, at, 1))

    @property
    def seconds(self):
        return self.entrance.entries.modes.seconds


def test_time_counts_while_somebody_waits():
    admission = Moody()
    desk = Desk(admission)
    desk.arrive("a", 10.0)
    admission.mood = "packing"
    desk.arrive("b", 14.0)
    admission.open = True
    desk.arrive("c", 15.5)
    desk.arrive("d", 99.0)
    assert desk.seconds == {"calm": 4.0, "packing": 1.5}


def test_a_controller_of_one_mode_counts_none():
    desk = Desk(Admission())
    desk.arrive("a", 1.0)
    desk.arrive("b", 2.0)
    assert desk.seconds == {}


def test_a_mode_that_is_no_word_is_told_and_counts_none():
    told = []
    admission = Moody()
    admission.mood = 7
    desk = Desk(watched(admission, "mine", told.append))
    desk.arrive("a", 1.0)
    desk.arrive("b", 2.0)
    assert desk.seconds == {}
    assert "mode" in str(told[0])


@pytest.mark.parametrize("seconds", [{}, {"packing": 1.5}])
def test_a_run_keeps_them_where_there_are_any(tmp_path, seconds):
    config = RunConfig(backend="mine", workload="w", workload_hash="0")
    with RunFolder.create(tmp_path / "run", config) as run:
        run.save_modes(seconds)
        run.finish()
    assert (RunFolder.open(tmp_path / "run").modes() or {}) == seconds
