"""A sweep on disk: the plan, and a run folder for every cell that went to its end.

sweep.json   the file it was made from, and the names of its cells
NAME/        a complete run; beside a run's own files cell.json says where it stands in the sweep
failed/      why a cell failed, one text each
.drafts/     runs under way: a run moves out of here when it is complete, so that a folder
             elsewhere is whole however the sweep was stopped

Reading needs no engine. What is there is what counts: there is no index to get out of step.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.errors import UsageError
from marsbench.outputs import save_text
from marsbench.problems import json_problem
from marsbench.runs import RunFolder, RunSummary

PLAN, CELL, DRAFTS, FAILED = "sweep.json", "cell.json", ".drafts", "failed"
SUMMARY = "summary.json"
FORMAT = 1


@dataclass(frozen=True)
class Result:
    """A complete cell: where it stands in the sweep, its run folder and its summary.

    Its tables are read when they are first asked for, and once.
    """

    place: Mapping[str, Any]
    run: RunFolder
    summary: RunSummary

    @cached_property
    def sessions(self) -> tuple[SessionRecord, ...]:
        """Those that users wait for, in order of their names. Raises UsageError without a table."""
        table = self.run.table("sessions")
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        cells: list[dict[str, Any]] = [{name: row.get(name) for name in _FIELDS} for row in rows]
        own = roots([SessionRecord(**row) for row in cells])
        return tuple(sorted(own, key=lambda session: session.session))

    @cached_property
    def live_evictions(self) -> list[int]:
        """Blocks that open sessions lost in each second. Raises UsageError without a table."""
        cells: list[int] = self.run.table("evictions")["live_blocks"].tolist()
        return cells


_FIELDS = tuple(field.name for field in fields(SessionRecord))


class SweepFolder:
    """The folder of a sweep, to be written and read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def open(path: Path) -> SweepFolder:
        """A sweep to read. Raises UsageError when the path is none."""
        if not (path / PLAN).is_file():
            raise UsageError(
                f"{path} is not the folder of a sweep: it has no {PLAN}; "
                "give the folder that `marsbench sweep` printed."
            )
        return SweepFolder(path)

    @staticmethod
    def create(path: Path, name: str, text: str, cells: Sequence[str]) -> SweepFolder:
        """The folder with this plan, fresh or taken up again.

        Raises UsageError when something else lies there, or nothing can be written.
        """
        folder = SweepFolder(path)
        try:
            if path.exists() and not (path / PLAN).is_file() and any(path.iterdir()):
                raise UsageError(
                    f"{path} exists and is not the folder of a sweep; give another with -o."
                )
            (path / DRAFTS).mkdir(parents=True, exist_ok=True)
            folder.write_plan(name, text, cells)
        except OSError as error:
            raise UsageError(
                f"Cannot write a sweep at {path}: {error.strerror}; "
                "give a folder that you may write with -o."
            ) from error
        return folder

    def write_plan(self, name: str, text: str, cells: Sequence[str]) -> None:
        """The plan, or what has become of it. Raises OSError."""
        plan = {"marsbench_sweep": FORMAT, "name": name, "file": text, "cells": list(cells)}
        write_json(self.path / PLAN, plan)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes into it meanwhile; the lock goes with the process, even if killed.

        Raises UsageError when another sweep does. What it left unfinished is removed.
        """
        with (self.path / DRAFTS / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"Another sweep is writing into {self.path}; wait for it, or give another "
                    "folder with -o."
                ) from error
            for draft in (self.path / DRAFTS).iterdir():
                if draft.is_dir():
                    shutil.rmtree(draft, ignore_errors=True)
            yield

    def plan(self) -> Mapping[str, Any]:
        """The plan as it was written last."""
        record: Mapping[str, Any] = _read(self.path / PLAN)
        return record

    def is_complete(self, name: str, inputs: str) -> bool:
        """Whether the cell went to its end with just these inputs."""
        folder = self.path / name
        if not ((folder / CELL).is_file() and (folder / SUMMARY).is_file()):
            return False
        return bool(_read(folder / CELL).get("inputs") == inputs)

    def draft(self, name: str) -> Path:
        """A place for the cell's run while it is under way; nothing is there yet."""
        place = self.path / DRAFTS / name
        if place.exists():
            shutil.rmtree(place)
        return place

    def keep(self, name: str, place: Mapping[str, Any], inputs: str) -> None:
        """The draft is complete: move it to its place, where an outdated one may lie."""
        draft, final = self.path / DRAFTS / name, self.path / name
        write_json(draft / CELL, {"marsbench_cell": FORMAT, "inputs": inputs, **place})
        if final.exists():
            shutil.rmtree(final)
        draft.rename(final)
        self._failure(name).unlink(missing_ok=True)

    def note_failure(self, name: str, text: str) -> None:
        """Keeps why a cell failed, until it succeeds; on a full disk it is told at the end only."""
        with suppress(OSError):
            self._failure(name).parent.mkdir(exist_ok=True)
            self._failure(name).write_text(text, encoding="utf-8")

    def _failure(self, name: str) -> Path:
        return self.path / FAILED / f"{name}.txt"

    def results(self) -> Iterator[Result]:
        """The complete cells of the plan, in its order."""
        for name in self.plan()["cells"]:
            if (self.path / name / CELL).is_file():
                yield self.result(name)

    def result(self, name: str) -> Result:
        """A complete cell."""
        record = _read(self.path / name / CELL)
        run = RunFolder.open(self.path / name)
        return Result(record, run, run.summary())


def write_json(path: Path, content: object) -> None:
    """Writes it whole or not at all. Raises OSError."""
    save_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} {json_problem(error)}; remove its folder.") from error
    if not isinstance(record, dict):
        raise UsageError(f"{path} holds no JSON object; remove its folder.")
    return record
