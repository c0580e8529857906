"""A figure of a run as a value: its kind (kinds.py), and its α where the kind has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marsbench.core.metrics.goodput import alpha_key
from marsbench.errors import unknown_name
from marsbench.judge.compare.kinds import KINDS, Better
from marsbench.judge.sweep.folder import Result


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a run: its kind, and its α where the kind has one."""

    kind: str
    alpha: float | None = None

    @staticmethod
    def parse(name: str) -> Figure:
        """The figure that is typed so. Raises UsageError for a name that is none."""
        kind, _, alpha = name.rpartition("_")
        if name in KINDS and not KINDS[name].at_alpha:
            return Figure(name)
        if kind in KINDS and KINDS[kind].at_alpha and alpha.replace(".", "", 1).isdecimal():
            return Figure(kind, float(alpha))
        plain = (Figure(kind) for kind, of in KINDS.items() if not of.at_alpha)
        known = [str(figure) for figure in plain if figure not in QUARTERS]
        raise unknown_name("metric", name, [*known, str(Figure("goodput", 3.0))])

    def __str__(self) -> str:
        """As it is typed and printed: "latency_mean_s", "goodput_3", "goodput_rate_1.5"."""
        return self.kind if self.alpha is None else f"{self.kind}_{alpha_key(self.alpha)}"

    @property
    def label(self) -> str:
        """ "mean latency", "goodput(3)"."""
        text = KINDS[self.kind].label
        return text if self.alpha is None else text.format(alpha_key(self.alpha))

    @property
    def unit(self) -> str:
        """ "s", "1/s"; empty for counts and shares."""
        return KINDS[self.kind].unit

    @property
    def better(self) -> Better | None:
        """Which side is good; None where neither is."""
        return KINDS[self.kind].better

    @property
    def is_share(self) -> bool:
        """Whether it is told in per cent."""
        return KINDS[self.kind].is_share


Figures = Mapping[Figure, float | None]


def figures_of(run: Result, alphas: Sequence[float] | None = None) -> Figures:
    """Every figure of a run, goodput at its own α.

    alphas: where goodput is taken beside those, as a share and a second, with all else that only
    the run's sessions tell; None leaves that out.
    """
    own = run.run.config.alphas
    taken = [
        Figure(name, alpha)
        for name, kind in KINDS.items()
        if not kind.of_sessions
        for alpha in (own if kind.at_alpha else (None,))
    ]
    if alphas is not None:
        taken += [Figure(n) for n, kind in KINDS.items() if kind.of_sessions and not kind.at_alpha]
        taken += [Figure(n, a) for a in alphas for n, kind in KINDS.items() if kind.at_alpha]
    return {figure: _taken(figure, run) for figure in taken if KINDS[figure.kind].measured(run)}


def _taken(figure: Figure, run: Result) -> float | None:
    take = KINDS[figure.kind].take
    return take(run) if figure.alpha is None else take(run, figure.alpha)


def num_differed(decision: str) -> Figure:
    """How often this decision was other than vLLM's.

    A part of a policy that never decided anything is not measured by switching it off.
    """
    return Figure(f"num_{decision}_differed")


def num_asked(decision: str) -> Figure:
    """How often there was such a decision to take."""
    return Figure(f"num_{decision}_asked")


def num_held_back(reason: str) -> Figure:
    """How many sessions the controller held back for this reason."""
    return Figure(f"num_held_back_{reason}")


QUARTERS = tuple(Figure(f"evicted_live_quarter_{number}_per_s") for number in range(1, 5))
CAP, CAP_SEARCHED = Figure("cap"), Figure("cap_searched")
AREA, LATENCY, GOODPUT = Figure("goodput_area"), Figure("latency_mean_s"), Figure("goodput", 3.0)
