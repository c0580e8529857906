"""A server never falls over a policy: it warns once, and does what vLLM does on its own.

The policies of tests/backends/bad.py under the class that `vllm serve --scheduler-cls` loads.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from backends.bad import BAD, Owing
from marsbench.core.session import Round, Session
from marsbench.core.settings import EngineSettings
from marsbench_backends.policy import Policy

pytestmark = pytest.mark.vllm

NUM_SESSIONS, BLOCKS = 6, 40
ROUNDS = (Round(150, 60), Round(30, 60))


class Server:
    """A scheduler and what its clients do: each asks for its second round after the first."""

    def __init__(self, policy: type[Policy]) -> None:
        from marsbench.core.sim.vllm_core import make_scheduler
        from marsbench.core.sim.hashes import BlockWriters, SessionHashes
        from marsbench_backends.scheduler import MarsbenchScheduler

        told = {"backend": f"{policy.__module__}:{policy.__name__}"}
        knobs = EngineSettings(256, max_num_seqs=16)
        self.scheduler: Any = make_scheduler(
            MarsbenchScheduler, knobs, BLOCKS, 4096, {"marsbench": told}
        )
        writers = BlockWriters()
        self._sessions = [Session(f"s{n:02}", ROUNDS) for n in range(NUM_SESSIONS)]
        self._hashes = {s.id: SessionHashes(s, writers, 16) for s in self._sessions}
        self.num_tokens: dict[str, int] = {}

    def play(self) -> None:
        """Until every round has its tokens."""
        from marsbench.shortcuts.fast_steps import sampled

        for session in self._sessions:
            self._submit(session, 0)
        for _ in range(5_000):
            if not self.scheduler.has_unfinished_requests():
                return
            output = self.scheduler.schedule()
            tokens = sampled(self.scheduler, output)
            for part in self.scheduler.update_from_output(output, tokens).values():
                for done in part.outputs:
                    self._take(done)
        raise AssertionError(f"the rounds did not end: {self.num_tokens}")

    def _take(self, done: Any) -> None:
        name = done.request_id
        self.num_tokens[name] = self.num_tokens.get(name, 0) + len(done.new_token_ids)
        session_id, number = name.split("#")
        if done.finish_reason is not None and number == "0":
            self._submit(next(s for s in self._sessions if s.id == session_id), 1)

    def _submit(self, session: Session, number: int) -> None:
        from marsbench.core.sim.vllm_core import make_request

        prompt = list(session.prompts())[number]
        hashes = self._hashes[session.id]
        hashes.start_round(prompt)
        tokens = (prompt.num_tokens, prompt.output_tokens)
        last = {"marsbench_last": number}
        name = f"{session.id}#{number}"
        blocks = hashes.upto(sum(tokens))
        self.scheduler.add_request(make_request(name, session.id, *tokens, blocks, 0.0, last))


def warnings_of(policy: type[Policy], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a server says of the policy, once every client has got all of its tokens."""
    from marsbench_backends.answers import policy as answers
    from marsbench_backends.vllm import server as vllm_server

    said: list[str] = []
    monkeypatch.setattr(vllm_server.logger, "warning", said.append)
    monkeypatch.setattr(answers, "FIRST", 5)  # later orders are not looked at, most of them
    server = Server(policy)
    server.play()
    names = [f"s{n:02}#{number}" for n in range(NUM_SESSIONS) for number in (0, 1)]
    assert server.num_tokens == dict.fromkeys(names, 60)
    assert not server.scheduler.pauses.holds
    return said


@pytest.mark.parametrize("policy", BAD, ids=lambda policy: policy.__name__)
def test_a_wrong_answer_is_warned_of_once_and_the_default_is_taken(
    policy: type[Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = warnings_of(policy, monkeypatch)
    if policy is Owing:  # a server takes every step by itself, and never asks
        assert said == []
        return
    assert any(re.search(BAD[policy], one) for one in said), said
    decisions = [one.split()[1] for one in said]
    assert len(decisions) == len(set(decisions)), "each is warned of once"
    assert all(one.endswith("The default is taken instead; this is said once.") for one in said)


def test_a_policy_that_keeps_to_its_part_is_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings_of(Policy, monkeypatch) == []
