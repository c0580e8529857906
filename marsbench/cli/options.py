"""The options of `marsbench run`, declared once: type, name and the one line of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

WORKLOAD, ENGINE, ADVANCED = "Workload", "Hardware and engine", "Advanced"
LIVE = "With --engine live or openhands"


def _option(*names: str, metavar: str, about: str, panel: str | None = None) -> Any:
    """An option whose default is told in its line of help, not in a column of its own."""
    return typer.Option(
        *names, metavar=metavar, help=about, rich_help_panel=panel, show_default=False
    )


def _flag(name: str, about: str, panel: str | None = None) -> Any:
    """An option that takes no value: without a metavar the help would show one."""
    return typer.Option(name, metavar=" ", help=about, rich_help_panel=panel)


BackendName = Annotated[str, _option(metavar="NAME", about="Its name, or module:Class")]
Alphas = Annotated[
    list[float] | None, _option("--alpha", metavar="A", about="Goodput's α; repeatable (3)")
]
Settings = Annotated[
    list[str] | None,
    _option("--set", metavar="NAME.PARAM=VALUE", about="A backend's parameter; repeatable"),
]
EngineName = Annotated[
    Literal["sim", "live", "openhands"],
    _option(metavar="NAME", about="sim, live or openhands (sim)"),
]
Output = Annotated[
    Path | None, _option("-o", "--output", metavar="DIR", about="The run's folder (results/…)")
]
AsJson = Annotated[bool, _flag("--json", "Print one JSON object")]

WorkloadName = Annotated[
    str,
    _option(metavar="RECIPE|FILE", about="A recipe, or sessions (ilr-1)", panel=WORKLOAD),
]
Sessions = Annotated[int | None, _option(metavar="N", about="How many sessions", panel=WORKLOAD)]
Rate = Annotated[float | None, _option(metavar="R", about="Sessions a second", panel=WORKLOAD)]
Load = Annotated[
    float | None,
    _option(metavar="RHO", about="Rate x mean GPU s of a session alone", panel=WORKLOAD),
]
LoadOn = Annotated[
    str | None,
    _option(metavar="WHICH", about="Its hardware: reference, this (reference)", panel=WORKLOAD),
]
Arrivals = Annotated[
    str | None,
    _option(metavar="KIND", about="poisson, fixed, gamma:CV, burst:N, closed:N", panel=WORKLOAD),
]
Seed = Annotated[
    int | None, _option(metavar="S", about="Of the sessions and their arrivals", panel=WORKLOAD)
]
Tools = Annotated[
    str | None,
    _option(metavar="MIX", about="autonomous, interactive, cpu-heavy", panel=WORKLOAD),
]
Prefixes = Annotated[
    int | None, _option(metavar="K", about="Variants of the shared prefix", panel=WORKLOAD)
]

Gpu = Annotated[str, _option(metavar="GPU", about="h200, …, or an id (h200)", panel=ENGINE)]
Model = Annotated[str | None, _option(metavar="MODEL", about="(qwen3-coder-30b)", panel=ENGINE)]
KvBlocks = Annotated[
    int | None, _option(metavar="N", about="KV blocks (what the GPU's memory holds)", panel=ENGINE)
]
BlockSize = Annotated[int | None, _option(metavar="N", about="Tokens a block (16)", panel=ENGINE)]
ToolCores = Annotated[
    int, _option(metavar="N", about="Cores of the host that runs tools (8)", panel=ENGINE)
]
EngineProfile = Annotated[
    str, _option(metavar="NAME", about="default, or paper: 2,048 tokens x 128", panel=ENGINE)
]

Precision = Annotated[
    str | None, _option(metavar="P", about="Of the weights: bf16, fp8, mxfp4", panel=ENGINE)
]
KvDtype = Annotated[
    str | None, _option("--kv-dtype", metavar="D", about="auto, bf16, fp8 (auto)", panel=ENGINE)
]
HardwareFile = Annotated[
    Path | None,
    _option("--hardware", metavar="FILE", about="A hardware profile (TOML)", panel=ADVANCED),
]
StepBudget = Annotated[int | None, _option(metavar="N", about="Tokens a step", panel=ADVANCED)]
MaxSeqs = Annotated[int | None, _option(metavar="N", about="Running requests", panel=ADVANCED)]
ReserveFullPrompt = Annotated[
    Literal["on", "off"] | None,
    _option(metavar="on|off", about="Admit only prompts that fit whole", panel=ADVANCED),
]
MemoryFraction = Annotated[
    float | None, _option(metavar="F", about="Share of GPU memory (0.9)", panel=ADVANCED)
]
ToolWorkers = Annotated[
    int | None, _option(metavar="N", about="Tool calls at once, others queue", panel=ADVANCED)
]
StepTimeScale = Annotated[
    float, _option(metavar="X", about="Scale every step time (1)", panel=ADVANCED)
]
AttentionTimeScale = Annotated[
    float, _option(metavar="X", about="Scale attention's time alone (1)", panel=ADVANCED)
]
Check = Annotated[bool, _flag("--check", "Test invariants at every step", ADVANCED)]

Url = Annotated[str | None, _option(metavar="URL", about="Of the server or gateway", panel=LIVE)]
ServedModel = Annotated[
    str | None, _option(metavar="NAME", about="Its model (the only one it lists)", panel=LIVE)
]
EndpointName = Annotated[
    str | None,
    _option("--endpoint", metavar="NAME", about="completions, chat (completions)", panel=LIVE),
]
Prompts = Annotated[
    str | None, _option(metavar="KIND", about="ids, text, text:TOKENIZER.json (ids)", panel=LIVE)
]
ToolsAs = Annotated[
    str | None, _option(metavar="WHAT", about="sleep, cpu, or both by kind (sleep)", panel=LIVE)
]
Speed = Annotated[float | None, _option(metavar="X", about="Of an emulated server (1)", panel=LIVE)]
WarmUp = Annotated[
    float | None, _option(metavar="S", about="Arrivals not measured at first (0)", panel=LIVE)
]
CoolDown = Annotated[
    float | None, _option(metavar="S", about="Arrivals not measured at last (0)", panel=LIVE)
]
Timeout = Annotated[
    float | None, _option(metavar="S", about="Silence that fails a request (600)", panel=LIVE)
]
IsolatedBy = Annotated[
    str | None,
    _option("--isolated", metavar="HOW", about="profile, measure:N, none (profile)", panel=LIVE),
]
KvEvents = Annotated[
    str | None, _option(metavar="TCP", about="Endpoint of vLLM's KV events", panel=LIVE)
]
MaxSendLag = Annotated[
    float | None,
    _option(metavar="S", about="P99 of our own lag, at most (0.05)", panel=LIVE),
]
AgentTasks = Annotated[
    str | None, _option(metavar="TASKS", about="For real agents: shipped, or a file", panel=LIVE)
]
ContextTokens = Annotated[
    int | None, _option(metavar="N", about="Digest in an agent's first prompt (0)", panel=LIVE)
]
Workers = Annotated[int | None, _option(metavar="N", about="Agents at once (32)", panel=LIVE)]
