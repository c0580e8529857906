"""The project's oracle comparisons on whatever vLLM this process imports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product, zip_longest
from typing import Any

from marsbench.core import events
from marsbench.hardware.profile import load_hardware
from marsbench.proof.worlds import TinyWorld, world
from marsbench.trees.capabilities import capabilities
from marsbench.trees.imported import imported
from marsbench.trees.verdicts import Proven

WORLDS = 60
PLAIN: Mapping[str, bool] = {"fast": False, "merge": False}
SHORTCUTS: Sequence[Mapping[str, bool]] = [
    {"fast": fast, "compiled": compiled, "merge": merge}
    for fast, compiled, merge in product((False, True), repeat=3)
    if (fast or merge) and (fast or not compiled)
]
"""Every way to take them; what is compiled is one of the fast loops."""

BACKENDS = ("fcfs", "autellix", "continuum", "mars", "mars-released", "retention", "infercept")
"""One for each thing that a policy may do: order, chunks, holds, victims, evictions, swaps."""

NEEDED = ("evicted", "preempted")
"""Without these in some world the comparison would have shown little."""


@dataclass(slots=True)
class Checked:
    """What was compared so far. kinds: of the events of the plain runs."""

    runs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    why: str = ""


def check(progress: Callable[[int], None], worlds: int = WORLDS) -> Proven:
    """Play every world plainly and by shortcuts, until one differs. progress: worlds done."""
    found = Checked()
    for seed in range(worlds):
        found.why = next(_differences(world(seed), seed, found), "")
        if found.why:
            return Proven(is_equal=False, worlds=seed + 1, why=found.why)
        progress(seed + 1)
    missing = [kind for kind in NEEDED if not found.kinds[kind]]
    why = f"no world had the event {missing[0]}, so nothing is proven" if missing else ""
    return Proven(is_equal=not missing, worlds=worlds, why=why)


def _differences(one: TinyWorld, seed: int, found: Checked) -> Iterator[str]:
    """vLLM's own scheduler with every shortcut, and a backend in turn with all of them."""
    ways = [(None, switches) for switches in SHORTCUTS]
    plain = _played(one, None, PLAIN)
    found.kinds.update(event.kind for event in plain)
    for backend, switches in ways:
        found.runs += 1
        yield from _unlike(plain, _played(one, backend, switches), one, "vLLM's own", switches)
    names = _playable()
    backend = names[seed % len(names)]
    found.runs += 1
    pair = (_played(one, backend, PLAIN), _played(one, backend, {}))
    yield from _unlike(*pair, one, backend, {"fast": True, "merge": True})


def _playable() -> Sequence[str]:
    tree = imported()
    swaps = tree is not None and capabilities(tree).swap
    return BACKENDS if swaps else BACKENDS[:-1]


def _played(
    one: TinyWorld, backend: str | None, switches: Mapping[str, bool]
) -> list[events.Event]:
    from marsbench.core.sim.simulation import SimConfig, Simulation

    seen: list[events.Event] = []
    taken: dict[str, Any] = {"fast": True, "merge": True, **switches}
    config = SimConfig(load_hardware(), one.settings, backend, sample_s=0.05, **taken)
    Simulation(config, seen.append).run(one.sessions)
    return seen


def _unlike(
    plain: Sequence[events.Event],
    other: Sequence[events.Event],
    one: TinyWorld,
    scheduler: str,
    switches: Mapping[str, bool],
) -> Iterator[str]:
    """The first difference in a sentence, if there is one."""
    for a, b in zip_longest(plain, other):
        if a != b:
            told = ", ".join(name for name, is_on in switches.items() if is_on)
            yield f"{scheduler} in {one.name} with {told}: {_told(a)} became {_told(b)}"
            return


def _told(event: events.Event | None) -> str:
    return "nothing" if event is None else f"{event.kind} at {event.at:.6f} s"
