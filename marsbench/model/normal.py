"""What an agent says, with what differs from run to run taken out.

Two runs of the same agent on the same task agree in this form: the workspace's path, times, ids,
escape sequences of the terminal, the interpreter's path and the repository's digest are gone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from marsbench.model.chat import Message, text_of
from marsbench.tasks.digest import CLOSE, OPEN
from marsbench.tasks.task import WORKSPACE_LINE

WORKSPACE = "{workspace}"
_BEFORE, _AFTER = (re.escape(part) for part in WORKSPACE_LINE.split(WORKSPACE))
_WORKSPACE = re.compile(f"{_BEFORE}(?P<path>.+?){_AFTER}")
_RULES = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (re.escape(OPEN) + r"[\s\S]*?" + re.escape(CLOSE), ""),
        (r"\x1b\[[0-9;?]*[A-Za-z]|\r", ""),
        (r"^\[Python interpreter: .*\]\n?", ""),
        # Where Python marks a place below a line of a traceback differs from version to version.
        (r"^[ \t]*[~^]+[ \t]*\n", ""),
        (r"\b\d+\.\d+ ?(s|ms|sec|seconds)\b", "TIME"),
        (r"\b\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\b", "TIME"),
        (r"\b\d{4}-\d{2}-\d{2}\b", "DATE"),
        (r"0x[0-9a-f]+", "ADDRESS"),
        (r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b", "ID"),
        (r"(?<![\w./-])/(?:[\w.+-]+/)*lib/python3\.\d+/", "LIB/"),
        (r"\bpython3\.\d+\b", "python3"),
        (r"[ \t]+$", ""),
        # The editor's view numbers lines, and counts an empty one after the last or not.
        (r"^ +\d+\n", ""),
        (r"\n +\d+\Z", ""),
    )
)


def workspace_of(messages: Sequence[Message]) -> str | None:
    """The workspace that the first message names."""
    first = next((m for m in messages if m["role"] == "user"), None)
    found = _WORKSPACE.search(text_of(first)) if first is not None else None
    return found["path"] if found else None


def normal(text: str, workspace: str | None) -> str:
    """The text without what differs from run to run."""
    if workspace:
        text = text.replace(workspace, WORKSPACE)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.strip()


def heard(messages: Sequence[Message]) -> list[list[str]]:
    """What the model was told before each of its answers, and before the one that is asked for.

    The answers themselves are the model's own and left out, as is the system prompt, which is the
    agent framework's and its version's.
    """
    workspace = workspace_of(messages)
    rounds: list[list[str]] = [[]]
    for message in messages:
        if message["role"] == "assistant":
            rounds.append([])
        elif message["role"] in {"user", "tool"}:
            rounds[-1].append(f"{message['role']}: {normal(text_of(message), workspace)}")
    return rounds
