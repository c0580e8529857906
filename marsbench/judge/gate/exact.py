"""The simulator's own gate: the same inputs give the same bytes, so nothing may have changed.

Compared are what happened, every table and every figure; not the code's version or the machine,
which a change of code changes on purpose. A baseline that keeps its summaries alone is compared
by those alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from marsbench.errors import UsageError
from marsbench.judge.gate.judge import worst
from marsbench.judge.gate.values import EXACTLY, GateCheck, GateError, GateReport
from marsbench.judge.intervals import UNKNOWN
from marsbench.judge.sweep.folder import PLAN
from marsbench.problems import json_problem
from marsbench.runs.event_file import EVENTS, event_file, open_events
from marsbench.runs.folder import IDEAL, SUMMARY, TABLES
from marsbench.runs.parquet import read_table

OF_THE_CODE = ("code", "cautions")
"""Fields of a summary that another commit changes without any figure changing."""
SHOWN = 160


def gate_exact(baseline: Path, candidate: Path) -> GateReport:
    """Every run of the baseline against the run of the same name: pass or fail, never between.

    Raises GateError for a folder without complete runs, or a run that is not valid.
    """
    base, other = _runs(baseline), _runs(candidate)
    if len(base) == len(other) == 1:
        other = dict(zip(base, other.values(), strict=True))
    checks = [_check(name, _difference(name, base[name], other.get(name))) for name in base]
    surplus = (name for name in other if name not in base)
    checks += [_check(name, f"{baseline} has no run {name}") for name in surplus]
    return GateReport(
        baseline=str(baseline),
        candidate=str(candidate),
        verdict=worst([check.verdict for check in checks]),
        confidence=1.0,
        checks=tuple(checks),
        cautions=(),
        exact=True,
    )


def _runs(folder: Path) -> dict[str, Path]:
    """Complete runs by name: the folder itself, the cells of a sweep's plan, or what lies in it."""
    if (folder / SUMMARY).is_file():
        return {folder.name: folder}
    if not folder.is_dir():
        raise GateError(f"{folder} is not a folder; give the folder of a run or of a sweep.")
    if (folder / PLAN).is_file():
        names = list(_json(folder / PLAN).get("cells", ()))
        missing = [name for name in names if not (folder / name / SUMMARY).is_file()]
        if missing:
            raise GateError(
                f"{folder} lacks {len(missing)} of its runs, the first {missing[0]}; go on with "
                "`marsbench sweep`."
            )
    else:
        names = sorted(file.parent.name for file in folder.glob(f"*/{SUMMARY}"))
    if not names:
        raise GateError(f"{folder} holds no complete run, so there is nothing to judge; run it.")
    return {name: folder / name for name in names}


def _difference(name: str, base: Path, other: Path | None) -> str:
    """The first difference between two runs; empty where there is none."""
    if other is None:
        return f"the candidate has no run {name}"
    for folder in (base, other):
        if not _json(folder / SUMMARY).get("valid", False):
            raise GateError(f"{folder} is not valid, so it decides nothing; rerun it.")
    return next(differences(base, other), "")


def _check(name: str, difference: str) -> GateCheck:
    return GateCheck(
        place=name,
        backend="",
        rule=EXACTLY,
        baseline=None,
        candidate=None,
        change=UNKNOWN,
        of_means=None,
        seeds=1,
        verdict="fail" if difference else "pass",
        why=difference or "identical: events, tables and figures",
    )


def differences(base: Path, other: Path) -> Iterator[str]:
    """Every file that differs, each by its first difference; what happened first comes first."""
    if event_file(base) is not None:
        yield from _of_events(base, other)
    for name in (IDEAL, *(f"{table}.parquet" for table in TABLES), SUMMARY):
        if not (base / name).is_file():
            continue
        if not (other / name).is_file():
            yield f"the candidate has no {name}"
        elif (base / name).read_bytes() != (other / name).read_bytes():
            yield from _of_file(base / name, other / name)


def _of_file(base: Path, other: Path) -> Iterator[str]:
    if base.suffix == ".parquet":
        yield from _of_tables(base, other)
    else:
        yield from _of_json(base, other)


def _of_events(base: Path, other: Path) -> Iterator[str]:
    """The first line that differs; packed or not, it is the lines that are compared."""
    if event_file(other) is None:
        yield f"the candidate has no {EVENTS}"
        return
    try:
        unlike = _first_unlike(base, other)
    except UsageError as error:
        raise GateError(str(error)) from error
    if unlike is not None:
        number, a, b = unlike
        yield f"{EVENTS} line {number}: {_short(a)} became {_short(b)}"


def _first_unlike(base: Path, other: Path) -> tuple[int, str, str] | None:
    with open_events(base) as own, open_events(other) as theirs:
        for number, lines in enumerate(zip_longest(own, theirs, fillvalue=b""), start=1):
            if lines[0] != lines[1]:
                a, b = (line.decode(errors="replace") for line in lines)
                return number, a, b
    return None


def _of_tables(base: Path, other: Path) -> Iterator[str]:
    """The first cell; bytes alone may differ, when another pyarrow wrote the same records."""
    try:
        own, theirs = read_table(base), read_table(other)
    except UsageError as error:
        raise GateError(str(error)) from error
    if list(own.columns) != list(theirs.columns):
        yield f"{base.name} has other columns"
        return
    if len(own) != len(theirs):
        yield f"{base.name}: {len(own)} rows became {len(theirs)}"
        return
    for name in own.columns:
        unlike = ~((own[name] == theirs[name]) | (own[name].isna() & theirs[name].isna()))
        rows = unlike.fillna(True).to_numpy().nonzero()[0]
        if len(rows):
            row = int(rows[0])
            yield f"{base.name} row {row}, {name}: {own[name][row]} became {theirs[name][row]}"
            return


def _of_json(base: Path, other: Path) -> Iterator[str]:
    own, theirs = _json(base), _json(other)
    for record in (own, theirs):
        for name in OF_THE_CODE if base.name == SUMMARY else ():
            record.pop(name, None)
    for path, a, b in _leaves(own, theirs, ""):
        yield f"{base.name}, {path}: {_short(a)} became {_short(b)}"
        return


def _leaves(a: Any, b: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in dict.fromkeys([*a, *b]):
            yield from _leaves(a.get(name), b.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _leaves(x, y, f"{path}[{index}]")
    elif a != b:
        yield path, a, b


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise GateError(f"{path} cannot be read ({why}); run it again.") from error
    except ValueError as error:
        raise GateError(f"{path} {json_problem(error)}; run it again.") from error
    if not isinstance(record, dict):
        raise GateError(f"{path} holds no JSON object; run it again.")
    return record


def _short(value: Any) -> str:
    text = str(value).strip() or "nothing"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
