"""The class that `vllm serve --scheduler-cls` loads, driven as a server drives it.

A server on a GPU schedules the next step before the last one's tokens are known (vLLM's engine
core keeps two steps under way), on the real clock and with parameters from --additional-config.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from marsbench.core.session import Round, Session
from marsbench.core.settings import EngineSettings
from marsbench_backends import registry

pytestmark = pytest.mark.vllm
IMPATIENT: dict[str, dict[str, object]] = {
    "aios-fifo": {"sleep_s": 0.001},
    "aios-rr": {"slice_s": 0.000_001, "width": 2},
    **{name: {"interval_s": 0.001} for name in ("progress-ttl", "thunderagent")},
}
"""Settings of those who would look again only after seconds of the real clock."""


def served(backend: str, settings: dict[str, object], blocks: int) -> dict[str, int]:
    """Requests to their number of tokens, two steps always under way."""
    from vllm.v1.outputs import ModelRunnerOutput

    from marsbench.core.sim.vllm_core import make_request, make_scheduler
    from marsbench.core.sim.hashes import BlockWriters, SessionHashes
    from marsbench.shortcuts.fast_steps import TOKEN
    from marsbench_backends.scheduler import MarsbenchScheduler

    config = {"marsbench": {"backend": backend, "settings": settings}}
    knobs = EngineSettings(256, max_num_seqs=16)
    scheduler: Any = make_scheduler(MarsbenchScheduler, knobs, blocks, 4096, config)
    writers, tokens = BlockWriters(), {}
    for number in range(6):
        session = Session(f"s{number}", (Round(150 + number, 40),))
        hashes = SessionHashes(session, writers, 16).upto(190 + number)
        # As a client says it: a session that may come back would be held by some.
        last = {"marsbench_last": 1}
        scheduler.add_request(
            make_request(session.id, session.id, 150 + number, 40, hashes, float(number), last)
        )
    under_way: deque[tuple[Any, ModelRunnerOutput]] = deque()
    for _ in range(2_000):
        if not scheduler.has_unfinished_requests() and not under_way:
            return tokens
        output = scheduler.schedule()
        ids = list(output.num_scheduled_tokens)
        if ids:
            given = [[] if scheduler.requests[i].is_prefill_chunk else [TOKEN] for i in ids]
            index = {name: place for place, name in enumerate(ids)}
            under_way.append((output, ModelRunnerOutput(ids, index, given)))
        if len(under_way) == 2 or (under_way and not ids):
            for part in scheduler.update_from_output(*under_way.popleft()).values():
                for done in part.outputs:
                    new = len(done.new_token_ids)
                    tokens[done.request_id] = tokens.get(done.request_id, 0) + new
    raise AssertionError("the requests did not finish")


@pytest.mark.parametrize("backend", registry.BACKENDS)
def test_every_request_gets_its_tokens_under_memory_pressure(backend: str) -> None:
    settings = IMPATIENT.get(backend, {})
    assert served(backend, settings, blocks=40) == {f"s{i}": 40 for i in range(6)}


def test_parameters_reach_the_policy_and_a_wrong_one_is_refused() -> None:
    with pytest.raises(registry.BackendError, match="Unknown parameter of mars 'aging'"):
        served("mars", {"aging": 1}, blocks=40)


def test_who_yields_while_steps_are_under_way_loses_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from marsbench_backends.vllm.mixin import PolicyMixin

    taken: list[str] = []

    def noted(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        taken.append(request.request_id)
        preempt(self, request, *args, **kwargs)

    preempt = PolicyMixin._preempt_request
    monkeypatch.setattr(PolicyMixin, "_preempt_request", noted)
    found = served("aios-rr", IMPATIENT["aios-rr"], blocks=400)
    assert found == {f"s{i}": 40 for i in range(6)}
    assert len(taken) > 20, "with memory for all, each of them yielded"
