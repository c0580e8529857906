"""reports/vllm-matrix.md out of what was played."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marsbench.core.events import Event, read_events
from marsbench.judge.gate.first import DECISIONS, first_difference
from marsbench.runs import RunFolder
from marsbench.text.tables import Table, as_csv, markdown
from studies.vllm_matrix.play import FACTS, IN_WORLDS, NUM_WORLDS, SCHEDULERS, WORLD, world_file

HEAD = (
    "# One workload on several vLLMs\n\n`make vllm-matrix` writes this page anew. Each vLLM plays "
    "{sessions} sessions of `{workload}` at {rate:g} a second on {kv_blocks:,} KV blocks (seed "
    "{seed}): vLLM's own scheduler (`vllm`), and two backends on it. Held against vLLM {pinned} "
    "event for event."
)
CHECK = (
    "## Shortcuts\n\n`marsbench vllm check`: fast loops and macro steps against the vLLM's own, in "
    "small random worlds. Of the pinned one the project's tests say it."
)
WORLDS = (
    "## Small random worlds\n\nOf {worlds} worlds, on so few blocks that requests are preempted "
    "and sessions swapped, those in which the events are not vLLM {pinned}'s:"
)
DIFFER = (
    "## Where decisions differ\n\nThe first event that is not vLLM {pinned}'s; why is in "
    "[vllm.md](../docs/vllm.md#where-releases-differ)."
)


def document(folder: Path, versions: Sequence[str]) -> tuple[str, str]:
    """The page, and its runs as CSV. versions: the last is what the others are held against."""
    pinned = versions[-1]
    facts = {v: json.loads((folder / v / FACTS).read_text("utf-8")) for v in versions}
    runs = _runs(folder, facts, pinned)
    parts = [
        HEAD.format(**WORLD, pinned=pinned),
        markdown(runs),
        WORLDS.format(worlds=NUM_WORLDS, pinned=pinned),
        markdown(_worlds(folder, facts, pinned)),
        CHECK,
        markdown(_checks(facts)),
        DIFFER.format(pinned=pinned),
        "\n".join(_differences(folder, facts, pinned)),
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
    places = [folder / v / name for v in (pinned, version)]
    if not all(place.is_dir() for place in places):
        return None
    base, other = (RunFolder.open(place).events(DECISIONS) for place in places)
    return first_difference(base, other)


def _checks(facts: Mapping[str, Any]) -> Table:
    rows = []
    for version, of in facts.items():
        found = of["check"]
        said = "equal" if found["is_equal"] else found["why"]
        worlds = "tests/sim" if of["is_pinned"] else str(found["worlds"])
        rows.append((version, f"`{of['sources'][:16]}`", worlds, said, of["preemption"]))
    head = ("vLLM", "sources", "worlds", "verdict", "a request that is its own victim")
    return Table(head, rows, "l")


def _worlds(folder: Path, facts: Mapping[str, Any], pinned: str) -> Table:
    """In how many of the small worlds a scheduler decides otherwise than on the pinned vLLM."""
    rows = [
        (version, *(_number(folder, version, name, pinned) for name in IN_WORLDS))
        for version in facts
        if version != pinned
    ]
    return Table(("vLLM", *IN_WORLDS), rows, "lr")


def _number(folder: Path, version: str, name: str, pinned: str) -> str:
    if not world_file(folder / version, name, 0).is_file():
        return "cannot be asked"
    return str(len(_first_in_worlds(folder, version, name, pinned)))


def _first_in_worlds(folder: Path, version: str, name: str, pinned: str) -> list[str]:
    """A sentence for each world in which the events differ."""
    found = []
    for seed in range(NUM_WORLDS):
        base, other = (world_file(folder / v, name, seed) for v in (pinned, version))
        told = first_difference(_in_world(base), _in_world(other)) if other.is_file() else None
        if told is not None:
            found.append(f"world {seed}: {told}")
    return found


def _in_world(file: Path) -> Iterator[Event]:
    with file.open("rb") as lines:
        yield from read_events(lines, str(file), DECISIONS)


def _differences(folder: Path, facts: Mapping[str, Any], pinned: str) -> Iterator[str]:
    """The first of every version and scheduler, where there is one."""
    found = False
    for version in facts:
        for name in IN_WORLDS:
            told = _first_in_worlds(folder, version, name, pinned)
            if name in SCHEDULERS and (own := _difference(folder, version, name, pinned)):
                told.append(own)
            if told:
                found = True
                yield f"- `{name}` on {version}, {told[0].replace('the candidate', version)}"
    if not found:
        yield "None: every event of every run is the same."
