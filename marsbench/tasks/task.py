"""A task: a repository, what is asked of an agent, and how to see whether it was done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

EXAMPLE = "docs/openhands.md shows a task file"


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or parts.parts[0] == ".git":
        raise ValueError(f"'{path}' has to be a path inside the repository")
    return path


InnerPath = Annotated[str, AfterValidator(_inside)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Setup(_Strict):
    """A command that completes the repository before its first commit."""

    command: str


class TaskCheck(_Strict):
    """How to see whether the task was done: the command exits with 0.

    It runs in a copy of the workspace with `files` written over it, which the agent never sees.
    patch: a diff that is applied before, as SWE-bench has it.
    time_s: seconds of wall time and of CPU. memory_mb: address space of each process.
    """

    command: str
    files: Mapping[InnerPath, str] = Field(default_factory=dict)
    patch: str = ""
    time_s: Annotated[float, Field(gt=0, le=86_400)] = 30
    memory_mb: Annotated[int, Field(ge=16)] = 1024


class PlayerStep(_Strict):
    """One thing that the rule-based player does to solve a task.

    Either a command (`run`), or a new file (`path`) with its `text`, or a change of one from `old`
    to `new`.
    """

    say: str = ""
    run: str | None = None
    path: InnerPath | None = None
    text: str | None = None
    old: str | None = None
    new: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = {name for name in ("run", "path", "text", "old", "new") if getattr(self, name)}
        # An empty `new` takes something out.
        if given - {"new"} not in ({"run"}, {"path", "text"}, {"path", "old"}):
            raise ValueError("a step has `run`, or `path` and `text`, or `path`, `old` and `new`")
        return self


class PlayerRules(_Strict):
    """The rules of the player for one task: what to read, what to try, the steps, the test."""

    look: tuple[InnerPath, ...] = ()
    try_: Annotated[str, Field(alias="try")] = ""
    steps: tuple[PlayerStep, ...]
    test: str


class Task(_Strict):
    """A repository and what is asked of an agent.

    The repository is either `files` (with `setup` run among them) or `repository`, a path or an
    address that git can clone, at `commit`.
    """

    id: Name
    prompt: Annotated[str, Field(min_length=1)]
    check: TaskCheck
    kind: str = "task"
    files: Mapping[InnerPath, str] = Field(default_factory=dict)
    setup: Setup | None = None
    repository: str | None = None
    commit: str | None = None
    player: PlayerRules | None = None

    @model_validator(mode="after")
    def _has_one_repository(self) -> Self:
        if bool(self.files) == bool(self.repository):
            raise ValueError("a task has either `files` or a `repository`")
        if self.repository and not self.commit:
            raise ValueError("a `repository` needs the `commit` that the agent starts from")
        return self


WORKSPACE_LINE = "The repository is the folder {workspace} and you work in it alone."


def first_message(task: Task, workspace: str, digest: str = "") -> str:
    """The first message to the agent: what to do, where, and a digest of the repository."""
    where = WORKSPACE_LINE.format(workspace=workspace)
    parts = [task.prompt.strip(), f"{where} Call finish when it is done."]
    return "\n\n".join([*parts, digest] if digest else parts)
