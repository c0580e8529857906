"""From what an import finds to the file that it writes; what was amiss is said on stderr."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from marsbench.cli.import_options import (
    IMPORT_RATE,
    STATED,
    Imported,
    ImportOptions,
    mean_gpu_s,
    progress,
)
from marsbench.errors import UsageError

if TYPE_CHECKING:
    from marsbench.core.session import Session
    from marsbench.core.workload.files import Workload
    from marsbench.formats.gathering import ImportResult
    from marsbench.formats.table import FoundFile

MOST_SAID = 50
"""Sentences of one kind that are printed; the others are counted."""


def write_import(imported: Imported, options: ImportOptions) -> None:
    """Say what was amiss, write the rest, and exit with 1 if a file or row was left out."""
    from marsbench.core.workload.files import write_workload
    from marsbench.show.workload import summary_line

    workload, is_whole = imported_workload(imported, options)
    write_workload(workload, options.output)
    typer.echo(f"{options.output}: {summary_line(workload)}")
    if not is_whole:
        raise typer.Exit(1)


def imported_workload(imported: Imported, options: ImportOptions) -> tuple[Workload, bool]:
    """What can be read, and whether that is all; what was amiss is said on stderr."""
    from marsbench.formats.gathering import gather, require_clean

    found = gather(imported.contents, progress(imported.label), options.wanted)
    _report(found)
    if options.strict:
        require_clean(found)
    short = _short_enough(found, options.max_tokens)
    return _workload(imported, short, options, found), not found.problems


def _workload(
    imported: Imported, short: ImportResult, options: ImportOptions, found: ImportResult
) -> Workload:
    from marsbench.formats.arrivals import workload_of
    from marsbench.formats.privacy import masked

    # What marsbench exported comes back as it was: its names were decided on when it was made.
    keeps = options.keep_names or (
        (imported.own or short.header is not None) and not options.private
    )
    sessions = list(short.sessions) if keeps else masked(short.sessions)
    about = _about(imported, options, found, short, [one.id for one in sessions], keeps)
    workload = workload_of(
        imported.kind, sessions, options.knobs, about, mean_gpu_s, IMPORT_RATE,
        imported.recorded and found.has_arrivals, short.header,
    )  # fmt: skip
    if keeps or short.header is None:
        return workload
    return replace(workload, name=imported.kind, meta=_private(workload.meta))


def _about(
    imported: Imported,
    options: ImportOptions,
    found: ImportResult,
    short: ImportResult,
    names: Sequence[str],
    keeps: bool,
) -> dict[str, object]:
    """What the workload says of where it comes from."""
    from marsbench.formats.accounts import recording_meta

    left_out = len(found.problems) + len(found.sessions) - len(short.sessions)
    stated = {name: getattr(options, name) for name in (*STATED, "max_tokens", "limit", "sample")}
    about = {
        **(imported.meta or {"format": imported.kind}),
        "left_out": left_out,
        **{name: value for name, value in stated.items() if value},
    }
    recording = recording_meta(short.accounts, names, left_out, found.unawaited)
    return {**(about if keeps else _private(about)), "recording": recording}


def _private(meta: Mapping[str, object]) -> dict[str, object]:
    from marsbench.engines import ENGINES
    from marsbench.formats.privacy import private_meta
    from marsbench.formats.table import FORMATS
    from marsbench_backends.registry import BACKENDS

    return private_meta(meta, [*(one.name for one in FORMATS), *BACKENDS, "mixed", *ENGINES])


def recognised_files(paths: Sequence[Path], options: ImportOptions) -> Imported:
    """These files, each read as what it is; what they were taken for is said on stderr."""
    from marsbench.formats.table import contents_of, files_of

    found = list(files_of(paths))
    if not found:
        raise UsageError(
            f"Nothing was imported: {paths[0]} matches no file; give files or folders."
        )
    for sentence in _taken(found):
        typer.echo(sentence, err=True)
    kinds = {one.format for one in found if one.format is not None}
    fallback = options.fallback
    contents = (contents_of(one, fallback) for one in found)
    kind = next(iter(kinds)).name if len(kinds) == 1 else "mixed"
    return Imported(kind, contents, bool(kinds) and all(one.has_arrivals for one in kinds))


def _taken(found: Iterable[FoundFile]) -> Iterator[str]:
    """A sentence a format and reason: how many files, and the first of them."""
    files: dict[tuple[str, str], list[Path]] = {}
    for one in found:
        if one.format is not None:
            files.setdefault((one.format.name, one.why), []).append(one.path)
    for (name, why), paths in files.items():
        others = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        yield f"{paths[0]}{others}: read as {name}, for {why}"


def _report(result: ImportResult) -> None:
    """Say on stderr what was amiss. Raises UsageError when nothing is left."""
    if not result.sessions:
        others = len(result.problems) - 1
        more = f" (and {others} more)" if others > 0 else ""
        why = result.problems[0] if result.problems else "there is nothing in it"
        raise UsageError(f"Nothing was imported: {why}{more}.")
    _say("left out", result.problems)
    _say("repaired", result.repairs)
    _say("differs", result.differences)
    _say("note", result.notes)
    if result.unawaited:
        typer.echo(f"left out: {result.unawaited} sub-agents that nothing waits for", err=True)


def _say(kind: str, sentences: Sequence[str]) -> None:
    for sentence in sentences[:MOST_SAID]:
        typer.echo(f"{kind}: {sentence}", err=True)
    if len(sentences) > MOST_SAID:
        typer.echo(f"{kind}: {len(sentences) - MOST_SAID:,} more like these", err=True)


def _short_enough(found: ImportResult, max_tokens: int | None) -> ImportResult:
    """With those that never grow longer than that; the others are named on stderr.

    Raises UsageError when none is left.
    """
    if max_tokens is None:
        return found
    peaks = {s.id: max(part.peak_tokens for part in s.walk()) for s in found.sessions}
    for name, peak in peaks.items():
        if peak > max_tokens:
            typer.echo(f"left out: {name} grows to {peak:,} tokens", err=True)
    kept = [(s, a) for s, a in zip(found.sessions, found.accounts, strict=True)
            if peaks[s.id] <= max_tokens]  # fmt: skip
    if not kept:
        raise UsageError(
            f"Every session grows longer than --max-tokens {max_tokens:,}, the shortest to "
            f"{min(peaks.values()):,}; give at least that."
        )
    return replace(
        found, sessions=tuple(s for s, _ in kept), accounts=tuple(account for _, account in kept)
    )


def given_arrivals(path: Path, traces: Sequence[Path]) -> Imported:
    """The workload's sessions at a trace's first arrivals, and where they come from.

    Raises UsageError when the trace has too few.
    """
    from marsbench.core.workload.files import read_workload
    from marsbench.formats.azure import azure_requests
    from marsbench.formats.reading import Contents, ReadError, SessionSource
    from marsbench.formats.request_rows import ready

    if len(traces) != 1:
        raise UsageError("--workload takes the arrivals of one trace; give one file.")
    (trace,) = traces
    workload = read_workload(path)
    problems: list[SessionSource] = []
    arriving: list[Session] = []
    try:
        for one in azure_requests(trace):
            if isinstance(one, SessionSource):
                problems.append(one)
            else:
                arriving.append(replace(workload.sessions[len(arriving)], arrival_s=one.at_s))
            if len(arriving) == len(workload.sessions):
                break
    except ReadError as error:
        raise UsageError(f"{trace}: {error}.") from error
    if len(arriving) < len(workload.sessions):
        raise UsageError(
            f"{trace} has {len(arriving):,} arrivals and {path} {len(workload.sessions):,} "
            "sessions; give a workload of at most that many."
        )
    typer.echo(f"the sessions of {path} arrive as the first {len(arriving):,} did", err=True)
    origin = {key: value for key, value in workload.meta.items() if key not in ("rate", "load")}
    contents = Contents((*problems, *(ready(session, path) for session in arriving)))
    return Imported("azure", (contents,), True, {**origin, "format": "azure"}, own=True)
