"""When sessions arrive: open loop on a schedule, or closed loop on a number of lanes.

No public data holds absolute start times of agent sessions of several users, so no kind is
claimed to be measured: poisson is the default, gamma and burst are stress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from marsbench.core.workload.draws import exponentials, gammas
from marsbench.core.workload.exact import Floats, microseconds
from marsbench.errors import UsageError, unknown_name

Kind = Literal["poisson", "fixed", "gamma", "burst", "closed"]
_PARAMETER = {"gamma": "a CV above 0", "burst": "a group size", "closed": "a number of lanes"}
_EXAMPLE = {"gamma": "gamma:3.5", "burst": "burst:8", "closed": "closed:4"}


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A kind of arrivals with its parameter.

    poisson, fixed: none. gamma: the coefficient of variation of the times between arrivals
    (1 is poisson). burst: how many arrive at once; the groups are poisson. closed: lanes.
    """

    kind: Kind
    parameter: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Arrivals:
        """`poisson`, `fixed`, `gamma:3.5`, `burst:8`, `closed:4`. Raises UsageError."""
        name, colon, parameter = text.partition(":")
        kind = next((k for k in get_args(Kind) if k == name), None)
        if kind is None:
            raise unknown_name("arrivals", name, get_args(Kind), " Type for example gamma:3.5.")
        if kind not in _PARAMETER:
            if colon:
                raise UsageError(f"Arrivals '{text}': {kind} takes no parameter; type {kind}.")
            return cls(kind)
        return cls(kind, _parameter(kind, text, parameter))

    def __str__(self) -> str:
        return f"{self.kind}:{self.parameter:g}" if self.kind in _PARAMETER else self.kind

    @property
    def lanes(self) -> int | None:
        """How many sessions are kept in flight; None for an open loop."""
        return int(self.parameter) if self.kind == "closed" else None

    def times(self, count: int, rate: float, rng: np.random.Generator) -> list[float]:
        """Arrival times in seconds of `count` sessions at `rate` sessions a second.

        The first arrives at 0. A longer list begins with the shorter one, and another rate
        stretches the same pattern.
        """
        if self.kind == "closed":
            return [0.0] * count
        if self.kind == "burst":
            size = int(self.parameter)
            starts = _starts(size * exponentials(rng, -(-count // size)))
            times = np.repeat(starts, size)[:count]
        else:
            times = _starts(self._gaps(count, rng))
        found: list[float] = microseconds(times / rate).tolist()
        return found

    def _gaps(self, count: int, rng: np.random.Generator) -> Floats:
        """Times between arrivals with mean 1."""
        if self.kind == "fixed":
            return np.ones(count)
        if self.kind == "poisson":
            return exponentials(rng, count)
        shape = 1 / (self.parameter * self.parameter)
        return gammas(rng, shape, count) / shape


def _starts(gaps: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(gaps[:-1])])


def _parameter(kind: str, text: str, given: str) -> float:
    try:
        value = float(given) if kind == "gamma" else int(given)
    except ValueError:
        value = 0
    # A CV of 50 puts all sessions into one instant; beyond, doubles run out.
    if not 0 < value <= (50 if kind == "gamma" else 1_000_000):
        raise UsageError(
            f"Arrivals '{text}': {kind} needs {_PARAMETER[kind]}; type for example "
            f"{_EXAMPLE[kind]}."
        )
    return float(value)
