"""Recordings: what was asked before is answered as before, and anything else is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from marsbench.errors import UsageError
from marsbench.model.chat import Answer, ChatRequest, FunctionCall, RefusedError
from marsbench.model.models import ChatEndpoint, RecordingModel, Replay
from marsbench.model.normal import heard, normal, workspace_of
from marsbench.model.player import RulePlayer
from marsbench.model.recording import Recording, load_recordings
from marsbench.model.server import ChatServer, http_client, serving
from marsbench.tasks.files import load_tasks
from marsbench.tasks.task import first_message

TASKS = {task.id: task for task in load_tasks("shipped")}
TASK = TASKS["off-by-one"]


def first(workspace: str = "/w/1", digest: str = "") -> list[dict[str, Any]]:
    text = first_message(TASK, workspace, digest)
    return [
        {"role": "system", "content": "You are an agent."},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]


def asked(messages: list[dict[str, Any]], task: str = TASK.id) -> ChatRequest:
    return ChatRequest("s", task, messages, {"messages": messages})


def then(messages: list[dict[str, Any]], output: str) -> list[dict[str, Any]]:
    """The chat after one more answer and its tool's output."""
    return [
        *messages,
        {"role": "assistant", "content": "…"},
        {"role": "tool", "content": output, "tool_call_id": "c"},
    ]


def answered(text: str, path: str = "/w/1/pages.py") -> Answer:
    return Answer(text, (FunctionCall("file_editor", {"command": "view", "path": path}),), 33)


def recording() -> Recording:
    made = Recording(TASK.id, "test")
    made.add(asked(first()), answered("first"))
    made.add(asked(then(first(), "seen in /w/1 in 0.31s")), answered("second"))
    return made


def test_the_same_chat_elsewhere_gets_the_same_answer_with_its_own_paths() -> None:
    found = recording().find(asked(first("/else/where")))
    assert found.content == "first"
    assert found.calls[0].arguments["path"] == "/else/where/pages.py"
    later = then(first("/else/where"), "seen in /else/where in 7.5s")
    assert recording().find(asked(later)).content == "second"


def test_a_digest_of_any_length_changes_nothing() -> None:
    text = "<repository-digest>\nx = 1\n</repository-digest>"
    assert recording().find(asked(first(digest=text))).content == "first"


def test_another_tool_output_is_refused_and_the_first_difference_named() -> None:
    with pytest.raises(
        RefusedError, match=r"round 1 .*recorded 'tool: seen.*now 'tool: FAILED'"
    ) as e:
        recording().find(asked(then(first(), "FAILED")))
    assert (e.value.status, e.value.code) == (409, "not_recorded")


def test_a_round_that_was_never_recorded_is_refused() -> None:
    chat = then(then(first(), "seen in /w/1 in 0.31s"), "more")
    with pytest.raises(RefusedError, match=r"round 2 .*ends before it"):
        recording().find(asked(chat))


def test_recording_again_begins_anew() -> None:
    made = recording()
    made.add(asked(first()), answered("other"))
    assert [r.answer.content for r in made.rounds] == ["other"]


def test_a_file_gives_the_recording_back(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(recording().to_json(), encoding="utf-8")
    assert load_recordings(tmp_path)[TASK.id] == recording()
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(UsageError, match=r"b\.json is no recording"):
        load_recordings(tmp_path)


def test_every_shipped_task_has_a_recording_that_its_rules_still_give() -> None:
    shipped = load_recordings()
    assert set(shipped) == set(TASKS)
    for name, made in shipped.items():
        assert made.rounds[-1].answer.is_last
        task = TASKS[name]
        assert task.player is not None
        told = first_message(task, "{workspace}")
        assert made.rounds[0].heard == (f"user: {normal(told, None)}",), f"{name}: record it anew"
        plan = 5 + len(task.player.look) + bool(task.player.try_) + len(task.player.steps)
        plan += sum(step.path is not None for step in task.player.steps)
        assert len(made.rounds) == plan, f"{name}: record it anew (make openhands-record)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ran 3 tests in 0.012s", "Ran 3 tests in 11.7s"),
        ("\x1b[?2004la\r\n", "a\n"),
        ("[Python interpreter: /a/python]\nx", "[Python interpreter: /b/python3]\nx"),
        ("at 10:31:07 on 2026-11-22", "at 9:02:55 on 2027-01-02"),
        ("index 08fe272..a1b2c3d", "index 1234abc..0f0f0f0"),
        ("  x()\n  ^^^\nE", "  x()\nE"),
        ("     1\ta\n     2", "     1\ta"),
    ],
)
def test_what_differs_from_run_to_run_is_taken_out(one: str, other: str) -> None:
    assert normal(one, None) == normal(other, None)


