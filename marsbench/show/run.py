"""A run's summary as one table that a person reads on one screen, and several runs side by side."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from marsbench.core.metrics.cache import HitRate
from marsbench.core.metrics.goodput import Goodput
from marsbench.core.metrics.load import Level
from marsbench.core.metrics.percentiles import Distribution
from marsbench.core.metrics.swaps import Swaps
from marsbench.core.runs import RunFolder, RunSummary
from marsbench.core.runs.decisions import told
from marsbench.text.console import console as stdout_console

UNMEASURED = "–"
FEW_PARAMS = 4  # more than these do not help on one screen; run.json has all

Row = tuple[str, str]

_COMPARED = (
    "latency\nmean s",
    "\nP95 s",
    "slowdown\nmax",
    "TTFT\nP99 s",
    "output\ntok/s",
    "recomputed\ntokens",
)


def show_run(path: Path, as_json: bool = False, console: Console | None = None) -> None:
    """Prints a run again, as a table or as its one JSON object.

    Raises UsageError when the path is no run folder.
    """
    summary = RunFolder.open(path).summary()
    if as_json:
        sys.stdout.write(summary_json(summary))
    else:
        render_summary(summary, console or stdout_console())


def summary_json(summary: RunSummary) -> str:
    """The summary for machines: one JSON object on one line."""
    return json.dumps(summary, allow_nan=False, ensure_ascii=False) + "\n"


def render_summary(summary: RunSummary, console: Console) -> None:
    """What ran, how many sessions were served well, what they experienced, whether it counts."""
    console.print(f"[bold]{escape(_title(summary))}[/bold]", highlight=False)
    console.print(_grid([*_conditions(summary), *_outcome(summary)]))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("seconds")
    for heading in ("n", "mean", "P50", "P90", "P95", "P99", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, distribution in _distributions(summary):
        table.add_row(name, *_cells(distribution))
    console.print(table)
    console.print(_grid(_facts(summary)))
    console.print()
    _verdict(summary, console)


def render_comparison(summaries: Sequence[RunSummary], console: Console) -> None:
    """Several runs side by side, a row each, in the order given."""
    alphas = list(dict.fromkeys(alpha for s in summaries for alpha in s["goodput"]))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("\nbackend", no_wrap=True)
    for heading in (*(f"goodput\n({alpha})" for alpha in alphas), *_COMPARED):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        table.add_row(*(escape(cell) for cell in _compared(summary, alphas)))
    console.print(table)
    for summary in summaries:
        for reason in summary["reasons"]:
            text = f"{escape(summary['backend'])}: {escape(reason)}"
            console.print(f"[red]not valid[/red] {text}", highlight=False)


def _grid(rows: Iterable[Row]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(escape(name), escape(value))
    return grid


def _title(summary: RunSummary) -> str:
    seed = "" if summary["seed"] is None else f", seed {summary['seed']}"
    return f"{summary['backend']} on {summary['workload']}{seed} ({summary['engine']})"


def _conditions(summary: RunSummary) -> Iterator[Row]:
    hardware, params = summary["hardware"], summary["params"]
    if hardware:
        dtype = f" in {hardware['kv_dtype']}" if hardware.get("kv_dtype") else ""
        yield "on", f"{hardware['id']}, {_number(hardware['kv_tokens'])} KV tokens{dtype}"
    if 0 < len(params) <= FEW_PARAMS:
        searched = {"cap": " (searched)"} if summary["cap_search"] else {}
        given = (f"{name}={value}{searched.get(name, '')}" for name, value in params.items())
        yield "with", ", ".join(given)


def _distributions(summary: RunSummary) -> Iterator[tuple[str, Distribution]]:
    ready, submit = summary["ttft"]["ready"], summary["ttft"]["submit"]
    yield "session latency", summary["latency"]
    yield "slowdown (times alone)", summary["slowdown"]
    yield "wait for admission", summary["admission_wait"]
    yield "TTFT from ready, first", ready["first"]
    yield "TTFT from ready, later", ready["continuation"]
    yield "TTFT from submit, first", submit["first"]
    yield "TTFT from submit, later", submit["continuation"]
    yield "time per output token", summary["tpot"]


def _cells(numbers: Distribution) -> list[str]:
    values = (
        numbers["mean"],
        numbers["p50"],
        numbers["p90"],
        numbers["p95"],
        numbers["p99"],
        numbers["max"],
    )
    return [str(numbers["n"]), *(_short(value) for value in values)]


def _short(value: float | None) -> str:
    """Four digits or so: a thousandth of a second matters below one, a tenth not above 1000."""
    if value is None or value == 0:
        return UNMEASURED if value is None else "0"
    digits = next((d for d, least in ((0, 1000), (1, 100), (2, 1), (3, 0.1)) if value >= least), 4)
    return f"{value:.{digits}f}"


def _outcome(summary: RunSummary) -> Iterator[Row]:
    for alpha, figure in summary["goodput"].items():
        yield f"goodput({alpha})", _goodput(figure)
    yield "sessions", _counts(summary)


def _facts(summary: RunSummary) -> Iterator[Row]:
    speed, lost = summary["throughput"], summary["evictions"]
    yield (
        "throughput",
        f"{_number(speed['output_tokens_per_s'], 1)} output tokens/s; "
        f"{_number(speed['prompt_tokens_per_s'])} prompt tokens/s with cached",
    )
    yield (
        "evicted",
        f"{_number(lost['blocks'])} blocks ({_number(lost['blocks_per_s'], 1)} /s); "
        f"{_number(lost['recomputed_tokens'])} tokens had to be recomputed",
    )
    if summary["swaps"]["out_blocks"]:
        yield "swapped", _swapped(summary["swaps"])
    yield (
        "preempted",
        f"{_number(summary['preemptions'])} times; "
        f"{_number(lost['preempt_recomputed_tokens'])} tokens recomputed after it",
    )
    yield "prefix hit rate", _hits(summary["prefix_hit_rate"])
    yield "KV cache in use", _kv(summary)
    yield "tools in flight", _calls(summary["tools_in_flight"])
    yield "… that burn CPU", _calls(summary["cpu_calls"])
    if summary["decisions"] is not None:
        yield "unlike vLLM", "; ".join(told(summary["decisions"])) or "nothing was asked"


def _calls(level: Level) -> str:
    """ "mean 0.633, peak 4"."""
    if level["mean"] is None:
        return UNMEASURED
    return f"mean {_short(level['mean'])}, peak {_number(level['peak'])}"


def _swapped(moved: Swaps) -> str:
    """ "1,200 blocks to host memory, 1,100 back" and, where there are any, "20 lost there"."""
    out, back, lost = (_number(moved[key]) for key in ("out_blocks", "in_blocks", "lost_blocks"))
    text = f"{out} blocks to host memory, {back} back"
    return f"{text}, {lost} lost there" if moved["lost_blocks"] else text


def _hits(found: HitRate) -> str:
    """Found on the GPU and, where there is any, loaded from host memory."""
    text = f"{_percent(found['continuation'])} of later rounds, {_percent(found['all'])} of all"
    if not found["host_all"]:
        return text
    later, every = _percent(found["host_continuation"]), _percent(found["host_all"])
    return f"{text}; from host memory {later}, {every}"


def _goodput(figure: Goodput) -> str:
    """ "18/30 (60.0 %), 0.0123 sessions/s"."""
    if figure["good"] is None:
        return UNMEASURED
    rate = UNMEASURED if figure["rate"] is None else f"{figure['rate']:.4f}"
    share = f"{figure['good']}/{figure['arrived']} ({_percent(figure['share'])})"
    return f"{share}, {rate} sessions/s"


def _counts(summary: RunSummary) -> str:
    """ "30 arrived, 28 finished, 2 failed" and, where there are any, the others."""
    counts = summary["sessions"]
    rest = {
        "failed": counts["failed"],
        "unfinished": counts["unfinished"],
        "sub-agents": counts["sub_agents"],
    }
    parts = [f"{counts['arrived']} arrived", f"{counts['finished']} finished"]
    parts += [f"{number} {name}" for name, number in rest.items() if number]
    return f"{', '.join(parts)}, in {_number(summary['makespan_s'], 1)} s"


def _kv(summary: RunSummary) -> str:
    usage = summary["kv_usage"]
    text = _level(usage["used_share"], _percent)
    if usage["held_blocks"]["peak"]:
        text += f"; held for paused sessions {_level(usage['held_share'], _percent)}"
    return text


def _level(level: Level, form: Callable[[float | None], str]) -> str:
    return f"mean {form(level['mean'])}, peak {form(level['peak'])}"


def _number(value: float | None, digits: int = 0) -> str:
    return UNMEASURED if value is None else f"{value:,.{digits}f}"


def _percent(share: float | None) -> str:
    return UNMEASURED if share is None else f"{share * 100:.1f} %"


def _verdict(summary: RunSummary, console: Console) -> None:
    if summary["valid"]:
        console.print("valid")
    for reason in summary["reasons"]:
        console.print(f"[red]not valid[/red]: {escape(reason)}", highlight=False)
    for caution in summary["cautions"]:
        code, text = caution["code"], escape(caution["text"])
        console.print(f"[yellow]caution[/yellow] {code}: {text}", highlight=False)


def _compared(summary: RunSummary, alphas: Sequence[str]) -> list[str]:
    goods = [summary["goodput"].get(alpha) for alpha in alphas]
    return [
        summary["backend"],
        *(UNMEASURED if good is None else _percent(good["share"]) for good in goods),
        _short(summary["latency"]["mean"]),
        _short(summary["latency"]["p95"]),
        _short(summary["slowdown"]["max"]),
        _short(summary["ttft"]["ready"]["all"]["p99"]),
        _short(summary["throughput"]["output_tokens_per_s"]),
        _number(summary["evictions"]["recomputed_tokens"]),
    ]
