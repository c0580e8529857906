"""The formats that are read, and which of them a file is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from glob import glob, has_magic
from pathlib import Path

from marsbench.formats import (
    aiperf,
    atif,
    azure,
    burstgpt,
    chats,
    claude_code,
    codex,
    dynamo_trace,
    gemini_cli,
    hf,
    langfuse,
    miniswe,
    mooncake,
    openhands,
    otel,
    recorded_run,
    sweagent,
    tracelab,
    weka,
)
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head, head_of
from marsbench.formats.opening import opened
from marsbench.formats.reading import Contents, ReadError, Reading, SessionSource, failed

FORMATS: tuple[Format, ...] = (
    weka.FORMAT,
    claude_code.FORMAT,
    codex.FORMAT,
    gemini_cli.FORMAT,
    otel.FORMAT,
    dynamo_trace.FORMAT,
    langfuse.FORMAT,
    atif.FORMAT,
    chats.SHAREGPT,
    chats.TAUBENCH,
    openhands.FORMAT,
    sweagent.FORMAT,
    miniswe.FORMAT,
    mooncake.FORMAT,
    tracelab.FORMAT,
    aiperf.FORMAT,
    azure.FORMAT,
    burstgpt.FORMAT,
    recorded_run.FORMAT,
    hf.FORMAT,
)
"""In the order in which they are asked: the first that recognises a file takes it."""


def format_named(name: str) -> Format:
    """Raises KeyError."""
    return {one.name: one for one in FORMATS}[name]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file or folder, the format that it is read as, and what it was recognised by."""

    path: Path
    format: Format | None
    why: str = ""


def recognised(path: Path) -> FoundFile:
    """What a file or folder is; without a format, why not."""
    head = head_of(path)
    for one in FORMATS:
        why = one.recognise(head)
        if why is not None:
            return FoundFile(path, one, why)
    return FoundFile(path, None, _unknown(path, head))


def _unknown(path: Path, head: Head) -> str:
    """What to say of a file that no format knows."""
    try:
        with opened(path) as file:
            is_empty = not file.read(1)
    except ReadError as error:
        return str(error)
    if is_empty:
        return "is empty"
    known = ", ".join(one.name for one in FORMATS)
    # A key may be any text: it is told in one line.
    keys = ", ".join(sorted(repr(key[:40])[1:-1] for key in head.keys)[:12])
    has = f"has the keys {keys}" if keys else f"begins {head.first_line[:60]!r}"
    return (
        f"{has}, which no known format has (known are {known}); name one that fits: "
        "`marsbench workload import FORMAT FILES`"
    )


def files_of(paths: Iterable[Path], asked: Format | None = None) -> Iterator[FoundFile]:
    """What these files, folders and patterns hold, in their order, a folder's by name.

    asked: the format that was named, which takes all files that were named, and of a folder's
    those that it recognises, or all where it recognises none. Without one each file is recognised;
    of a folder's the others are passed over.
    """
    for path in _globbed(paths):
        if not path.is_dir() or (asked is not None and asked.takes_folders):
            yield recognised(path) if asked is None else FoundFile(path, asked)
            continue
        inside = list(_inside(path))
        own = [
            one for one in inside if one.format is not None and one.format in (asked or one.format,)
        ]
        yield from own or _nothing(path, inside, asked)


def _globbed(paths: Iterable[Path]) -> Iterator[Path]:
    """Patterns that no shell has expanded, and the home folder."""
    for path in paths:
        name = str(path.expanduser())
        if has_magic(name) and not Path(name).exists():
            yield from (Path(one) for one in sorted(glob(name, recursive=True)))  # noqa: PTH207 (any root)
        else:
            yield Path(name)


def _inside(folder: Path) -> Iterator[FoundFile]:
    """A folder that is itself a recording, or else the files below it; hidden ones are none."""
    whole = recognised(folder)
    if whole.format is not None:
        yield whole
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _inside(path)
        else:
            yield recognised(path)


def _nothing(
    folder: Path, inside: Sequence[FoundFile], asked: Format | None
) -> Iterator[FoundFile]:
    if asked is not None and inside:
        yield from (FoundFile(one.path, asked) for one in inside)
    else:
        yield FoundFile(folder, None, "holds no recording of a known format")


def contents_of(found: FoundFile, fallback: Fallback) -> Contents:
    """What is in it, or one problem."""
    if found.format is None:
        return Contents((failed(str(found.path), ReadError(found.why)),))
    contents = found.format.contents(found.path, fallback)
    if found.why:
        return contents
    return replace(contents, sources=_hinted(contents.sources, found.path, found.format))


def _hinted(sources: Iterable[SessionSource], path: Path, asked: Format) -> Iterator[SessionSource]:
    """The same; the first, where it cannot be read, says what the file looks like."""
    for number, source in enumerate(sources):
        yield source if number else replace(source, read=partial(_read, source, path, asked))


def _read(source: SessionSource, path: Path, asked: Format) -> Reading:
    try:
        return source.read()
    except ReadError as error:
        other = recognised(path).format if path.is_file() else None
        if other is None or other is asked:
            raise
        raise ReadError(
            f"{error} (the file is {other.title}: type `marsbench workload import {other.name}`)"
        ) from error