@pytest.mark.parametrize(
    ("one", "other"), [("3 failed", "4 failed"), ("exit code 0", "exit code 1")]
)
def test_what_matters_stays(one: str, other: str) -> None:
    assert normal(one, None) != normal(other, None)


def test_the_first_message_says_where_the_workspace_is() -> None:
    assert workspace_of(first("/some/where")) == "/some/where"
    assert heard(first("/x"))[0] == heard(first("/y"))[0]


async def ask(url: str, messages: list[dict[str, Any]], **more: Any) -> tuple[int, str]:
    headers = {"X-Session-ID": "s", "X-Task-ID": TASK.id}
    async with aiohttp.ClientSession() as http:
        body = {"model": "m", "messages": messages, **more}
        async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
            return response.status, await response.text()


def test_what_a_model_answered_is_recorded_and_replayed(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            http_client() as http,
            serving(ChatServer(RulePlayer(TASKS)), "127.0.0.1", 0) as m,
        ):
            recorder = RecordingModel(ChatEndpoint(http, m), "rules", tmp_path)
            async with serving(ChatServer(recorder), "127.0.0.1", 0) as url:
                status, first_text = await ask(url, first())
                assert status == 200
        replay = Replay(load_recordings(tmp_path), None)
        async with serving(ChatServer(replay), "127.0.0.1", 0) as url:
            status, again = await ask(url, first("/other"))
            assert status == 200
            message, other = (json.loads(t)["choices"][0]["message"] for t in (first_text, again))
            assert message["content"] == other["content"]
            status, refused = await ask(url, then(first(), "surprise"))
            assert status == 409
            assert json.loads(refused)["error"]["code"] == "not_recorded"

    asyncio.run(story())


def test_a_stream_says_the_same_as_a_whole_answer() -> None:
    async def story() -> tuple[str, str]:
        replay = Replay({TASK.id: recording()}, None)
        async with serving(ChatServer(replay), "127.0.0.1", 0) as url:
            return (await ask(url, first()))[1], (await ask(url, first(), stream=True))[1]

    whole, stream = asyncio.run(story())
    chunks = [json.loads(line[6:]) for line in stream.split("\n\n") if line.startswith("data: {")]
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    message = json.loads(whole)["choices"][0]["message"]
    assert "".join(d.get("content") or "" for d in deltas) == message["content"]
    call = next(d["tool_calls"][0] for d in deltas if "tool_calls" in d)
    assert call["function"] == message["tool_calls"][0]["function"]
    assert chunks[-1]["usage"] == json.loads(whole)["usage"]
    assert stream.endswith("data: [DONE]\n\n")


def test_a_request_without_a_task_is_refused() -> None:
    async def story() -> int:
        async with (
            serving(ChatServer(Replay({}, None)), "127.0.0.1", 0) as url,
            aiohttp.ClientSession() as http,
            http.post(f"{url}/v1/chat/completions", json={"messages": []}) as response,
        ):
            return response.status

    assert asyncio.run(story()) == 400


def test_answers_carry_no_tokens_that_nobody_counted() -> None:
    assert {f.name: f.default for f in dataclasses.fields(Answer)}["prompt_tokens"] is None
