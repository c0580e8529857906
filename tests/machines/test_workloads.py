"""The same workloads, step times and policies' numbers, whatever the processor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from machines.elsewhere import MACHINES, told
from machines.workloads import hashes

COMMITTED = Path(__file__).parent / "workloads.json"


def test_what_is_computed_here_is_what_was_committed(rewrite_golden: bool) -> None:
    if rewrite_golden:
        COMMITTED.write_text(json.dumps(hashes(), indent=1) + "\n")
    assert hashes() == json.loads(COMMITTED.read_text())


@pytest.mark.processes
@pytest.mark.parametrize("machine", MACHINES)
def test_every_machine_computes_the_committed_bytes(machine: str) -> None:
    committed = json.loads(COMMITTED.read_text())
    now = told("workloads", machine)
    assert [name for name, value in now.items() if committed[name] != value] == []
