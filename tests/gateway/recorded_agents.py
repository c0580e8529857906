"""Answers of a model to Claude Code and Codex, by what they have said so far.

The emulated server says them (`additional_config["marsbench"]["responses"]`): the agents run the
tools that they call, a sub-agent's among them, and send the results back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from marsbench.serve.model_folder import END_OF_TURN, FIRST_BYTE, SPECIAL
from marsbench.serve.replies import ScriptedRequest

TASK, OF_THE_SUB_AGENT = "Mend add in calc.py.", "Count the lines of calc.py."
BROKEN, WHOLE = (f"def add(a, b):\n    return a {sign} b\n" for sign in "-+")
MEND, COUNT = "sed -i 's/a - b/a + b/' calc.py", "wc -l calc.py"
DONE, COUNTED = "It adds.", "Two lines."


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


@dataclass(frozen=True)
class Recorded:
    """tool: that only this agent has. rounds: its answers. of_child: those to its sub-agent.

    In an answer `AGENT` is the id by which a tool's result named the sub-agent.
    """

    tool: str
    rounds: tuple[str, ...]
    of_child: tuple[str, ...]


CLAUDE_CODE = Recorded(
    "Bash",
    (
        call(
            "Agent",
            description="Count lines",
            prompt=OF_THE_SUB_AGENT,
            subagent_type="general-purpose",
        ),
        call("Bash", command=MEND, description="Mend add"),
        DONE,
    ),
    (call("Bash", command=COUNT, description="Count"), COUNTED),
)
CODEX = Recorded(
    "exec_command",
    (
        call("multi_agent_v1__spawn_agent", message=OF_THE_SUB_AGENT),
        call("multi_agent_v1__wait_agent", targets=["AGENT"]),
        call("exec_command", cmd=MEND),
        DONE,
    ),
    (call("exec_command", cmd=COUNT), COUNTED),
)


class Answers:
    """The script; who is no agent gets the emulation's letters."""

    def tokens(self, asked: ScriptedRequest) -> list[int] | None:
        chat = text_of(asked.prompt)
        before, *answers = chat.split("<|im_start|>assistant")
        agent = next((one for one in (CLAUDE_CODE, CODEX) if f'"{one.tool}"' in before), None)
        if agent is None:
            return None
        rounds = agent.of_child if OF_THE_SUB_AGENT in before else agent.rounds
        named = re.findall(r'"agent_id": ?"([^"]+)"', chat)
        return ids_of(rounds[len(answers) - 1].replace("AGENT", named[-1] if named else ""))


def text_of(ids: Sequence[int]) -> str:
    """Of a prompt; what stands for no text is left out."""
    return b"".join(map(_bytes, ids)).decode("utf-8", "replace")


def _bytes(token: int) -> bytes:
    if token < len(SPECIAL):
        return SPECIAL[token].encode()
    byte = token - FIRST_BYTE
    return bytes([byte]) if byte in range(256) else b""


def ids_of(text: str) -> list[int]:
    """With the end of the turn; the tags of tool calls are tokens of their own."""
    parts = re.split(r"(</?tool_call>)", text)
    return [*chain.from_iterable(map(_ids, parts)), END_OF_TURN]


def _ids(part: str) -> list[int]:
    return [SPECIAL.index(part)] if part in SPECIAL else [FIRST_BYTE + b for b in part.encode()]
