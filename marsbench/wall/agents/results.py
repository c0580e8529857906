"""What became of every task: ended or not, its own check, and where the seconds went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from marsbench.tasks.check import CheckResult
from marsbench.wall.agents.plan import AgentSession
from marsbench.wall.agents.timeline import TimeShares

TASKS = "tasks.json"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One agent's task. reason: why the agent did not finish; None where it did."""

    session: AgentSession
    reason: str | None
    shares: TimeShares
    check: CheckResult

    def record(self) -> dict[str, Any]:
        """For tasks.json."""
        return {
            "session": self.session.id,
            "task": self.session.task.id,
            "finished": self.reason is None,
            "reason": self.reason,
            "check": asdict(self.check),
            "seconds": asdict(self.shares),
        }


def write_results(folder: Path, results: Sequence[TaskResult]) -> None:
    """Writes tasks.json into a run's folder."""
    text = json.dumps([result.record() for result in results], indent=1, ensure_ascii=False)
    (folder / TASKS).write_text(text + "\n", encoding="utf-8")


def read_results(folder: Path) -> list[Mapping[str, Any]] | None:
    """The records of a run's tasks.json; None where it has none."""
    path = folder / TASKS
    if not path.is_file():
        return None
    found: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def say_results(records: Sequence[Mapping[str, Any]]) -> str:
    """One line a person reads: how many checks passed, and what the seconds were spent on."""
    passed = sum(bool(r["check"] and r["check"]["passed"]) for r in records)
    spent = [r["seconds"] for r in records if r["seconds"]]
    line = f"tasks: {passed} of {len(records)} passed their check"
    if not spent:
        return line
    names = {"model": "llm_s", "tools": "tools_s", "framework": "framework_s", "waiting": "wait_s"}
    means = {label: sum(s[name] for s in spent) / len(spent) for label, name in names.items()}
    shares = ", ".join(f"{label} {mean:.1f} s" for label, mean in means.items())
    return f"{line}; a task's mean: {shares}"
