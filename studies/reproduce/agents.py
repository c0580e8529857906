"""Runs of real agents side by side: how much sooner tasks are done, and what the time went on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsbench.errors import UsageError
from marsbench.judge.compare.tally import Carrier, tally
from marsbench.runs import RunFolder, RunSummary
from marsbench.text.numbers import measured, percent
from marsbench.text.tables import Table, as_csv, markdown
from marsbench.text.words import bulleted

TASKS = "tasks.json"
BASELINE = "fcfs"
FIGURES = ("mean", "p90", "p95")
# MARS (arXiv 2604.26963): task completion time with OpenHands on real tasks, over its baselines.
PAPER = "1.20-1.87"
UNMEASURED = "-"
BUSIER = 1.25  # times as long, for the same tools
CLOSE = 2.0  # ratios above it are those of a baseline that has tipped over
SPENT = {"model": "llm_s", "tools": "tools_s", "framework": "framework_s", "waiting": "wait_s"}

PAGE = """\
# Real agents, end to end

{setup}

Task completion time, seconds, from an agent's arrival to its end; admission, queueing, tools and \
the framework included. The ratio is that of `{baseline}` over the backend in the same row, at the \
same rate: above 1 the backend is faster. The paper's is {paper}x.

{completion}

## What the time went on

Mean seconds of a task. *Model* is from a request's sending to its answer: queue, admission and \
modelled GPU time. *Framework* is what neither the model nor a tool did: the agent starting, and \
its own work between calls. *Waiting* is before its process began.

{spent}

## What happened at the server

{server}

## What to know before believing it

