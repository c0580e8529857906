"""What every importer gives back, and how each of them reads files."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from marsbench.core.session import Session
from marsbench.core.workload.files import Header
from marsbench.problems import first_problem


class Record(BaseModel):
    """A record of another's format: it may grow, but what we read of it must be as we know it."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What was imported, and for each file or row that was left out a sentence that says why.

    unawaited: sub-agents that no request of their parent came after; they are left out too.
    notes: what a reader of the sessions should know; nothing was left out for it.
    header: what a file of ours says of the workload that it was exported from.
    """

    sessions: tuple[Session, ...]
    problems: tuple[str, ...] = ()
    unawaited: int = 0
    notes: tuple[str, ...] = ()
    header: Header | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One recorded session, the sub-agents that nothing in it waits for, and notes on it."""

    session: Session
    notes: tuple[str, ...] = ()
    unawaited: int = 0


class ReadError(Exception):
    """A file or row that cannot be a session; the message names the line or field."""


@dataclass(frozen=True, slots=True)
class SessionSource:
    """A file or a row of one: how a problem names it, and what makes a session of it."""

    where: str
    read: Callable[[], Reading]


TrackSources = Callable[[Sequence[SessionSource]], Iterable[SessionSource]]
Model = TypeVar("Model", bound=BaseModel)


def gather(sources: Sequence[SessionSource], track: TrackSources | None = None) -> ImportResult:
    """The sessions of these sources, in their order; a bad one leaves the others as they are."""
    sessions: list[Session] = []
    problems: list[str] = []
    notes: list[str] = []
    names: set[str] = set()
    unawaited = 0
    for source in track(sources) if track else sources:
        try:
            reading = source.read()
            _require_new(reading.session, names)
        except (ReadError, ValueError) as error:  # a ValueError is a session that cannot be
            problems.append(f"{source.where}: {error}")
            continue
        sessions.append(reading.session)
        notes += [f"{source.where}: {note}" for note in reading.notes]
        unawaited += reading.unawaited
    return ImportResult(tuple(sessions), tuple(problems), unawaited, tuple(notes))


def _require_new(session: Session, names: set[str]) -> None:
    for member in session.walk():
        if member.id in names:
            raise ReadError(f"id: {member.id!r} was already imported")
    names.update(member.id for member in session.walk())


def text_of(path: Path) -> str:
    """A file's text, packed with gzip or not. Raises ReadError."""
    with _opened(path) as file:
        return file.read()


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that hold anything, each with its place, "FILE:LINE".

    Raises ReadError when the file cannot be read, on the way if it is damaged there.
    """
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}:{number}", line.rstrip("\r\n")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2).startswith(b"\x1f\x8b")
            unpacked = gzip.GzipFile(fileobj=raw) if packed else raw
            yield TextIOWrapper(cast(BinaryIO, unpacked), encoding="utf-8", newline="")
    except OSError as error:
        raise ReadError((error.strerror or str(error)).lower()) from error
    except (EOFError, zlib.error) as error:
        raise ReadError("is cut short or damaged, unpack it to see") from error
    except UnicodeDecodeError as error:
        raise ReadError("is not text but binary") from error


def json_of(text: str) -> Any:
    """The JSON of a text. Raises ReadError naming line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ReadError(f"line {error.lineno}: {error.msg}, column {error.colno}") from error
    except RecursionError as error:
        raise ReadError("is nested too deeply") from error


def record_of(model: type[Model], value: Any, tags: Sequence[str] = ()) -> Model:
    """The value as a record of that model. Raises ReadError naming the field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ReadError(first_problem(error, tags)) from error


def failed(where: str, error: ReadError) -> SessionSource:
    """A source that is known to be unreadable: it becomes one problem among the others."""

    def read() -> Reading:
        raise error

    return SessionSource(where, read)


def file_sources(
    paths: Iterable[Path], read: Callable[[Any, str], Reading], suffix: str = ""
) -> list[SessionSource]:
    """A source for every file; `read` gets its JSON and its name without the suffix."""

    def reading(path: Path) -> Reading:
        return read(json_of(text_of(path)), path.name.removesuffix(".gz").removesuffix(suffix))

    return [SessionSource(str(path), partial(reading, path)) for path in paths]


def line_sources(path: Path, read: Callable[[Any], Reading]) -> list[SessionSource]:
    """A source for every line of a file; `read` gets its JSON."""

    def reading(line: str) -> Reading:
        return read(json_of(line))

    try:
        return [SessionSource(place, partial(reading, line)) for place, line in lines_of(path)]
    except ReadError as error:
        return [failed(str(path), error)]
