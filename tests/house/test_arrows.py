"""The arrows of docs/architecture.md: which room may import which."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import pytest

from house.sources import Import, is_in, our_imports

VLLM = ("vllm", "torch")
ENGINES = ("marsbench.engine", "marsbench.hardware", "marsbench_backends", *VLLM)
READERS = tuple(
    f"marsbench.{room}"
    for room in (
        *("metrics", "runs", "tables", "compare", "gate", "report", "reproduce", "export"),
        "sweep.folder",
    )
)


def loads_vllm(name: str) -> bool:
    """Those that may: the adapter, the simulator, vLLM's part of the hardware and of serving."""
    last = name.rpartition(".")[2]
    rooms = ("marsbench_backends", "marsbench.hardware", "marsbench.serve")
    if is_in(name, *rooms) and last.startswith("vllm_"):
        return True
    return is_in(name, "marsbench_backends.scheduler", "marsbench.engine.sim")


def is_policy(name: str) -> bool:
    exempt = ("marsbench_backends.scheduler", "marsbench_backends.registry")
    return is_in(name, "marsbench_backends") and not is_in(name, *exempt) and not loads_vllm(name)


def is_lazy_in_cli(found: Import) -> bool:
    """A command imports its room when it is called, so that --help stays quick."""
    is_cli = any(part == "cli" or part.startswith("cli_") for part in found.importer.split("."))
    return is_cli and not found.at_module_level


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
    "errors imports no other room": (
        lambda name: is_in(name, "marsbench.errors"),
        lambda target: is_in(target, "marsbench", "marsbench_backends"),
    ),
    "intervals imports no other room but errors": (
        lambda name: is_in(name, "marsbench.intervals"),
        lambda target: (
            is_in(target, "marsbench", "marsbench_backends")
            and not is_in(target, "marsbench.errors", "marsbench.intervals")
        ),
    ),
    "session and events import no other room but errors": (
        lambda name: is_in(name, "marsbench.session", "marsbench.events"),
        lambda target: (
            is_in(target, "marsbench", "marsbench_backends")
            and not is_in(target, "marsbench.errors")
        ),
    ),
    "what reads run folders works without engines, hardware, backends and vLLM": (
        lambda name: is_in(name, *READERS),
        lambda target: is_in(target, *ENGINES),
    ),
    "hardware and workload know nothing of engines": (
        lambda name: is_in(name, "marsbench.hardware", "marsbench.workload"),
        lambda target: is_in(target, "marsbench.engine"),
    ),
    "the gateway knows no engine but the entrance that they share": (
        lambda name: is_in(name, "marsbench.gateway"),
        lambda target: (
            is_in(target, "marsbench.engine", "marsbench.hardware", "marsbench.metrics")
            and not is_in(target, "marsbench.engine.entrance", "marsbench.engine.backends")
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
        if applies(found.importer) and forbids(found.target) and not is_lazy_in_cli(found)
    ]


@pytest.mark.parametrize("rule", RULES)
def test_arrow_holds(rule: str) -> None:
    wrong = broken(rule, our_imports())
    assert not wrong, f"{rule}:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "target", "num_broken"),
    [
        ("marsbench_backends.mars", "marsbench.session.Session", 2),
        ("marsbench_backends.mars", "marsbench_backends.scheduler", 1),
        ("marsbench_backends.mars", "random.random", 1),
        ("marsbench_backends.mars", "numpy", 1),
        ("marsbench_backends.mars", "marsbench_backends.policy.Policy", 0),
        ("marsbench_backends.scheduler", "vllm.v1.request.Request", 0),
        ("marsbench.metrics.goodput", "torch", 2),
        ("marsbench.intervals.pairs", "marsbench.compare.figures", 1),
        ("marsbench.intervals.pairs", "marsbench.intervals.seeds", 0),
        ("marsbench.report", "marsbench.engine.sim", 1),
        ("marsbench.engine.sim.loop", "vllm.config", 0),
        ("marsbench.hardware.vllm_kv", "vllm.config", 0),
        ("marsbench.serve.vllm_gpu", "vllm.config", 0),
        ("marsbench.serve.server", "vllm.config", 1),
        ("marsbench.workload.recipe", "marsbench.engine", 1),
        ("marsbench.gateway.server", "marsbench.engine.sim.clock", 1),
        ("marsbench.gateway.sessions", "marsbench.engine.entrance.Entrance", 0),
        ("marsbench.session", "marsbench.events.Event", 1),
        ("marsbench.events", "marsbench.errors.UsageError", 0),
    ],
)
def test_rules_catch_what_they_name(importer: str, target: str, num_broken: int) -> None:
    found = [Import(importer, target, at_module_level=True, where="here")]
    assert sum(len(broken(rule, found)) for rule in RULES) == num_broken


def test_a_command_may_import_its_room_when_called() -> None:
    lazy = Import("marsbench.workload.cli", "marsbench.engine.sim", False, "here")
    assert not broken("hardware and workload know nothing of engines", [lazy])
