"""A run's summary as one table that a person reads on one screen, and several runs side by side."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from marsbench.core.metrics.backlog import Backlog
from marsbench.core.metrics.branches import BranchFigures
from marsbench.core.metrics.cache import HitRate
from marsbench.core.metrics.fairness import FairnessFigures
from marsbench.core.metrics.goodput import Goodput
from marsbench.core.metrics.host_kv import HostKvFigures
from marsbench.core.metrics.load import Level
from marsbench.core.metrics.percentiles import Distribution
from marsbench.core.metrics.replicas import KvMoves, ReplicaFigures
from marsbench.core.metrics.steady import Steady
from marsbench.core.metrics.swaps import Swaps
from marsbench.runs import RunFolder, RunSummary
from marsbench.text.cautions import print_caution, print_invalid
from marsbench.text.console import console as stdout_console
from marsbench.text.console import drawn
from marsbench.text.decisions import told
from marsbench.text.numbers import UNMEASURED, fixed, measured, percent, seconds
from marsbench.text.sparklines import sparkline
from marsbench.text.tables import Table
from marsbench.text.words import mix_in, with_tools

FEW_PARAMS = 4  # more than these do not help on one screen; run.json has all

Fact = tuple[str, str]

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
    run = RunFolder.open(path)
    summary = run.summary()
    if as_json:
        sys.stdout.write(summary_json(summary))
    else:
        render_summary(summary, console or stdout_console(), mix_in(run.config.workload_meta))


def summary_json(summary: RunSummary) -> str:
    """The summary for machines: one JSON object on one line."""
    return json.dumps(summary, allow_nan=False, ensure_ascii=False) + "\n"


def render_summary(summary: RunSummary, console: Console, tools: object = None) -> None:
    """What ran, how many sessions were served well, what they experienced, whether it counts.

    tools: the mix of tools that the figures hold for.
    """
    console.print(f"[bold]{escape(_title(summary, tools))}[/bold]", highlight=False)
    console.print(drawn(Table((), [*_conditions(summary), *_outcome(summary)], "l")))
    head = ("seconds", "n", "mean", "P50", "P90", "P95", "P99", "max")
    rows = [(name, *_cells(numbers)) for name, numbers in _distributions(summary)]
    console.print(drawn(Table(head, rows, "lR")))
    if summary["tenants"]:
        console.print(drawn(_tenants(summary)))
    console.print(drawn(Table((), list(_facts(summary)), "l")))
    console.print()
    _verdict(summary, console)


def render_comparison(summaries: Sequence[RunSummary], console: Console) -> None:
    """Several runs side by side, a row each, in the order given."""
    alphas = list(dict.fromkeys(alpha for s in summaries for alpha in s["goodput"]))
    head = ("\nbackend", *(f"goodput\n({alpha})" for alpha in alphas), *_COMPARED)
    rows = [_compared(summary, alphas) for summary in summaries]
    console.print(drawn(Table(head, rows, "LR")))
    for summary in summaries:
        for reason in summary["reasons"]:
            print_invalid(console, reason, summary["backend"])


def _title(summary: RunSummary, tools: object) -> str:
    seed = "" if summary["seed"] is None else f", seed {summary['seed']}"
    workload = with_tools(summary["workload"], tools)
    return f"{summary['backend']} on {workload}{seed} ({summary['engine']})"


def _conditions(summary: RunSummary) -> Iterator[Fact]:
    hardware, params = summary["hardware"], summary["params"]
    if hardware:
        dtype = f" in {hardware['kv_dtype']}" if hardware.get("kv_dtype") else ""
        yield "on", f"{hardware['id']}, {fixed(hardware['kv_tokens'])} KV tokens{dtype}"
    vllm = summary["code"].partition(", vLLM ")[2]
    if vllm:
        yield "vLLM", vllm
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
    values = (numbers[name] for name in ("mean", "p50", "p90", "p95", "p99", "max"))
    return [str(numbers["n"]), *map(seconds, values)]


def _outcome(summary: RunSummary) -> Iterator[Fact]:
    for alpha, figure in summary["goodput"].items():
        yield f"goodput({alpha})", _goodput(figure)
    yield "sessions", _counts(summary)
    steady = summary["steady"]
    if steady is not None:
        yield "steady", _steady(steady)
    if steady is not None and steady["backlog"] is not None:
        yield "backlog", _backlog(steady["backlog"])


def _facts(summary: RunSummary) -> Iterator[Fact]:
    speed, lost = summary["throughput"], summary["evictions"]
    yield (
        "throughput",
        f"{fixed(speed['output_tokens_per_s'], 1)} output tokens/s; "
        f"{fixed(speed['prompt_tokens_per_s'])} prompt tokens/s with cached",
    )
    yield (
        "evicted",
        f"{fixed(lost['blocks'])} blocks ({fixed(lost['blocks_per_s'], 1)} /s); "
        f"{fixed(lost['recomputed_tokens'])} tokens had to be recomputed",
    )
    if summary["swaps"]["out_blocks"]:
        yield "swapped", _swapped(summary["swaps"])
    if "host_kv" in summary:
        yield from _offloaded(summary["host_kv"])
    if "replicas" in summary:
        yield from _replicas(summary["replicas"])
    if "branches" in summary:
        yield from _branches(summary["branches"])
    yield (
        "preempted",
        f"{fixed(summary['preemptions'])} times; "
        f"{fixed(lost['preempt_recomputed_tokens'])} tokens recomputed after it",
    )
    if "fairness" in summary:
        yield from _fairness(summary["fairness"])
    moves = "replicas" in summary and "kv_moves" in summary["replicas"]
    where = "loaded" if moves else "from host memory"
    yield "prefix hit rate", _hits(summary["prefix_hit_rate"], where)
    yield "KV cache in use", _kv(summary)
    yield "tools in flight", _calls(summary["tools_in_flight"])
    yield "… that burn CPU", _calls(summary["cpu_calls"])
    if summary["decisions"] is not None:
        yield "unlike vLLM", "; ".join(told(summary["decisions"])) or "nothing was asked"


def _tenants(summary: RunSummary) -> Table:
    """Each tenant: how its sessions fared, and its share of service, over the run's tenths."""
    alphas = list(summary["goodput"])
    head = ("tenant", "n", *(f"goodput({a})" for a in alphas), "slowdown", "max", "service", "")
    served = summary["fairness"]["service"] if "fairness" in summary else {}
    totals = [sum(tenth) for tenth in zip(*served.values(), strict=True)]
    rows = []
    for name, own in summary["tenants"].items():
        shares = [
            part / total if total else None
            for part, total in zip(served.get(name, ()), totals, strict=False)
        ]
        whole = sum(served[name]) / sum(totals) if any(totals) else None
        rows.append((
            name,
            str(own["sessions"]["arrived"]),
            *(_percent(own["goodput"][alpha]["share"]) for alpha in alphas),
            seconds(own["slowdown"]["mean"]),
            seconds(own["slowdown"]["max"]),
            _percent(whole),
            sparkline(shares, 1.0),
        ))  # fmt: skip
    return Table(head, rows, "lR")


