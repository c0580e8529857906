"""A model by rules: it reads, tries, edits, tests and finishes, as its task's rules say.

It is what the shipped recordings were made with. It solves the shipped tasks and knows nothing
else; what it writes is not what a language model would write, but the tools, edits, test runs and
their times are real.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from marsbench.model.chat import FINISH, Answer, ChatRequest, FunctionCall, RefusedError, text_of
from marsbench.model.normal import workspace_of
from marsbench.tasks.task import PlayerRules, PlayerStep, Task
from marsbench.tasks.tokens import count_tokens

TERMINAL, EDITOR = "terminal", "file_editor"
_EXIT_CODE = re.compile(r"\[Command finished with exit code (-?\d+)\]")
OUTLOOK = 4  # steps
# A call costs more tokens than its arguments: the braces, quotes and names around them.
CALL_TOKENS = 12


@dataclass(frozen=True, slots=True)
class RulePlayer:
    """Answers for tasks that have rules."""

    tasks: Mapping[str, Task]

    async def answer(self, asked: ChatRequest) -> Answer:
        """The next thing to do. Raises RefusedError for a task without rules."""
        task = self.tasks.get(asked.task)
        if task is None or task.player is None:
            raise RefusedError(404, "no_rules", f"the player has no rules for '{asked.task}'")
        workspace = workspace_of(asked.messages)
        if workspace is None:
            raise RefusedError(400, "no_workspace", "the first message names no workspace")
        content, call = _decide(task.player, workspace, asked)
        return Answer(content, (call,), _num_tokens(content, call), prompt_tokens=None)


def _decide(player: PlayerRules, workspace: str, asked: ChatRequest) -> tuple[str, FunctionCall]:
    plan = list(_plan(player, workspace))
    if asked.round < len(plan):
        content, call = plan[asked.round]
        return content + _outlook(plan[asked.round + 1 :]), call
    code = _last_exit_code(asked)
    if code == 0:
        message = "The change is made, the tests pass and the work is committed."
    else:
        message = f"The last command ended with exit code {code}; the task is not solved."
    return message, _call(FINISH, message=message)


def _outlook(left: Sequence[tuple[str, FunctionCall]]) -> str:
    """What is still to do, as models like to say before every call."""
    return "".join(f"\n- then: {content}" for content, _ in left[:OUTLOOK])


def _plan(player: PlayerRules, workspace: str) -> Iterator[tuple[str, FunctionCall]]:
    """Everything before the end, in order: one answer a round."""
    yield (
        "I begin with what is in the repository and what was done to it last.",
        _run("git ls-files && git --no-pager log --oneline | cut -d' ' -f2-"),
    )
    for path in player.look:
        content = f"Next I read {path}, to see how it works before I change anything."
        yield content, _edit("view", path=f"{workspace}/{path}")
    if player.try_:
        yield "Let me see what happens now, before any change.", _run(player.try_)
    for step in player.steps:
        yield step.say or "And what belongs to it.", _step(step, workspace)
        if step.path is not None:
            yield f"Is {step.path} now as I meant it?", _run(f"git --no-pager diff -- {step.path}")
    yield (
        "Now I run what has to work, to see whether the change does what it should.",
        _run(player.test),
    )
    yield "I look at the whole change once more.", _run("git --no-pager diff --stat")
    yield (
        "It is complete: I commit it.",
        _run("git add --all && git commit --quiet --message=done && git status --short"),
    )


def _step(step: PlayerStep, workspace: str) -> FunctionCall:
    if step.run is not None:
        return _run(step.run)
    path = f"{workspace}/{step.path}"
    if step.old is not None:
        return _edit("str_replace", path=path, old_str=step.old, new_str=step.new or "")
    return _edit("create", path=path, file_text=step.text or "")


def _run(command: str) -> FunctionCall:
    return _call(TERMINAL, command=command)


def _edit(command: str, **arguments: str) -> FunctionCall:
    return _call(EDITOR, command=command, **arguments)


def _call(name: str, **arguments: str) -> FunctionCall:
    """OpenHands asks every call for a summary and a guess of its risk."""
    return FunctionCall(name, {**arguments, "summary": f"{name} call", "security_risk": "LOW"})


def _last_exit_code(asked: ChatRequest) -> int | None:
    results = [m for m in asked.messages if m["role"] == "tool"]
    found = _EXIT_CODE.findall(text_of(results[-1])) if results else []
    return int(found[-1]) if found else None


def _num_tokens(content: str, call: FunctionCall) -> int:
    texts = (content, *map(str, call.arguments.values()))
    return CALL_TOKENS + sum(count_tokens(text) for text in texts)
