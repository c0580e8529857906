"""Distributions like those of our figures: what a seed gives for two sides that are paired."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rng = np.random.Generator
    Shape = tuple[int, int]
    Draw = Callable[[Rng, Shape], tuple[Floats, Floats]]

SESSIONS = 24
"""Sessions of a run, as in the shipped sweeps."""

Kind = Literal["time", "share", "count"]


@dataclass(frozen=True, slots=True)
class Family:
    """draw: (rng, (draws, seeds)) → the two sides, each of that shape. ties: whether values repeat,
    so that an interval holds more than it says."""

    name: str
    kind: Kind
    draw: Draw
    ties: bool = False


def lognormal(rng: Rng, cv: float, shape: tuple[int, ...]) -> Floats:
    """Of mean 1 and this coefficient of variation."""
    sigma = math.sqrt(math.log1p(cv * cv))
    return rng.lognormal(-sigma * sigma / 2, sigma, shape)


def _normal(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
    """Cut off four deviations from its mean, so that nothing takes less than no time."""
    base = rng.normal(250, 50, shape).clip(50)
    return base, 0.9 * base + rng.normal(0, 10, shape).clip(-40, 40)


def _scaled(cv: float) -> Draw:
    def draw(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
        base = lognormal(rng, cv, shape)
        return base, 0.6 * base * lognormal(rng, 0.2, shape)

    return draw


def _apart(cv: float) -> Draw:
    def draw(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
        return lognormal(rng, cv, shape), 0.8 * lognormal(rng, cv, shape)

    return draw


def _tips(share: float) -> Draw:
    """A share of seeds goes beyond what the base can serve: it takes five times as long there."""

    def draw(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
        calm = lognormal(rng, 0.2, shape)
        over = 5 * calm * lognormal(rng, 0.5, shape)
        base = calm * lognormal(rng, 0.05, shape)
        return (_where(rng, share, over, base), 0.95 * calm * lognormal(rng, 0.05, shape))

    return draw


def _little_or_much(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
    """Half of the seeds hardly differ; the others by anything up to a factor of five, one way."""
    base = lognormal(rng, 0.3, shape)
    little = lognormal(rng, 0.01, shape)
    much = 5.0 ** -rng.beta(1, 2, shape)
    return base, base * _where(rng, 0.5, much, little)


def _percentile(q: float) -> Draw:
    """A percentile of a run's sessions: same sizes on both sides, waits of their own."""

    def draw(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
        import numpy as np

        size = lognormal(rng, 0.8, (*shape, SESSIONS))
        sides = (size * (1 + wait * lognormal(rng, 1.0, size.shape)) for wait in (0.8, 0.5))
        base, other = (np.percentile(side, q, axis=-1) for side in sides)
        return base, other

    return draw


def _shares(base: float, other: float, spread: float) -> Draw:
    """Good sessions of a run: beta-binomial, so that a seed is good or bad as a whole too.

    spread: the correlation between two sessions of one seed.
    """

    def draw(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
        return _good(rng, base, spread, shape), _good(rng, other, spread, shape)

    return draw


def _good(rng: Rng, share: float, spread: float, shape: Shape) -> Floats:
    weight = 1 / spread - 1
    chance = rng.beta(share * weight, (1 - share) * weight, shape)
    return rng.binomial(SESSIONS, chance) / SESSIONS


def _counts(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
    """Preemptions: none in some seeds, many in others."""
    mean = 20 * lognormal(rng, 1.0, shape)
    base = rng.poisson(_where(rng, 0.7, mean, 0 * mean))
    other = rng.poisson(_where(rng, 0.4, 0.5 * mean, 0 * mean))
    return base.astype(float), other.astype(float)


def _where(rng: Rng, share: float, one: Floats, other: Floats) -> Floats:
    import numpy as np

    return np.where(rng.random(one.shape) < share, one, other)


FAMILIES = (
    Family("normal, CV 0.2", "time", _normal),
    *(Family(f"lognormal, CV {cv:g}, one side 0.6 of the other", "time", _scaled(cv))
      for cv in (0.25, 0.5, 1.0, 2.0)),
    Family("lognormal, CV 1, sides independent", "time", _apart(1.0)),
    Family("one seed in five tips over", "time", _tips(0.2)),
    Family("every second seed tips over", "time", _tips(0.5)),
    Family("half of the seeds hardly differ", "time", _little_or_much),
    Family(f"P90 of {SESSIONS} sessions", "time", _percentile(90)),
    Family(f"P99 of {SESSIONS} sessions", "time", _percentile(99)),
    Family("goodput, 50 % and 70 %", "share", _shares(0.5, 0.7, 0.1), ties=True),
    Family("goodput, 90 % and 95 %", "share", _shares(0.9, 0.95, 0.1), ties=True),
    Family("goodput, 97.5 % and 99 %", "share", _shares(0.975, 0.99, 0.05), ties=True),
    Family("goodput, 30 % and 90 %, whole seeds lost", "share", _shares(0.3, 0.9, 0.4), ties=True),
    Family("counts, many of them 0", "count", _counts, ties=True),
)  # fmt: skip


def equal(draw: Draw) -> Draw:
    """The same two sides, each pair turned round by a coin: neither is better."""

    def drawn(rng: Rng, shape: Shape) -> tuple[Floats, Floats]:
        import numpy as np

        base, other = draw(rng, shape)
        turned = rng.random(shape) < 0.5
        return np.where(turned, other, base), np.where(turned, base, other)

    return drawn


def curves(rng: Rng, shape: Shape, alphas: Floats) -> Floats:
    """(draws, seeds, α): shares of sessions within each α, slowdowns spread by seed and session."""
    import numpy as np

    load = lognormal(rng, 0.8, (*shape, 1))
    slowdown = 1 + 2 * load * lognormal(rng, 1.0, (*shape, SESSIONS))
    return np.asarray((slowdown[..., None] <= alphas).mean(axis=-2))
