"""Chats without names: each is found again, and no two are taken for one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import pytest

from gateway.traffic import traffic
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import load_recipe
from marsbench.gateway.chains import Chains, ChatRound
from marsbench.gateway.messages import Said
from marsbench.model.recording import Recording, load_recordings

SYSTEM = {"role": "system", "content": "You are an agent."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def model(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def calls(call_id: str) -> list[dict[str, Any]]:
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": call_id}]},
        {"role": "tool", "tool_call_id": call_id, "content": "done"},
    ]


RECORDED = [("ilr-1", 1, 40), ("fresh", 4, 20), ("chat", 1, 100)]
"""Recipes that are fitted to recordings; `fresh` compacts its contexts."""


def with_agent(session: Session) -> Session:
    """Its second round starts a sub-agent, which has the same system prompt."""
    first, second, *rest = session.rounds
    child = Session(f"{session.id}/0", (Round(10, 9),) * 4, prefix_group=session.prefix_group)
    call = ToolCall("agent", "agent", child=child)
    return replace(session, rounds=(first, replace(second, tools=(call,)), *rest))


@pytest.mark.parametrize(("recipe", "prefixes", "sessions"), RECORDED)
def test_rounds_of_recorded_shapes_are_attributed_without_ids(
    recipe: str, prefixes: int, sessions: int
) -> None:
    knobs = Knobs(sessions=sessions, rate=0.5, prefixes=prefixes)
    made = make_workload(load_recipe(recipe), knobs).sessions
    agents = [with_agent(one) if len(one.rounds) > 1 else one for one in made]
    chains, last = Chains(), dict[str, tuple[ChatRound, Said]]()
    chats = defaultdict[str, Counter[str]](Counter)
    for request in traffic(agents):
        if request.owner in last:  # its answer is known as late as can be
            before, said = last[request.owner]
            before.said = said
        round_ = chains.follow("model", request.messages)
        last[request.owner] = round_, request.said
        chats[request.owner][round_.session_id] += 1
    owners = Counter(chat for found in chats.values() for chat in found)
    rounds = sum(found.total() for found in chats.values())
    assert rounds > 400
    assert len(owners) > len(made)  # sub-agents, or what follows a cut
    assert sum(max(found.values()) for found in chats.values()) / rounds >= 0.99
    assert {chat for chat, number in owners.items() if number > 1} == set()


def recorded(recording: Recording, copy: int) -> Iterator[tuple[list[dict[str, Any]], Said]]:
    """A real agent's requests and answers; a server gives every tool call an id of its own."""
    chat: list[dict[str, Any]] = [SYSTEM]
    asked: list[str] = []
    for number, round_ in enumerate(recording.rounds):
        results = [{"role": "tool", "tool_call_id": call_id} for call_id in asked]
        texts = "\n".join(round_.heard)
        chat += [*results, user(texts)] if number else [user(texts)]
        asked = [f"{recording.task}-{copy}-{number}-{n}" for n in range(len(round_.answer.calls))]
        yield list(chat), Said.of(asked, [round_.answer.content])
        called = [{"id": call_id} for call_id in asked]
        chat.append({**model(round_.answer.content), "tool_calls": called})


def test_recorded_agents_on_equal_tasks_are_attributed_without_ids() -> None:
    """Without their folders' paths, which would tell them apart, the copies begin alike."""
    recordings = load_recordings().values()
    plays = {f"{one.task} {copy}": recorded(one, copy) for copy in range(3) for one in recordings}
    chains, chats = Chains(), defaultdict[str, Counter[str]](Counter)
    for rounds in zip_longest(*plays.values()):
        for owner, asked in zip(plays, rounds, strict=True):
            if asked is not None:
                messages, said = asked
                round_ = chains.follow("m", messages)
                round_.said = said
                chats[owner][round_.session_id] += 1
    assert sum(found.total() for found in chats.values()) > 300
    assert {len(found) for found in chats.values()} == {1}, "each is one session"
    assert len({chat for found in chats.values() for chat in found}) == len(plays)