{cautions}
"""


@dataclass(frozen=True)
class Run:
    """One run folder: its inputs, figures, and what became of its tasks."""

    config: Mapping[str, Any]
    summary: RunSummary
    tasks: Sequence[Mapping[str, Any]]
    wall: Mapping[str, Any]

    @property
    def backend(self) -> str:
        return self.summary["backend"]

    @property
    def rate(self) -> float:
        return float(self.config["workload_meta"]["rate"])

    def spent(self, name: str) -> float:
        """Mean seconds of a task that went on one thing."""
        shares = [task["seconds"][SPENT[name]] for task in self.tasks if task["seconds"]]
        return float(sum(shares) / len(shares))


def agents(folders: Sequence[Path]) -> tuple[str, str]:
    """The page and its figures as CSV. Raises UsageError where there are no such runs."""
    runs = [_read(path) for folder in folders for path in sorted(folder.iterdir())
            if (path / TASKS).is_file()]  # fmt: skip
    if not runs:
        raise UsageError(f"No run of real agents lies in {', '.join(map(str, folders))}.")
    runs.sort(key=lambda run: (run.rate, run.backend != BASELINE, run.backend))
    page = PAGE.format(
        setup=_setup(runs),
        baseline=BASELINE,
        paper=PAPER,
        completion=_table(_COMPLETION, [_completion(run, runs) for run in runs]),
        spent=_table(["rate", "backend", *SPENT], list(map(_spent, runs))),
        server=_table(_SERVER, list(map(_server, runs))),
        cautions=bulleted(_cautions(runs)),
    )
    return page, _csv(runs)


def _read(path: Path) -> Run:
    folder = RunFolder.open(path)
    config = json.loads((path / "run.json").read_text(encoding="utf-8"))
    tasks = json.loads((path / TASKS).read_text(encoding="utf-8"))
    wall = json.loads((path / "wall.json").read_text(encoding="utf-8"))
    return Run(config, folder.summary(), tasks, wall)


def _setup(runs: Sequence[Run]) -> str:
    first = runs[0].config
    settings, hardware = first["settings"], first["hardware"]
    meta = first["workload_meta"]
    return (
        f"{first['offered_sessions']} OpenHands agents (SDK {settings['openhands_sdk']}) on "
        f"{len(meta['tasks'])} tasks, {meta['arrivals']} arrivals, seed {meta['seed']}, the same "
        f"in every run of a rate. The first prompt carries a repository digest of "
        f"{meta['context_tokens']:,} tokens ({meta['token_rule']}). The server is a real vLLM "
        f"with an emulated {hardware['id']} of {hardware['kv_tokens']:,} KV tokens; answers are "
        "recorded, their time is the server's. Edits, commands and test runs are real."
    )


_COMPLETION = ["rate /s", "backend", "finished", "checks passed", "mean", "P90", "P95",
               "ratio of means", "of P90", "of P95"]  # fmt: skip


def _completion(run: Run, runs: Sequence[Run]) -> list[str]:
    latency, counts = run.summary["latency"], run.summary["sessions"]
    passed = sum(bool(task["check"] and task["check"]["passed"]) for task in run.tasks)
    return [
        f"{run.rate:g}",
        f"`{run.backend}`",
        f"{counts['finished']} of {counts['arrived']}",
        str(passed),
        *(_seconds(latency[name]) for name in FIGURES),  # type: ignore[literal-required]
        *(_ratio(run, runs, name) for name in FIGURES),
    ]


def _ratio(run: Run, runs: Sequence[Run], name: str) -> str:
    times = _times(run, runs, name)
    return f"{times:.2f}x" if times else ""


def _times(run: Run, runs: Sequence[Run], name: str) -> float:
    """How many times as long the baseline took at this rate; 0 where there is nothing to say."""
    same = [r for r in runs if r.backend == BASELINE and r.rate == run.rate]
    if not same or run.backend == BASELINE:
        return 0.0
    base, own = (r.summary["latency"][name] for r in (same[0], run))  # type: ignore[literal-required]
    return float(base / own) if base and own else 0.0


def _spent(run: Run) -> list[str]:
    return [f"{run.rate:g}", f"`{run.backend}`", *(f"{run.spent(name):.1f}" for name in SPENT)]


_SERVER = ["rate /s", "backend", "admission wait, mean", "hit rate of later rounds",
           "KV blocks evicted", "preemptions", "KV in use, mean"]  # fmt: skip


def _server(run: Run) -> list[str]:
    summary = run.summary
    share = summary["kv_usage"]["used_share"]["mean"] if summary["kv_usage"] else None
    return [
        f"{run.rate:g}",
        f"`{run.backend}`",
        _seconds(summary["admission_wait"]["mean"]),
        _percent(summary["prefix_hit_rate"]["continuation"]),
        _whole(summary["evictions"]["blocks"]),
        _whole(summary["preemptions"]),
        _percent(share),
    ]


def _cautions(runs: Sequence[Run]) -> Iterator[str]:
    cpus = runs[0].wall["cpus"]
    yield (
        f"The agents, their tools, the gateway, the replay and the server shared {cpus} cores "
        "with other work. The framework's and the tools' seconds are those of this machine, and "
        "the emulated GPU runs late where its process gets no core."
    )
    yield from _beside(runs)
    yield from _busier(runs)
    if any(_times(run, runs, "mean") > CLOSE for run in runs):
        yield (
            f"Past its tipping point `{BASELINE}` computes live sessions' contexts again and "
            "again, and its times grow with the number of sessions: a ratio there says on which "
            "side of the point a backend is, not how much faster it is."
        )
    yield "One seed and one run a cell: no interval, and a small difference says nothing."
    yield (
        "Answers are a rule player's: fewer and shorter rounds than a language model's."
        " Contexts are in the paper's range by their digest, not by growth."
    )
    yield "The paper ran a GPU, SWE-bench tasks and more agents: the ratios stand side by side."
    carriers = (Carrier(r.backend, f"{r.rate:g}/s", r.summary["cautions"]) for r in runs)
    yield from tally(carriers)
    invalid = [run for run in runs if not run.summary["valid"]]
    for run in invalid:
        yield f"`{run.backend}` at {run.rate:g}/s is not valid: {run.summary['reasons'][0]}."


def _beside(runs: Sequence[Run]) -> Iterator[str]:
    """Runs that went on at the same time took cores from each other."""
    by_start = sorted(runs, key=lambda run: str(run.wall["started"]))
    for number, run in enumerate(by_start):
        others = [
            f"`{other.backend}` at {other.rate:g}/s"
            for other in by_start[number + 1 :]
            if other.wall["started"] < run.wall["ended"]
        ]
        if others:
            yield (
                f"`{run.backend}` at {run.rate:g}/s was still under way when "
                f"{' and '.join(others)} began: they shared the cores, not the server."
            )


def _busier(runs: Sequence[Run]) -> Iterator[str]:
    """The same commands took longer in one run: the machine was slower, whatever the backend."""
    for run in runs:
        for other in runs:
            if run.rate == other.rate and run.spent("tools") > BUSIER * other.spent("tools"):
                yield (
                    f"At {run.rate:g}/s the same tools took {run.spent('tools'):.1f} s with "
                    f"`{run.backend}` and {other.spent('tools'):.1f} s with `{other.backend}`: the "
                    "machine was busier in that run, which slows the emulated GPU too; a ratio of "
                    "this rate within that factor says nothing of the backends."
                )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown(Table(head, rows, "l"))


def _seconds(value: float | None) -> str:
    return measured(value, ".1f", UNMEASURED)


def _percent(value: float | None) -> str:
    return UNMEASURED if value is None else percent(value, 1, " %")


def _whole(value: float | None) -> str:
    return measured(value, ",.0f", UNMEASURED)


def _csv(runs: Sequence[Run]) -> str:
    head = ("rate", "backend", "session", "task", "finished", "passed", *SPENT.values())
    return as_csv(Table(head, [_line(run, task) for run in runs for task in run.tasks]))


def _line(run: Run, task: Mapping[str, Any]) -> tuple[Any, ...]:
    seconds = task["seconds"] or {}
    passed = bool(task["check"] and task["check"]["passed"])
    facts = (run.rate, run.backend, task["session"], task["task"], task["finished"], passed)
    return (*facts, *map(seconds.get, SPENT.values()))
