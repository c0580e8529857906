"""Real OpenHands agents, each in a process of its own, against a server that the test starts."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.world import play, replayed
from marsbench.core.events import GpuEnd, GpuSubmit, RoundReady, SessionEnded, ToolEnd, ToolStart
from marsbench.core.workload.knobs import Knobs
from marsbench.errors import UsageError
from marsbench.model.chat import Answer, ChatRequest, FunctionCall
from marsbench.model.recording import load_recordings
from marsbench.tasks.tokens import count_tokens
from marsbench.wall.agents.agents import WORKER
from marsbench.wall.agents.environment import agents_python
from marsbench.wall.agents.results import read_results

try:
    agents_python()
    WHY_NOT = ""
except UsageError as error:
    WHY_NOT = str(error)

pytestmark = [pytest.mark.openhands, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
ONE_BY_ONE = Knobs(arrivals="closed:1")


def test_one_agent_does_one_task(tmp_path: Path) -> None:
    model = replayed()
    run, summary = play(
        model, tmp_path / "run", ONE_BY_ONE, "shipped:off-by-one",
        context_tokens=3_000, alone=tmp_path / "alone.json",
    )  # fmt: skip
    assert summary["valid"], summary["reasons"]
    assert summary["sessions"]["finished"] == 1
    (result,) = read_results(run.path) or []
    assert result["check"]["passed"], result["check"]["output"]
    rounds = len(load_recordings()["off-by-one"].rounds)
    assert result["seconds"]["num_rounds"] == rounds
    alone, session = sorted(set(model.sessions), key=model.sessions.index)
    own, nonce = result["session"], session[24:]
    assert session == own[:24] + nonce, "on the wire it carries the run's nonce"
    assert session != own
    assert session[:24] != alone[:24]
    check_requests(model.bodies, session)
    check_events(list(run.events()), own, rounds)
    check_alone(tmp_path / "alone.json", summary)


def check_requests(bodies: list[Any], session: str) -> None:
    """The session is told three ways, nothing is retried or streamed, the digest is there."""
    body = bodies[-1]
    assert body["session_id"] == body["vllm_xargs"]["session_id"] == session
    assert uuid.UUID(session)
    assert not body.get("stream")
    assert "reasoning_effort" not in body
    assert body["temperature"] == 0
    text = body["messages"][1]["content"][0]["text"]
    assert count_tokens(text[text.index("<repository-digest>") :]) == 3_000


def check_events(events: list[Any], session: str, rounds: int) -> None:
    assert sum(isinstance(e, GpuEnd) for e in events) == rounds
    starts = [e for e in events if isinstance(e, ToolStart)]
    ends = [e for e in events if isinstance(e, ToolEnd)]
    assert len(starts) == len(ends) == rounds - 1, "the last one finishes"
    assert {e.name for e in starts} == {"terminal", "file_editor"}
    ready = [e.at for e in events if isinstance(e, RoundReady)]
    assert ready[1:] == [e.at for e in ends], "a round is ready when its tool ends"
    assert all(e.prompt_tokens > 3_000 for e in events if isinstance(e, GpuSubmit))
    assert isinstance(events[-1], SessionEnded)
    assert events[-1].session == session


def check_alone(path: Path, summary: Any) -> None:
    seconds = json.loads(path.read_text())["seconds"]
    assert set(seconds) == {"off-by-one"}
    assert summary["slowdown"]["n"] == 1


def test_four_agents_at_once_each_in_its_own_workspace(tmp_path: Path) -> None:
    model = replayed()
    tasks = "shipped:off-by-one,add-slugify,rename-api,make-build"
    run, summary = play(model, tmp_path / "run", Knobs(arrivals="burst:4", rate=1.0), tasks)
    assert summary["valid"], summary["reasons"]
    results = read_results(run.path) or []
    assert [r["check"]["passed"] for r in results] == [True] * 4, results
    assert len({r["session"] for r in results}) == 4 == len(set(model.sessions))
    told = [json.loads(line) for line in (run.path / "agents.jsonl").read_text().splitlines()]
    begun, ended = ([e["at"] for e in told if e["kind"] == kind] for kind in ("begin", "end"))
    assert max(begun) < min(ended), "they ran at the same time"


SLEEPY = {
    "id": "sleepy",
    "prompt": "Sleep.",
    "files": {"a": ""},
    "check": {"command": "false"},
}


class Trouble:
    """A model that lets one task sleep for ever, and answers another with an error of its own."""

    def __init__(self) -> None:
        self._replay = replayed()

    async def answer(self, asked: ChatRequest) -> Answer:
        if asked.task == "sleepy":
            command = {"command": "sleep 987.25", "summary": "s", "security_risk": "LOW"}
            return Answer("", (FunctionCall("terminal", command),), 5)
        return await self._replay.answer(asked)


def test_an_agent_that_sleeps_is_killed_and_one_that_diverges_fails_alone(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    lines = [SLEEPY, {**SLEEPY, "id": "unheard"}]
    tasks.write_text("\n".join(map(json.dumps, lines)))
    run, summary = play(
        Trouble(), tmp_path / "run", Knobs(arrivals="closed:2"), str(tasks), time_limit_s=30.0
    )
    assert summary["sessions"]["failed"] == 2
    reasons = {r["task"]: r["reason"] for r in read_results(run.path) or []}
    assert reasons["sleepy"] == "killed at its time limit of 30 s"
    assert "not recorded: task 'unheard'" in reasons["unheard"]
    asleep = [p for p in psutil.process_iter() if "sleep 987.25" in " ".join(command(p))]
    assert asleep == [], "what an agent started ends with it"


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_importing_openhands_asks_the_network_for_nothing(tmp_path: Path) -> None:
    """The worker refuses every connection before its first agent, and says which it refused."""
    done = subprocess.run(
        [str(agents_python()), "-P", "-W", "ignore", str(WORKER)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    assert said["kind"] == "ready"
    assert (said["refused"], said["problem"], said["threads"]) == ([], None, [])
