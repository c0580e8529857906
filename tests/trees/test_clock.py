"""The virtual clock inside modules that read the machine's."""

from __future__ import annotations

import sys
import time
from types import ModuleType

import pytest

from marsbench.trees.clock import ticking

TEXT = """
import time
import time as clock
from time import monotonic, perf_counter_ns as ns, sleep
def read():
    return time.time(), clock.monotonic(), monotonic(), time.perf_counter(), ns(), time.time_ns()
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("somebodys.scheduler")
    exec(TEXT, vars(made))
    monkeypatch.setitem(sys.modules, "somebodys.scheduler", made)
    return made


def test_every_clock_of_the_module_tells_virtual_time(module: ModuleType) -> None:
    with ticking(lambda: 12.5, {"somebodys.scheduler"}):
        assert module.read() == (12.5, 12.5, 12.5, 12.5, 12_500_000_000, 12_500_000_000)
        assert module.sleep is time.sleep
        assert module.time.strftime is time.strftime


def test_afterwards_it_is_the_machines_again_whatever_happened(module: ModuleType) -> None:
    with pytest.raises(KeyError), ticking(lambda: 0.0, {"somebodys.scheduler"}):
        raise KeyError
    assert module.time is time
    assert module.monotonic is vars(time)["monotonic"]
    assert module.ns is time.perf_counter_ns


def test_other_modules_keep_their_clock(module: ModuleType) -> None:
    with ticking(lambda: 0.0, {"somebodys.sched", "elsewhere"}):
        assert module.time is time
