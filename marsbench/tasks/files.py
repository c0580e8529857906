"""Where tasks come from: the shipped ones, a user's TOML or JSONL, or SWE-bench rows."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from marsbench.errors import UsageError
from marsbench.problems import json_problem
from marsbench.tasks.task import EXAMPLE, Task

SHIPPED = "shipped"
SWEBENCH = "swebench:"


def load_tasks(name: str) -> tuple[Task, ...]:
    """The tasks of a name: `shipped`, `shipped:ID,…`, a .toml or .jsonl file, a folder of .toml
    files, or `swebench:` and a data set (a file of rows, or its name on the hub).

    Raises UsageError when there are none, or when one of them is not what it should be.
    """
    kind, _, wanted = name.partition(":")
    if kind == SHIPPED:
        return _chosen(shipped_tasks(), wanted.split(",") if wanted else [])
    if name.startswith(SWEBENCH):
        from marsbench.tasks.swebench import swebench_tasks

        return _checked(swebench_tasks(name.removeprefix(SWEBENCH)), name)
    return _checked(_from_path(Path(name)), name)


def shipped_tasks() -> tuple[Task, ...]:
    """The project's own tasks, by id."""
    folder = files("marsbench.tasks") / SHIPPED
    texts = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir()}
    return tuple(_from_toml(texts[name], name) for name in sorted(texts) if name.endswith(".toml"))


def _chosen(tasks: tuple[Task, ...], ids: list[str]) -> tuple[Task, ...]:
    by_id = {task.id: task for task in tasks}
    for wanted in ids:
        if wanted not in by_id:
            raise UsageError(
                f"There is no shipped task '{wanted}'; there are {', '.join(sorted(by_id))}."
            )
    return tuple(by_id[wanted] for wanted in ids) if ids else tasks


def _from_path(path: Path) -> list[Task]:
    if path.is_dir():
        return [_from_toml(_text(file), str(file)) for file in sorted(path.glob("*.toml"))]
    if path.suffix == ".toml":
        return [_from_toml(_text(path), str(path))]
    if path.suffix == ".jsonl":
        lines = enumerate(_text(path).splitlines(), 1)
        return [_from_json(line, f"{path}:{number}") for number, line in lines if line.strip()]
    raise UsageError(
        f"'{path}' are no tasks: give `shipped`, a .toml or .jsonl file, a folder of .toml files, "
        f"or swebench:NAME ({EXAMPLE})."
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as a file of tasks: {error}.") from error


def _from_toml(text: str, source: str) -> Task:
    try:
        return _task(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source} is not TOML: {error}.") from error


def _from_json(text: str, source: str) -> Task:
    try:
        return _task(json.loads(text), source)
    except json.JSONDecodeError as error:
        raise UsageError(f"{source} {json_problem(error)}.") from error


def _task(record: Mapping[str, Any], source: str) -> Task:
    try:
        return Task.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the task"
        raise UsageError(f"{source}: {where}: {first['msg']} ({EXAMPLE}).") from error


def _checked(tasks: Iterable[Task], name: str) -> tuple[Task, ...]:
    found = tuple(tasks)
    if not found:
        raise UsageError(f"'{name}' holds no task; {EXAMPLE}.")
    doubled = [task for task, count in Counter(t.id for t in found).items() if count > 1]
    if doubled:
        raise UsageError(f"'{name}' has two tasks with the id '{doubled[0]}'; ids are unique.")
    return found
