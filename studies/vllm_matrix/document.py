"""reports/vllm-matrix.md out of what was played."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marsbench.judge.gate.first import first_difference
from marsbench.runs.folder import EVENTS
from marsbench.text.tables import Table, as_csv, markdown
from studies.vllm_matrix.play import FACTS, SCHEDULERS, WORLD

HEAD = (
    "# One workload on several vLLMs\n\n`make vllm-matrix` writes this page anew. Each vLLM plays "
    "{sessions} sessions of `{workload}` at {rate:g} a second on {kv_blocks:,} KV blocks (seed "
    "{seed}): vLLM's own scheduler (`vllm`), and three backends on it. Held against vLLM {pinned} "
    "event for event."
)
CHECK = (
    "## Shortcuts\n\n`marsbench vllm check`: fast loops and macro steps against the vLLM's own, in "
    "small random worlds. Of the pinned one the project's tests say it."
)
DIFFER = """## Where decisions differ

The first event that is not vLLM {pinned}'s.
"""


def document(folder: Path, versions: Sequence[str]) -> tuple[str, str]:
    """The page, and its runs as CSV. versions: the last is what the others are held against."""
    pinned = versions[-1]
    facts = {v: json.loads((folder / v / FACTS).read_text("utf-8")) for v in versions}
    runs = _runs(folder, facts, pinned)
    parts = [
        HEAD.format(**WORLD, pinned=pinned).strip(),
        markdown(runs),
        CHECK.strip(),
        markdown(_checks(facts)),
        DIFFER.format(pinned=pinned).strip(),
        "\n".join(_differences(folder, facts, pinned)),
        _why(facts, pinned),
    ]
    return "\n\n".join(parts) + "\n", as_csv(runs)


def _runs(folder: Path, facts: Mapping[str, Any], pinned: str) -> Table:
    head = ("vLLM", "scheduler", "preemptions", "mean latency s", "events")
    rows = [
        (version, name, *_cells(folder, version, name, pinned))
        for version in facts
        for name in SCHEDULERS
    ]
    return Table(head, rows, "llrrl")


def _cells(folder: Path, version: str, name: str, pinned: str) -> tuple[str, ...]:
    file = folder / version / name / "summary.json"
    if not file.is_file():
        return ("–", "–", "cannot be asked")
    summary = json.loads(file.read_text("utf-8"))
    found = _difference(folder, version, name, pinned)
    alike = "the same" if found is None else "other"
    mean = summary["latency"]["mean"]
    return (
        str(summary["preemptions"]),
        f"{mean:.3f}",
        "–" if version == pinned else alike,
    )


def _difference(folder: Path, version: str, name: str, pinned: str) -> str | None:
    base, other = (folder / v / name / EVENTS for v in (pinned, version))
    return first_difference(base, other) if base.is_file() and other.is_file() else None


def _checks(facts: Mapping[str, Any]) -> Table:
    rows = []
    for version, of in facts.items():
        found = of["check"]
        said = "equal" if found["is_equal"] else found["why"]
        worlds = "tests/sim" if of["is_pinned"] else str(found["worlds"])
        rows.append((version, f"`{of['sources'][:16]}`", worlds, said, of["preemption"]))
    head = ("vLLM", "sources", "worlds", "verdict", "a request that is its own victim")
    return Table(head, rows, "l")


def _differences(folder: Path, facts: Mapping[str, Any], pinned: str) -> Iterator[str]:
    found = False
    for version in facts:
        for name in SCHEDULERS:
            told = _difference(folder, version, name, pinned)
            if told is not None:
                found = True
                yield f"- `{name}` on {version}: {told.replace('the candidate', version)}"
    if not found:
        yield "None: every event of every run is the same."


def _why(facts: Mapping[str, Any], pinned: str) -> str:
    others = [v for v, of in facts.items() if of["preemption"] != facts[pinned]["preemption"]]
    if not others:
        return ""
    return (
        f"Why: under priorities, which the adapter sets to name a victim, a request that has no "
        f"block left and is the victim itself ends the step in vLLM {', '.join(others)}; in "
        f"{pinned} the step goes on with the next request, which the blocks just freed may serve. "
        "vLLM's own order, without priorities, always ends there, in every version."
    )
