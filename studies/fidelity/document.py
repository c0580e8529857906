"""The fidelity test as a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marsbench.text.numbers import UNMEASURED, measured
from marsbench.text.tables import Table, markdown
from marsbench.text.words import bulleted
from studies.fidelity.measure import Compared

Figures = Mapping[str, Any]

FIGURES: dict[str, tuple[Callable[[Figures], float | None], str]] = {
    "goodput(3), share of sessions": (lambda s: s["goodput"]["3"]["share"], ".3f"),
    "latency, mean s": (lambda s: s["latency"]["mean"], ",.1f"),
    "latency, P99 s": (lambda s: s["latency"]["p99"], ",.1f"),
    "TTFT from ready, mean s": (lambda s: s["ttft"]["ready"]["all"]["mean"], ",.2f"),
    "TTFT from ready, P99 s": (lambda s: s["ttft"]["ready"]["all"]["p99"], ",.2f"),
    "evicted blocks": (lambda s: s["evictions"]["blocks"], ",.0f"),
    "preemptions": (lambda s: s["preemptions"], ",.0f"),
    "prefix hit rate": (lambda s: s["prefix_hit_rate"]["all"], ".3f"),
    "makespan, s": (lambda s: s["makespan_s"], ",.1f"),
}

EMULATED = """\
`make fidelity` wrote this page: a real vLLM server and the simulator, given the same sessions. The
server is vLLM's own, with its HTTP front, engine core, scheduler, prefix cache and KV events; its
GPU is emulated ({emulate}, {blocks:,} KV blocks, {speed:g} emulated seconds a second), so that a
step takes the time that the simulator gives it too. Client, tools and network run on the machine's
own clock. {sessions} sessions of `{workload}`, seed {seed}."""

KERNELS = """\
`make fidelity-cpu` wrote this page: a real vLLM server and the simulator, given the same sessions.
Nothing of the server is emulated: {server} computes a random model of one layer with its real
kernels on this machine's CPU, in {blocks:,} KV blocks of {size} tokens. Client, tools and network
run on the same cores. The simulator has vLLM 0.33.0's scheduler; its step times are a fit to the
steps of an earlier run of other sessions on the same machine. {sessions} sessions of `{workload}`,
seed {seed}."""

PAGE = """\
# Fidelity{title}

{setting}

## Decisions

The server wrote down every step: which requests got how many tokens and in what order, which began
and with how many cached tokens, which were preempted, and how many blocks were free. Then the
simulator's scheduler was given the same arrivals at the same times, and each step's decision was
compared. {mode}

{decisions}

{differences}

## Figures

The simulator's own run of the same sessions beside the server's. Here the two may differ: a real
step also costs the time of scheduling and HTTP, a round trip lies between two rounds, and from
then on other requests meet in a step.
{noise}
{figures}

{remarks}
"""

ASYNCHRONOUS = "Steps were scheduled asynchronously, vLLM's default."
SYNCHRONOUS = "Steps were scheduled one after another, as vLLM does on a CPU."
NOISE = "The kernels share their cores with the client, so that no two steps cost quite the same.\n"


def page(found: Sequence[Compared]) -> str:
    """The page as Markdown."""
    real = found[0].case["kernels"] is not None
    return PAGE.format(
        title=" on real kernels" if real else "",
        setting=_setting(found[0]),
        mode=SYNCHRONOUS if real else ASYNCHRONOUS,
        noise=NOISE if real else "",
        decisions=_decisions(found),
        differences=_differences(found),
        figures=_figures(found),
        remarks=_remarks(found),
    )


def _setting(one: Compared) -> str:
    case = one.case
    return (EMULATED if case["kernels"] is None else KERNELS).format(
        emulate=case["emulate"],
        server=case["server"],
        blocks=case["settings"]["kv_blocks"],
        size=case["settings"]["block_size"],
        speed=case["speed"],
        sessions=one.live["sessions"]["arrived"],
        workload=case["workload"].rpartition("/")[2].removesuffix(".toml"),
        seed=case["seed"],
    )


def _decisions(found: Sequence[Compared]) -> str:
    names = ("steps", "requests", "tokens", "preemptions", "evicted_blocks")
    header = ["backend", *(name.replace("_", " ") for name in names), "steps that differ"]
    rows = [
        [one.backend, *(f"{one.decisions[n]:,}" for n in names), _differing(one)] for one in found
    ]
    return markdown(Table(header, rows))


def _differing(one: Compared) -> str:
    return "**none**" if not one.decisions["differences"] else "see below"


def _differences(found: Sequence[Compared]) -> str:
    lines = [
        f"{one.backend}, step {d['step']}, {d['what']}: the server {d['server']}, "
        f"the simulator {d['simulator']}. What follows it was not compared."
        for one in found
        for d in one.decisions["differences"]
    ]
    return bulleted(lines) or "No decision differs."


def _figures(found: Sequence[Compared]) -> str:
    header = ["figure"]
    for one in found:
        header += [f"{one.backend}, simulated", "served", "difference"]
    rows = []
    for name, (read, form) in FIGURES.items():
        row = [name]
        for one in found:
            row += _row(read(one.simulated), read(one.live), form)
        rows.append(row)
    return markdown(Table(header, rows))


def _row(simulated: float | None, live: float | None, form: str) -> list[str]:
    values = [measured(value, form) for value in (simulated, live)]
    if simulated is None or live is None or not simulated:
        return [*values, UNMEASURED if simulated != live or simulated is None else "0%"]
    return [*values, f"{(live / simulated - 1) * 100:+.1f}%"]


def _remarks(found: Sequence[Compared]) -> str:
    lines = []
    for one in found:
        lag = one.send_lag_s["p99"]
        late = "unknown" if lag is None else f"{lag * 1000:.1f} ms"
        valid = "valid" if one.live["valid"] else f"NOT valid ({'; '.join(one.live['reasons'])})"
        lines.append(f"{one.backend}: the live run is {valid}; P99 of its send lag is {late}.")
    if found[0].case["realtime"]:
        lines.append("Client, gateway and server ran in the real-time class (`--realtime`).")
    return bulleted(lines)
