"""Recorded answers of a model to one task, round by round, and how a request finds its own."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from marsbench.errors import UsageError
from marsbench.model.chat import Answer, ChatRequest, FunctionCall, RefusedError
from marsbench.model.normal import WORKSPACE, heard, workspace_of

FORMAT = 1
SHOWN = 160  # characters of a difference that an error shows


@dataclass(frozen=True, slots=True)
class RecordedRound:
    """What the model was told since its last answer (normal form), and what it answered."""

    heard: tuple[str, ...]
    answer: Answer


@dataclass(slots=True)
class Recording:
    """One task's rounds. `source` says what answered, as "rules" or a model's name."""

    task: str
    source: str
    rounds: list[RecordedRound] = field(default_factory=list)

    def find(self, asked: ChatRequest) -> Answer:
        """The answer to this request, with the workspace's path put in.

        Raises RefusedError naming the first difference when it was not recorded.
        """
        told = heard(asked.messages)
        for number, new in enumerate(told):
            if number >= len(self.rounds):
                raise _diverged(self.task, number, "the recording ends before it")
            if list(self.rounds[number].heard) != new:
                raise _diverged(self.task, number, _difference(self.rounds[number].heard, new))
        return _placed(self.rounds[asked.round].answer, WORKSPACE, workspace_of(asked.messages))

    def add(self, asked: ChatRequest, answer: Answer) -> None:
        """Records an answer. A first round begins the recording anew."""
        told = heard(asked.messages)
        kept = self.rounds[: asked.round]
        if len(kept) != asked.round or any(
            list(old.heard) != new for old, new in zip(kept, told, strict=False)
        ):
            raise _diverged(self.task, asked.round, "its earlier rounds were not recorded")
        plain = _placed(answer, workspace_of(asked.messages), WORKSPACE)
        self.rounds = [*kept, RecordedRound(tuple(told[-1]), plain)]

    def to_json(self) -> str:
        """The text of a recording's file."""
        rounds = [
            {
                "heard": list(rnd.heard),
                "content": rnd.answer.content,
                "calls": [{"name": c.name, "arguments": c.arguments} for c in rnd.answer.calls],
                "output_tokens": rnd.answer.output_tokens,
            }
            for rnd in self.rounds
        ]
        record = {"marsbench_recording": FORMAT, "task": self.task, "source": self.source}
        return json.dumps({**record, "rounds": rounds}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> Recording:
        """The recording of a file. Raises UsageError naming it when it is none."""
        try:
            record = json.loads(text)
            if record["marsbench_recording"] != FORMAT:
                raise ValueError(f"format {record['marsbench_recording']}, not {FORMAT}")
            rounds = [_round(rnd) for rnd in record["rounds"]]
            return cls(record["task"], record["source"], rounds)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{source} is no recording: {error!r}.") from error


def _round(record: Mapping[str, Any]) -> RecordedRound:
    calls = tuple(FunctionCall(call["name"], call["arguments"]) for call in record["calls"])
    answer = Answer(record["content"], calls, record["output_tokens"])
    return RecordedRound(tuple(record["heard"]), answer)


def _placed(answer: Answer, old: str | None, new: str | None) -> Answer:
    """The answer with one path in place of another, in its text and its tools' arguments."""
    if not old or not new:
        return answer
    calls = tuple(
        FunctionCall(call.name, {n: _replaced(v, old, new) for n, v in call.arguments.items()})
        for call in answer.calls
    )
    return Answer(answer.content.replace(old, new), calls, answer.output_tokens)


def _replaced(value: Any, old: str, new: str) -> Any:
    return value.replace(old, new) if isinstance(value, str) else value


def _diverged(task: str, number: int, how: str) -> RefusedError:
    what = f"not recorded: round {number} of task '{task}' differs from the recording: {how}"
    return RefusedError(409, "not_recorded", what)


def _difference(recorded: Sequence[str], now: Sequence[str]) -> str:
    """The first line that differs, as recorded and as it is now."""
    old, new = "\n".join(recorded).splitlines(), "\n".join(now).splitlines()
    changes = [line for line in difflib.ndiff(old, new) if line[:2] in {"- ", "+ "}]
    gone = next((line[2:] for line in changes if line[0] == "-"), "nothing")
    came = next((line[2:] for line in changes if line[0] == "+"), "nothing")
    return f"recorded {gone[:SHOWN]!r}, now {came[:SHOWN]!r}"


def load_recordings(folder: Path | None = None) -> dict[str, Recording]:
    """The recordings of a folder by task; without one, those that ship with marsbench.

    Raises UsageError when there are none.
    """
    place = files("marsbench.model") / "recordings" if folder is None else folder
    try:
        texts = {entry.name: entry.read_text("utf-8") for entry in place.iterdir()
                 if entry.name.endswith(".json")}  # fmt: skip
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}.") from error
    found = [Recording.from_json(text, name) for name, text in sorted(texts.items())]
    if not found:
        raise UsageError(
            f"{place} holds no recording; make some with `marsbench replay record -o {place} …`."
        )
    return {recording.task: recording for recording in found}