def _fairness(found: FairnessFigures) -> Iterator[Fact]:
    """How even slowdown is, and whose goodput is the lowest."""
    yield "fairness", f"Jain's index of tenants' slowdown {measured(found['jain_slowdown'], '.3f')}"
    worst = (
        f"goodput({alpha}) {_percent(one['share'])} ({one['tenant'] or UNMEASURED})"
        for alpha, one in found["worst_goodput"].items()
    )
    yield "… worst tenant", ", ".join(worst)


def _calls(level: Level) -> str:
    """ "mean 0.633, peak 4"."""
    if level["mean"] is None:
        return UNMEASURED
    return f"mean {seconds(level['mean'])}, peak {fixed(level['peak'])}"


def _swapped(moved: Swaps) -> str:
    """ "1,200 blocks to host memory, 1,100 back" and, where there are any, "20 lost there"."""
    out, back, lost = (fixed(moved[key]) for key in ("out_blocks", "in_blocks", "lost_blocks"))
    text = f"{out} blocks to host memory, {back} back"
    return f"{text}, {lost} lost there" if moved["lost_blocks"] else text


def _offloaded(found: HostKvFigures) -> Iterator[Fact]:
    """What vLLM's own offloading copied, each way; and what rounds waited for it."""
    out, back = (fixed(found[key] / 1e9, 1) for key in ("stored_bytes", "loaded_bytes"))
    dropped = fixed(found["dropped_blocks"])
    yield "host KV", f"{out} GB stored, {back} GB loaded; {dropped} blocks dropped there"
    lanes = (_percent(found["out_busy_share"]), _percent(found["in_busy_share"]))
    wait = found["load_wait"]
    yield (
        "… link in use",
        f"out {lanes[0]}, in {lanes[1]}; {wait['n']} loads waited mean {seconds(wait['mean'])} s",
    )
    if "under_way_copies" in found:
        size = fixed(found["under_way_bytes"] / 1e9, 1)
        yield (
            "… at the run's end",
            f"{fixed(found['under_way_copies'])} copies under way ({size} GB)",
        )


def _replicas(found: ReplicaFigures) -> Iterator[Fact]:
    """How evenly they were busy, and what it cost that sessions moved."""
    shares, cv = found["busy_share"], found["busy_cv"]
    busy = UNMEASURED if shares is None else ", ".join(map(_percent, shares))
    yield "replicas busy", f"{busy}; CV {measured(cv, '.3f')}"
    if (evicted := found.get("evicted_blocks")) is not None:
        yield "… evicted", f"{', '.join(map(fixed, evicted))} blocks"
    if (endless := found.get("endless_hit_rate")) is not None:
        yield "one endless cache", f"would have {_percent(endless)} of all prompt tokens"
    if "changes" in found:
        yield "replica events", _changes(found)
    tokens = fixed(found["moved_recomputed_tokens"])
    yield "sessions moved", f"{fixed(found['moves'])} times; {tokens} tokens recomputed after it"
    if "kv_moves" in found:
        yield from _kv_moves(found["kv_moves"])