def test_a_chat_that_goes_on_is_its_next_round_and_a_repeated_one_is_another() -> None:
    chains = Chains()
    first = [SYSTEM, user("hello")]
    a, b = chains.follow("m", first), chains.follow("m", first)
    a.said, b.said = Said.of(texts=["hi"]), Said.of(texts=["good day"])
    assert a.session_id != b.session_id
    then = [*first, model("good day"), user("more")]
    assert chains.follow("m", then).session_id == b.session_id
    assert chains.follow("other model", then).session_id not in (a.session_id, b.session_id)
    assert chains.follow("m", [*first, model("hi"), user("more")]).session_id == a.session_id


def test_chats_with_one_beginning_are_told_apart_by_the_ids_of_their_calls() -> None:
    chains = Chains()
    first = [SYSTEM, user("fix it")]
    a, b = chains.follow("m", first), chains.follow("m", first)
    a.said, b.said = Said.of(["call-a"]), Said.of(["call-b"])
    assert chains.follow("m", [*first, *calls("call-b")]).session_id == b.session_id
    assert chains.follow("m", [*first, *calls("call-a")]).session_id == a.session_id
    assert chains.follow("m", [*first, *calls("call-c")]).session_id not in (
        a.session_id,
        b.session_id,
    )


def test_answers_that_could_not_be_read_are_given_to_the_one_that_waits_longest() -> None:
    chains = Chains()
    first = [SYSTEM, user("hello")]
    a, b = chains.follow("m", first), chains.follow("m", first)
    found = [chains.follow("m", [*first, model("x"), user(text)]).session_id for text in "pq"]
    assert found == [a.session_id, b.session_id]


def test_a_sub_agent_shares_a_prefix_and_no_history() -> None:
    chains = Chains()
    parent = chains.follow("m", [SYSTEM, user("fix it")])
    parent.said = Said.of(["call-a"])
    child = chains.follow("m", [SYSTEM, user("look for it")])
    assert child.session_id != parent.session_id


def test_a_compacted_chat_begins_anew() -> None:
    chains = Chains()
    first = [SYSTEM, user("fix it")]
    chat = chains.follow("m", first)
    chat.said = Said.of(["call-a"])
    compacted = chains.follow("m", [SYSTEM, user("fix it; so far: nothing")])
    assert compacted.session_id != chat.session_id


def test_a_round_that_is_tried_again_stays_with_its_chat() -> None:
    chains = Chains()
    first = [SYSTEM, user("fix it")]
    chat = chains.follow("m", first)
    chat.said = Said.of(["call-a"])
    tries = [chains.follow("m", [*first, *calls("call-a")]).session_id for _ in range(3)]
    assert tries == [chat.session_id] * 3


def test_marks_of_prompt_caching_do_not_make_another_chat() -> None:
    chains = Chains()
    mark = {"cache_control": {"type": "ephemeral"}}
    marked = {"role": "user", "content": [{"type": "text", "text": "fix it", **mark}]}
    chat = chains.follow(["m", [{"type": "text", "text": "system", **mark}]], [SYSTEM, marked])
    then = chains.follow(
        ["m", [{"type": "text", "text": "system"}]], [SYSTEM, user("fix it"), *calls("c")]
    )
    assert then.session_id == chat.session_id


def test_its_memory_is_bounded_and_the_oldest_are_forgotten() -> None:
    chains = Chains(kept=50)
    first = [SYSTEM, user("0")]
    old = chains.follow("m", first)
    for number in range(1, 1000):
        chains.follow("m", [SYSTEM, user(str(number))])
        chains.follow("m", [SYSTEM, user("alike")])
        assert len(chains) <= 50
    assert chains.follow("m", [*first, *calls("c")]).session_id != old.session_id


def test_after_a_restart_a_chat_goes_on_and_no_new_one_gets_its_name() -> None:
    before, after = Chains(), Chains()
    first = [SYSTEM, user("fix it")]
    chat = before.follow("m", first)
    chat.said = Said.of(["call-a"])
    after.remember(ChatRound(chat.session_id, chat.key, chat.said))
    again = after.follow("m", first)
    assert again.session_id != chat.session_id
    assert after.follow("m", [*first, *calls("call-a")]).session_id == chat.session_id
