"""Where slowdowns came from: one session, or the mean over all, of runs side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from marsbench.core.metrics import percentiles
from marsbench.judge.why.causes import LABELS, SHORT, Causes, mean
from marsbench.judge.why.explain import Explained, ExplainedRun
from marsbench.judge.why.mean import mean_of
from marsbench.judge.why.story import story_of
from marsbench.text.console import drawn
from marsbench.text.numbers import UNMEASURED, percent, seconds
from marsbench.text.tables import Cell, Table
from marsbench.text.words import each

MOST_SESSIONS = 10
"""That lost most; `--json` has them all."""


def show_session(runs: Sequence[ExplainedRun], session: str, console: Console) -> None:
    """Where the session's seconds went, a column a run, and its story in the first of them."""
    found = [run.session(session) for run in runs]
    columns = [(run, one.causes, [one]) for run, one in zip(runs, found, strict=True)]
    console.print(drawn(_table(columns)))
    for run, one in zip(runs, found, strict=True):
        if len(runs) > 1:
            console.print(f"[bold]{escape(_name(run, runs))}[/bold]", highlight=False)
        for sentence in story_of(run, one):
            console.print(escape(sentence), highlight=False)
    _notes(runs, console)


def show_runs(runs: Sequence[ExplainedRun], console: Console) -> None:
    """Mean seconds by cause, a column a run; of one run, the sessions that lost most too."""
    columns = [(run, mean([e.causes for e in run.explained]), run.explained) for run in runs]
    console.print(drawn(_table(columns)))
    if len(runs) == 1 and runs[0].explained:
        console.print(drawn(_sessions(runs[0].explained)))
    for run in runs:
        if run.num_left_out:
            console.print(
                f"{escape(_name(run, runs))}: {run.num_left_out} sessions did not finish, or have "
                "no time alone, and are in no mean.",
                highlight=False,
            )
    _notes(runs, console)


Column = tuple[ExplainedRun, Causes, Sequence[Explained]]


def _table(columns: Sequence[Column]) -> Table:
    """Seconds by cause, which add up to the last but two rows' difference."""
    runs = [run for run, _, _ in columns]
    told = [name for name in LABELS if any(name in causes.known for _, causes, _ in columns)]
    rows: list[list[Cell]] = [
        [LABELS[name], *(cell for _, c, of in columns for cell in _cells(c, name, of))]
        for name in told
    ]
    rows.append(["slowdown", *(cell for _, _, of in columns for cell in _whole(of))])
    completion = [_mean([e.record.completion_s for e in of]) for _, _, of in columns]
    ideal = [_mean([e.record.ideal_s for e in of]) for _, _, of in columns]
    rows.append(["completion", *(cell for s in completion for cell in (seconds(s), ""))])
    rows.append(["alone", *(cell for s in ideal for cell in (seconds(s), ""))])
    head = ["mean seconds" if any(len(of) != 1 for _, _, of in columns) else "seconds"]
    return Table(
        [*head, *(cell for run in runs for cell in (_name(run, runs), "share"))], rows, "LR"
    )


def _name(run: ExplainedRun, runs: Sequence[ExplainedRun]) -> str:
    """The backend, where that tells the runs apart; else the folder."""
    backends = each([other.backend for other in runs])
    return run.backend if run.backend and len(backends) == len(runs) else run.name


def _cells(causes: Causes, name: str, of: Sequence[Explained]) -> tuple[str, str]:
    value, whole = causes.known.get(name), _mean([e.slowdown_s for e in of])
    if value is None:
        return UNMEASURED, ""
    return _shown(value), _share(value, whole)


def _shown(value: float) -> str:
    """Differences of clock readings have rounding errors of a billionth; they are none."""
    return seconds(round(value, 6) + 0.0)


def _share(value: float, whole: float | None) -> str:
    return "" if not whole or whole < 1e-6 else percent(round(value / whole, 6) + 0.0)


def _whole(of: Sequence[Explained]) -> tuple[str, str]:
    value = _mean([e.slowdown_s for e in of])
    return (UNMEASURED, "") if value is None else (_shown(value), _share(value, value))


def _mean(values: Sequence[float | None]) -> float | None:
    return percentiles.mean([value for value in values if value is not None])


def _sessions(of: Sequence[Explained]) -> Table:
    """Those that lost most, a row each."""
    worst = sorted(of, key=lambda e: (-e.slowdown_s, e.record.session))[:MOST_SESSIONS]
    told = [name for name in LABELS if any(name in e.causes.known for e in worst)]
    rows = [
        [e.record.session, _shown(e.slowdown_s), *(_cells(e.causes, n, [e])[0] for n in told)]
        for e in worst
    ]
    return Table(["lost most", "seconds", *(SHORT[name] for name in told)], rows, "LR")


def _notes(runs: Sequence[ExplainedRun], console: Console) -> None:
    for run in runs:
        if run.note is not None:
            console.print(
                f"{escape(_name(run, runs))}: {escape(run.note)}, so recomputation, contention and "
                "tools are not told apart.",
                highlight=False,
            )


def why_json(runs: Sequence[ExplainedRun], session: str | None) -> str:
    """The same for machines: one JSON array on one line, an object a run."""
    records = [_run_record(run, session) for run in runs]
    return json.dumps(records, allow_nan=False, ensure_ascii=False) + "\n"


def _run_record(run: ExplainedRun, session: str | None) -> dict[str, Any]:
    about: dict[str, Any] = {"run": run.name, "backend": run.backend, "note": run.note}
    if session is not None:
        one = run.session(session)
        return {**about, **_record(one), "rounds": _rounds(one), "story": story_of(run, one)}
    whole = mean_of(run)
    return {
        **about,
        "sessions": whole.sessions,
        "left_out": whole.left_out,
        "mean": {
            "completion_s": whole.completion_s,
            "ideal_s": whole.ideal_s,
            "slowdown_s": _mean([e.slowdown_s for e in run.explained]),
            "causes": _causes(whole.causes),
        },
        "each": [_record(one) for one in run.explained],
    }


def _record(one: Explained) -> dict[str, Any]:
    record = one.record
    return {
        "session": record.session,
        "completion_s": record.completion_s,
        "ideal_s": record.ideal_s,
        "slowdown_s": one.slowdown_s,
        "causes": _causes(one.causes),
    }


def _causes(causes: Causes) -> dict[str, float | None]:
    return {name: getattr(causes, name) for name in LABELS}


def _rounds(one: Explained) -> list[dict[str, Any]]:
    return [
        {
            "round": cost.record.round,
            "whole_s": cost.whole_s,
            "admission_s": cost.entered_s,
            "queue_s": cost.queue_s,
            "alone_s": cost.alone_s,
            "recompute_s": cost.recompute_s,
            "found_s": cost.found_s,
            "contention_s": cost.contention_s,
            "recomputed_tokens": cost.lost_tokens,
            "preemptions": cost.record.preemptions,
        }
        for cost in one.rounds
    ]