def _kv_moves(found: KvMoves) -> Iterator[Fact]:
    """Contexts that were copied from one replica to another, and how busy the links were."""
    size, saved = fixed(found["bytes"] / 1e9, 1), fixed(found["saved_tokens"])
    yield "KV moved", f"{size} GB; {saved} tokens not computed again"
    wait = found["wait"]
    yield (
        "… waited for",
        f"by {fixed(found['rounds'])} rounds, mean {seconds(wait['mean'])} s, "
        f"max {seconds(wait['max'])} s",
    )
    out, back = (", ".join(map(_percent, found[k])) for k in ("out_busy_share", "in_busy_share"))
    yield "… links in use", f"out {out}; in {back}"


def _changes(found: ReplicaFigures) -> str:
    """ "2 leaves at 120.0 s, 2 joins at 300.0 s; 5 rounds lost there"."""
    told = [f"{c['replica']} {c['change']} at {fixed(c['at'], 1)} s" for c in found["changes"]]
    return f"{', '.join(told)}; {fixed(found['lost_rounds'])} rounds lost there"


def _branches(found: BranchFigures) -> Iterator[Fact]:
    """What lay on the longest way through the sessions, and how long branches waited for others."""
    calls, llm_s = found["critical_rounds"]["mean"], found["critical_llm_s"]["mean"]
    yield (
        "critical path",
        f"mean {measured(calls, '.1f')} LLM calls, {seconds(llm_s)} s of them: "
        f"{_percent(found['critical_share'])} of all LLM seconds",
    )
    branches, fan_outs = (fixed(found[key]) for key in ("branches", "fan_outs"))
    yield (
        "parallel slack",
        f"mean {seconds(found['slack_s']['mean'])} s, {_percent(found['slack_share'])} of the "
        f"seconds of {branches} branches in {fan_outs} fan-outs",
    )


def _hits(found: HitRate, where: str) -> str:
    """Found on the GPU and, where there is any, loaded from elsewhere."""
    text = f"{_percent(found['continuation'])} of later rounds, {_percent(found['all'])} of all"
    if not found["host_all"]:
        return text
    later, every = _percent(found["host_continuation"]), _percent(found["host_all"])
    return f"{text}; {where} {later}, {every}"


def _goodput(figure: Goodput) -> str:
    """ "18/30 (60.0 %), 0.0123 sessions/s"."""
    if figure["good"] is None:
        return UNMEASURED
    share = f"{figure['good']}/{figure['arrived']} ({_percent(figure['share'])})"
    return f"{share}, {measured(figure['rate'], '.4f')} sessions/s"


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
    return f"{', '.join(parts)}, in {fixed(summary['makespan_s'], 1)} s"


def _steady(steady: Steady) -> str:
    """ "goodput(3) 83.3 % of 150; mean s 242.2, slowdown 2.56, TTFT 2.19"."""
    goods = (f"goodput({alpha}) {_percent(g['share'])}" for alpha, g in steady["goodput"].items())
    means = (seconds(steady["latency"]["mean"]), seconds(steady["slowdown"]["mean"]))
    return (
        f"{', '.join(goods)} of {fixed(steady['arrived'])}; mean s {means[0]}, "
        f"slowdown {means[1]}, TTFT {seconds(steady['ttft']['mean'])}"
    )


def _backlog(found: Backlog) -> str:
    """ "7 sessions, then 2: -0.04 for each that arrived (-0.21 to +0.14)"."""
    return (
        f"{found['at_start']} sessions, then {found['at_end']}: {found['drift']:+.2f} for each "
        f"that arrived ({found['drift_low']:+.2f} to {found['drift_high']:+.2f})"
    )


def _kv(summary: RunSummary) -> str:
    usage = summary["kv_usage"]
    text = _level(usage["used_share"], _percent)
    if usage["held_blocks"]["peak"]:
        text += f"; held for paused sessions {_level(usage['held_share'], _percent)}"
    return text


def _percent(share: float | None) -> str:
    return percent(share, 1, " %")


def _level(level: Level, form: Callable[[float | None], str]) -> str:
    return f"mean {form(level['mean'])}, peak {form(level['peak'])}"


def _verdict(summary: RunSummary, console: Console) -> None:
    if summary["valid"]:
        console.print("valid")
    for reason in summary["reasons"]:
        print_invalid(console, reason)
    for caution in summary["cautions"]:
        print_caution(console, caution["text"], caution["code"])


def _compared(summary: RunSummary, alphas: Sequence[str]) -> list[str]:
    goods = [summary["goodput"].get(alpha) for alpha in alphas]
    return [
        summary["backend"],
        *(UNMEASURED if good is None else _percent(good["share"]) for good in goods),
        seconds(summary["latency"]["mean"]),
        seconds(summary["latency"]["p95"]),
        seconds(summary["slowdown"]["max"]),
        seconds(summary["ttft"]["ready"]["all"]["p99"]),
        seconds(summary["throughput"]["output_tokens_per_s"]),
        fixed(summary["evictions"]["recomputed_tokens"]),
    ]
