"""Files of sessions: one header line, then one session a line (docs/workloads.md).

A file says everything that an engine needs and nothing that depends on one, so that the same
file can be played by every engine and against every backend, and its hash names it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from marsbench.core.session import Session
from marsbench.core.workload.records import NestedJson, nested_json
from marsbench.errors import UsageError
from marsbench.outputs import check_writable, save
from marsbench.problems import first_problem, json_problem

VERSION = 1


@dataclass(frozen=True)
class Workload:
    """Sessions and how they arrive.

    lanes: None when sessions arrive at their `arrival_s`; N when N lanes are kept busy and a
        session begins as soon as one is free (`arrival_s` is then ignored).
    meta: where the sessions come from (recipe, seed, knobs, source); never part of the hash.
    """

    name: str
    sessions: tuple[Session, ...]
    lanes: int | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sessions:
            raise ValueError(f"workload {self.name!r} has no sessions")
        if self.lanes is not None and self.lanes < 1:
            raise ValueError(f"workload {self.name!r}: lanes must be at least 1: {self.lanes}")
        ids = Counter(s.id for top in self.sessions for s in top.walk())
        doubled = [name for name, count in ids.items() if count > 1]
        if doubled:
            raise ValueError(f"workload {self.name!r} has two sessions with the id {doubled[0]!r}")
        for session in self.sessions:
            _check_forks_nobody(session)

    @cached_property
    def hash(self) -> str:
        """sha256 of the sessions and lanes: two workloads that play alike have the same."""
        digest = hashlib.sha256(f"{VERSION} {self.lanes}\n".encode())
        for session in self.sessions:
            digest.update(_dumps(nested_json(session)).encode() + b"\n")
        return digest.hexdigest()


def _check_forks_nobody(session: Session) -> None:
    if session.fork_tokens:
        raise ValueError(
            f"session {session.id!r} has {session.fork_tokens} fork_tokens of a parent's context, "
            "and is nobody's sub-agent"
        )


def write_workload(workload: Workload, path: Path) -> None:
    """Write the workload; the file appears whole or not at all.

    Raises UsageError when the place cannot be written.
    """
    write_lines(_lines(workload), path)


def write_lines(lines: Iterator[str], path: Path) -> None:
    """Write a file of lines as a workload's is written. Raises UsageError."""
    with _told(path):
        save(path, (f"{line}\n".encode() for line in lines))


def require_writable(path: Path) -> None:
    """Raises UsageError when a workload cannot be written there; before the work, not after."""
    with _told(path):
        check_writable(path)


def read_workload(path: Path) -> Workload:
    """The workload of a file. Raises UsageError naming the line and field that is wrong."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(file)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text but binary; {_CURE}") from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"Cannot read a workload from {path} ({why}); {_CURE}") from error
    if not any(line.strip() for line in lines):
        raise UsageError(f"{path} is empty; {_CURE}")
    header = _header(path, lines[0])
    sessions = tuple(_sessions(path, lines))
    if not sessions:
        raise UsageError(f"{path} has a header but no sessions; {_CURE}")
    return Workload(header.name, sessions, header.lanes, header.meta)


_CURE = "give a file made by `marsbench workload make` or `marsbench workload import`."


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors of writing there, in one sentence."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"Cannot write the workload to {path} ({why}); give a file in a folder that exists "
            f"and is yours, for example -o workload.jsonl."
        ) from error


def _lines(workload: Workload) -> Iterator[str]:
    yield _dumps({"marsbench_workload": VERSION, **header_json(workload)})
    for session in workload.sessions:
        yield _dumps(nested_json(session))


def _dumps(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def header_json(workload: Workload) -> dict[str, Any]:
    """The workload's name, lanes and origin: what its sessions do not say."""
    return {"name": workload.name, "lanes": workload.lanes, "meta": dict(workload.meta)}


class Header(BaseModel):
    """What `header_json` gives."""

    name: str
    lanes: Annotated[int, Field(ge=1)] | None = None
    meta: dict[str, Any] = Field(default_factory=dict)


class _FileHeader(Header):
    marsbench_workload: int


def _header(path: Path, line: str) -> Header:
    record = _parsed(path, 1, line)
    if "marsbench_workload" not in record:
        raise UsageError(f"{path}:1 is not the header of a workload; {_CURE}")
    if record["marsbench_workload"] != VERSION:
        raise UsageError(
            f"{path} is a workload of version {record['marsbench_workload']!r}, this marsbench "
            f"reads version {VERSION}; make it again with `marsbench workload make`."
        )
    try:
        return _FileHeader.model_validate(record, strict=True, extra="forbid")
    except ValidationError as error:
        raise UsageError(f"{path}:1: {first_problem(error)}") from error


def _sessions(path: Path, lines: list[str]) -> Iterator[Session]:
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        session = _session(path, number, line)
        for member in session.walk():
            if member.id in seen:
                raise UsageError(
                    f"{path}:{number}: id: {member.id!r} was already used in line "
                    f"{seen[member.id]}; every session and sub-agent needs its own id."
                )
            seen[member.id] = number
        yield session


def _session(path: Path, number: int, line: str) -> Session:
    record = _parsed(path, number, line)
    try:
        session = NestedJson.model_validate(record, strict=True, extra="forbid").session()
        _check_forks_nobody(session)
    except ValidationError as error:
        raise UsageError(f"{path}:{number}: {first_problem(error)}") from error
    except ValueError as error:
        raise UsageError(f"{path}:{number}: {error}") from error
    return session


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}:{number} {json_problem(error)}; {_CURE}") from error
    if not isinstance(record, dict):
        raise UsageError(f"{path}:{number} is not a JSON object; {_CURE}")
    return record
