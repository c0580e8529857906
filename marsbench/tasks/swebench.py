"""Rows of SWE-bench and data sets of its form as tasks, read through `datasets`.

Form: https://huggingface.co/datasets/princeton-nlp/SWE-bench_Verified (instance_id, repo,
base_commit, problem_statement, test_patch, FAIL_TO_PASS, PASS_TO_PASS). The rows carry no test
command: `test_command` is taken where a row has one, else pytest on the tests that the row names.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from marsbench.errors import UsageError
from marsbench.tasks.task import Task, TaskCheck

NEEDED = ("instance_id", "repo", "base_commit", "problem_statement")
SPLIT = "test"
TIME_S, MEMORY_MB = 1800, 8192


def swebench_tasks(name: str) -> Iterator[Task]:
    """A task for each row of a JSON, JSONL or Parquet file, or of a data set on the hub.

    Raises UsageError when there is no such data set, or a row lacks what a task needs.
    """
    for number, row in enumerate(_rows(name)):
        missing = [column for column in NEEDED if not row.get(column)]
        if missing:
            raise UsageError(f"{name}, row {number} has no {missing[0]}; a task needs {NEEDED}.")
        yield task_of_row(row)


def _rows(name: str) -> Iterator[Mapping[str, Any]]:
    import datasets  # type: ignore[import-untyped]

    path = Path(name)
    form = {".json": "json", ".jsonl": "json", ".parquet": "parquet"}.get(path.suffix)
    try:
        if form is None:
            yield from datasets.load_dataset(name, split=SPLIT)
        else:
            yield from datasets.load_dataset(form, data_files=str(path), split="train")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"The data set '{name}' cannot be read: {first}") from error


def task_of_row(row: Mapping[str, Any]) -> Task:
    """The task of one row. Raises UsageError when it says nowhere how to test the result."""
    return Task(
        id=row["instance_id"],
        kind="swebench",
        prompt=row["problem_statement"],
        repository=_address(row["repo"]),
        commit=row["base_commit"],
        check=TaskCheck(
            command=row.get("test_command") or _pytest(row),
            patch=row.get("test_patch") or "",
            time_s=TIME_S,
            memory_mb=MEMORY_MB,
        ),
    )


def _address(repo: str) -> str:
    """A path or an address stays; "owner/name" is a repository on GitHub."""
    if "://" in repo or Path(repo).exists() or repo.count("/") != 1:
        return repo
    return f"https://github.com/{repo}.git"


def _pytest(row: Mapping[str, Any]) -> str:
    tests = [test for column in ("FAIL_TO_PASS", "PASS_TO_PASS") for test in _names(row, column)]
    if not tests:
        raise UsageError(
            f"Row {row['instance_id']} has neither a test_command nor FAIL_TO_PASS: "
            "add a column test_command."
        )
    return shlex.join(["python3", "-m", "pytest", "-q", *tests])


def _names(row: Mapping[str, Any], column: str) -> list[str]:
    """The published files hold lists of tests as JSON in a text."""
    value = row.get(column) or []
    return list(json.loads(value) if isinstance(value, str) else value)
