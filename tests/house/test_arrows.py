"""The arrows of docs/architecture.md: which room may import which."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import pytest

from house.sources import Import, is_in, our_imports

VLLM = ("vllm", "torch")
OURS = ("marsbench", "marsbench_backends")
GROUND = tuple(
    f"marsbench.{name}"
    for name in (
        *("errors", "clock", "extras", "garbage", "http_server", "option", "outputs"),
        *("patience", "problems", "version"),
    )
)
ENGINES = (
    *("marsbench.core.sim", "marsbench.hardware", "marsbench.wall", "marsbench_backends", *VLLM),
)
READERS = tuple(
    f"marsbench.{room}"
    for room in (
        *(
            "core.metrics",
            "runs.folder",
            "runs.summary",
            "runs.config",
            "show.run",
            "show.charts",
            "judge.compare",
            "judge.gate",
        ),
        *("judge.intervals", "judge.paper", "judge.sweep.folder", "report"),
    )
)
CORE_KNOWS = (
    "marsbench.core",
    "marsbench.hardware",
    "marsbench.offload",
    "marsbench.shortcuts",
    "marsbench.text",
    "marsbench.trees",
)
REPLICAS = "marsbench.replicas"
ADAPTER = ("marsbench_backends.scheduler", "marsbench_backends.vllm")
SIMULATOR = ("marsbench.core.sim", "marsbench.offload", "marsbench.shortcuts")


def loads_vllm(name: str) -> bool:
    """Those that may: the adapter, the simulator, and vLLM's part of serving."""
    last = name.rpartition(".")[2]
    is_part = is_in(name, "marsbench.serve") and last.startswith("vllm_")
    return is_part or is_in(name, *ADAPTER, *SIMULATOR)


def is_policy(name: str) -> bool:
    """What decides, and what it is made of and told."""
    exempt = (*ADAPTER, "marsbench_backends.registry")
    return is_in(name, "marsbench_backends") and not is_in(name, *exempt)


def is_foreign_to_policies(target: str) -> bool:
    is_ours = is_in(target, "marsbench_backends") and not loads_vllm(target)
    return not is_ours and target.split(".")[0] not in sys.stdlib_module_names


RULES: dict[str, tuple[Callable[[str], bool], Callable[[str], bool]]] = {
    "marsbench_backends imports nothing of marsbench": (
        lambda name: is_in(name, "marsbench_backends"),
        lambda target: is_in(target, "marsbench"),
    ),
    "vllm and torch are imported by the adapter, the simulator and vllm_* alone": (
        lambda name: not loads_vllm(name),
        lambda target: is_in(target, *VLLM),
    ),
    "the ground imports no room": (
        lambda name: is_in(name, *GROUND),
        lambda target: is_in(target, *OURS) and not is_in(target, *GROUND),
    ),
    "core imports but the ground, text, trees, hardware, offload, shortcuts and the backends": (
        lambda name: is_in(name, "marsbench.core"),
        lambda target: is_in(target, "marsbench") and not is_in(target, *CORE_KNOWS, *GROUND),
    ),
    "trees imports but the ground and text, and no vLLM": (
        lambda name: is_in(name, "marsbench.trees"),
        lambda target: (
            is_in(target, *OURS, *VLLM)
            and not is_in(target, "marsbench.trees", "marsbench.text", *GROUND)
        ),
    ),
    "offload imports but the ground, shortcuts and marsbench_backends": (
        lambda name: is_in(name, "marsbench.offload"),
        lambda target: (
            is_in(target, "marsbench")
            and not is_in(target, "marsbench.offload", "marsbench.shortcuts", *GROUND)
        ),
    ),
    "hardware imports but the ground and marsbench_backends": (
        lambda name: is_in(name, "marsbench.hardware"),
        lambda target: (
            is_in(target, "marsbench", *VLLM) and not is_in(target, "marsbench.hardware", *GROUND)
        ),
    ),
    "replicas imports but core and what core may": (
        lambda name: is_in(name, REPLICAS),
        lambda target: (
            is_in(target, "marsbench") and not is_in(target, REPLICAS, *CORE_KNOWS, *GROUND)
        ),
    ),
    "runs imports but core, replicas and what core may": (
        lambda name: is_in(name, "marsbench.runs"),
        lambda target: (
            is_in(target, "marsbench")
            and not is_in(target, "marsbench.runs", REPLICAS, *CORE_KNOWS, *GROUND)
        ),
    ),
    "a router knows what it is shown, and has no clock and no dice": (
        lambda name: is_in(name, f"{REPLICAS}.routers"),
        lambda target: (
            is_in(target, *OURS, "time", "datetime", "random", "secrets", "numpy")
            and not is_in(target, f"{REPLICAS}.router", f"{REPLICAS}.routers", f"{REPLICAS}.known")
        ),
    ),
    "intervals imports no other room but errors": (
        lambda name: is_in(name, "marsbench.judge.intervals"),
        lambda target: (
            is_in(target, *OURS)
            and not is_in(target, "marsbench.errors", "marsbench.judge.intervals")
        ),
    ),
    "session and events import no other room but errors": (
        lambda name: is_in(name, "marsbench.core.session", "marsbench.core.events"),
        lambda target: is_in(target, *OURS) and not is_in(target, "marsbench.errors"),
    ),
    "what reads run folders works without engines, hardware, backends and vLLM": (
        lambda name: is_in(name, *READERS),
        lambda target: is_in(target, *ENGINES),
    ),
    "workload knows nothing of engines": (
        lambda name: is_in(name, "marsbench.core.workload"),
        lambda target: is_in(target, "marsbench.core.sim", "marsbench.runs.job"),
    ),
    "the gateway knows of an engine but the entrance that they share": (
        lambda name: is_in(name, "marsbench.gateway"),
        lambda target: is_in(
            target, "marsbench.core.sim", "marsbench.core.metrics", "marsbench.hardware"
        ),
    ),
    "a policy imports the standard library and its own package": (
        is_policy,
        is_foreign_to_policies,
    ),
    "a policy has no clock and no dice": (
        is_policy,
        lambda target: is_in(target, "time", "datetime", "random", "secrets"),
    ),
}


