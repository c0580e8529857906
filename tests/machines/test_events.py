"""The same events and figures of simulated runs, whatever the processor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from machines.elsewhere import MACHINES, told

pytestmark = [pytest.mark.vllm, pytest.mark.processes]
COMMITTED = Path(__file__).parent / "events.json"
FURTHEST = list(MACHINES)[-1]


@pytest.mark.parametrize("machine", ["this", FURTHEST])
def test_every_machine_plays_the_committed_events(machine: str, rewrite_golden: bool) -> None:
    """Each is a process that loads vLLM: the nearest and the furthest are enough."""
    now = told("events", machine)
    if rewrite_golden and machine == "this":
        COMMITTED.write_text(json.dumps(now, indent=1) + "\n")
    assert now == json.loads(COMMITTED.read_text())
