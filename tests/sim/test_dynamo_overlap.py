"""What the router `dynamo` is shown of each cache is what Dynamo's own RadixTree finds there.

The KV events are those of real vLLM caches under pressure, in the order in which they happened.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from marsbench.core.session import Session
from marsbench.replicas.changes import ReplicaEvent
from marsbench.replicas.config import FleetConfig
from marsbench.replicas.fleet import Fleet
from marsbench.replicas.registry import choose_router
from marsbench.replicas.router import RoundToPlace
from sim.test_replicas import config
from sim.worlds import workloads

DYNAMO = Path(__file__).resolve().parents[2] / ".venv-dynamo/bin/python"
DONE = DYNAMO.parents[1] / "marsbench-setup-done"
SCORES = Path(__file__).with_name("dynamo_scores.py")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        not (DYNAMO.parents[1] / "marsbench-setup-done").exists(),
        reason="`make dynamo` was not run",
    ),
]
SOON = ("kv_event_delay_s=1e-12",)  # the router hears of events, in place of the caches themselves
LEAVES = (ReplicaEvent(at=0.4, replica=1, event="leaves"),)
LEAVES += (ReplicaEvent(at=1.0, replica=1, event="joins"),)


class Told(Fleet):
    """Writes down KV events, and what the router is shown when it is asked."""

    def __init__(self, workload: list[Session]) -> None:
        self.log: list[list[Any]] = []
        self.shown: list[dict[int, int]] = []
        self.parents: dict[bytes, bytes] = {}
        several = FleetConfig(3, choose_router("dynamo", SOON), LEAVES)
        super().__init__(config(workload), several, lambda _: None)
        self.hashes, self._ledger.hashes = self._ledger.hashes, self._hashes  # type: ignore
        self.route, self.placing.router.route = self.placing.router.route, self._route  # type: ignore

    def _fresh(self, index: int) -> Any:
        replica = super()._fresh(index)
        self.log.append(["gone", index])
        blocks = replica.scheduler.kv_cache_manager.block_pool.cached_block_hash_to_block
        insert, pop = blocks.insert, blocks.pop

        def stored(key: bytes, block: Any) -> None:
            insert(key, block)
            parent = self.parents.get(key)
            self.log.append(["stored", index, number(key), parent and number(parent)])

        def removed(key: bytes, block_id: int) -> Any:
            block = pop(key, block_id)
            if block is not None and blocks.get_one_block(key) is None:
                self.log.append(["removed", index, number(key)])
            return block

        blocks.insert, blocks.pop = stored, removed
        return replica

    def _hashes(self, session: Any, prompt: Any) -> Any:
        found = self.hashes(session, prompt)
        self.parents.update(zip(found.keys[1:], found.keys, strict=False))
        return found

    def _route(self, ask: RoundToPlace, views: Sequence[Any]) -> Any:
        self.log.append(["find", sequence(ask)])
        self.shown.append({v.index: v.matched_tokens // ask.block_size for v in views})
        return self.route(ask, views)


def number(key: bytes) -> int:
    return int.from_bytes(key[:8], "big")


def sequence(ask: RoundToPlace) -> list[int]:
    """The prompt's blocks as numbers, but for one that is computed in any case."""
    starts = [0, *(segment.end for segment in ask.blocks)]
    blocks = [
        segment.writer << 32 | place
        for start, segment in zip(starts, ask.blocks, strict=False)
        for place in range(start, segment.end)
    ]
    return blocks[: (ask.prompt_tokens - 1) // ask.block_size]


@settings(max_examples=5)
@given(workloads())
def test_the_overlap_is_what_dynamos_radix_tree_finds(workload: list[Session]) -> None:
    fleet = Told(workload)
    fleet.run(workload)
    lines = "".join(json.dumps(line) + "\n" for line in fleet.log)
    done = subprocess.run([DYNAMO, SCORES], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(fleet.shown)
    for found, shown in zip(answers, fleet.shown, strict=True):
        assert shown == {index: found.get(str(index), 0) for index in shown}
