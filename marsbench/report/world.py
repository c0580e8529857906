"""What the runs are of, and the words that the pages use for it."""

from __future__ import annotations

from collections.abc import Sequence

from marsbench.judge.compare.points import Place
from marsbench.judge.compare.ranking import LEVEL_GOODPUT, LEVEL_LATENCY
from marsbench.report.material import Material
from marsbench.text.words import listed, span


def world(material: Material) -> str:
    """For which traffic, models and engines the summary holds, in a sentence."""
    sources = material.comparison.sources
    loads = listed([f"{r.title} {_loads(r.places)}" for r in material.regimes])
    sizes = span([source.sessions for source in sources], lambda number: f"{number:,.0f}")
    seeds = sorted({source.seed for source in sources if source.seed is not None})
    told = (
        f", seed{'s' * (len(seeds) > 1)} {listed([str(seed) for seed in seeds])}" if seeds else ""
    )
    models = sorted({s.place.model for s in sources if s.place.model})
    gpus = sorted({str(s.hardware["gpu"]) for s in sources if s.hardware.get("gpu")})
    on = f"; {listed(models)}" + (f" on {listed(gpus)}" if gpus else "") if models else ""
    played = listed(sorted({"the simulator" if s.engine == "sim" else s.engine for s in sources}))
    return (
        f"For which world: {loads}; {sizes} sessions a run{told}{on}; played by {played}. Section "
        "“What was run” has the engine's settings. Elsewhere the order may be another."
    )


def _loads(places: Sequence[Place]) -> str:
    loads = [place.load for place in places if place.load is not None]
    rates = [place.rate for place in places if place.load is None and place.rate is not None]
    told = [f"load {listed([f'{load:g}' for load in loads])}"] if loads else []
    told += [f"{listed([f'{rate:g}' for rate in rates])} sessions/s"] if rates else []
    return f"({', '.join(told)})" if told else ""


def terms(material: Material) -> str:
    """A paragraph that defines what the summary speaks of."""
    return (
        "In these pages a session is one agent task: rounds of the model with tool calls between "
        "them. Latency is from its arrival to its end, slowdown is latency over that of the same "
        "session alone, and goodput(α) is the share of arrived sessions with a slowdown of at "
        "most α. A place is a workload at a load on one hardware and engine; load is rate × mean "
        "GPU seconds of a session alone. A backend is clearly ahead of another by more than "
        f"{LEVEL_GOODPUT * 100:g} points of goodput({material.alpha:g}), or, where goodput is "
        f"level, by more than {LEVEL_LATENCY:.0%} of mean latency."
    )