def broken(rule: str, imports: Iterable[Import]) -> list[str]:
    applies, forbids = RULES[rule]
    return [
        f"{found.where}: {found.importer} imports {found.target}"
        for found in imports
        if applies(found.importer) and forbids(found.target)
    ]


@pytest.mark.parametrize("rule", RULES)
def test_arrow_holds(rule: str) -> None:
    wrong = broken(rule, our_imports())
    assert not wrong, f"{rule}:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "target", "num_broken"),
    [
        ("marsbench_backends.policies.mars", "marsbench.core.session.Session", 2),
        ("marsbench_backends.policies.mars", "marsbench_backends.scheduler", 1),
        ("marsbench_backends.policies.mars", "random.random", 1),
        ("marsbench_backends.policies.mars", "numpy", 1),
        ("marsbench_backends.policies.mars", "marsbench_backends.policy.Policy", 0),
        ("marsbench_backends.scheduler", "vllm.v1.request.Request", 0),
        ("marsbench.core.metrics.goodput", "torch", 2),
        ("marsbench.runs.job", "marsbench.cli.options", 1),
        ("marsbench.errors", "marsbench.core.events", 1),
        ("marsbench_backends.policies.mars", "marsbench_backends.vllm.rounds", 1),
        ("marsbench_backends.policies.mars", "marsbench_backends.vllm.record", 1),
        ("marsbench.judge.intervals.pairs", "marsbench.judge.compare.figures", 1),
        ("marsbench.judge.intervals.pairs", "marsbench.judge.intervals.seeds", 0),
        ("marsbench.report", "marsbench.core.sim", 1),
        ("marsbench.core.sim.loop", "vllm.config", 0),
        ("marsbench.serve.vllm_gpu", "vllm.config", 0),
        ("marsbench.serve.server", "vllm.config", 1),
        ("marsbench.core.workload.recipe", "marsbench.core.sim", 1),
        ("marsbench.gateway.server", "marsbench.core.sim.clock", 1),
        ("marsbench.gateway.sessions", "marsbench.core.entrance.Entrance", 0),
        ("marsbench.core.session", "marsbench.core.events.Event", 1),
        ("marsbench.core.events", "marsbench.errors.UsageError", 0),
    ],
)
def test_rules_catch_what_they_name(importer: str, target: str, num_broken: int) -> None:
    found = [Import(importer, target, at_module_level=True, where="here")]
    assert sum(len(broken(rule, found)) for rule in RULES) == num_broken
