"""How long the tool calls of a mix take, and of which class each one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from marsbench.session import ToolCall
from marsbench.workload.distributions import Floats, LogNormals, phi
from marsbench.workload.recipe import SUBAGENT, Tools

_SHORTEST_S = 0.001


@dataclass(frozen=True)
class ToolTimes:
    """The tool classes of a mix as one distribution of durations.

    Durations are drawn from the whole mix, so that they can be coupled with what the tool prints,
    and the class afterwards from its odds at that duration. Both come out as the shares say.
    """

    tools: Tools
    shares: Mapping[str, float]

    def calls(self, u_time: Floats, u_class: Floats) -> list[ToolCall]:
        """One call per pair of uniform numbers."""
        if not u_time.size:
            return []
        seconds = self.mixture.quantile(u_time)
        classes = self._classes(seconds, u_class)
        return [self._call(c, float(s)) for c, s in zip(classes, seconds, strict=True)]

    @cached_property
    def mixture(self) -> LogNormals:
        """Durations of any call in seconds, sub-agents left out."""
        rows = [
            (share * w, mu, sigma)
            for _, name, share in self._used
            for w, mu, sigma in self._components(name)
        ]
        total = sum(w for w, _, _ in rows)
        return LogNormals(
            w=tuple(w / total for w, _, _ in rows),
            mu=tuple(mu for _, mu, _ in rows),
            sigma=tuple(sigma for _, _, sigma in rows),
            clip=(_SHORTEST_S, self.tools.timeout_s),
        )

    @cached_property
    def _used(self) -> list[tuple[int, str, float]]:
        names = [name for name, share in self.shares.items() if share > 0 and name != SUBAGENT]
        return [(number, name, self.shares[name]) for number, name in enumerate(names)]

    def _components(self, name: str) -> list[tuple[float, float, float]]:
        found = self.tools.classes[name]
        return list(zip(found.w, found.mu, found.sigma, strict=True))

    def _classes(self, seconds: Floats, u: Floats) -> list[str]:
        """Each call's class, drawn with odds share x density (beyond the time-out: x tail)."""
        odds = np.stack([share * self._weight(name, seconds) for _, name, share in self._used])
        ladder = np.cumsum(odds, axis=0)
        picks = np.argmax(ladder >= u * ladder[-1], axis=0)
        return [self._used[pick][1] for pick in picks]

    def _weight(self, name: str, seconds: Floats) -> Floats:
        logs = np.log(seconds)
        total = np.zeros(logs.shape)
        for w, mu, sigma in self._components(name):
            total += w * _density_or_tail((logs - mu) / sigma, sigma, self._end(seconds))
        return total

    def _end(self, seconds: Floats) -> npt.NDArray[np.int8]:
        """-1 where the duration was clipped to the shortest, +1 to the time-out, else 0."""
        late = (seconds >= self.tools.timeout_s).astype(np.int8)
        return np.asarray(late - (seconds <= _SHORTEST_S), dtype=np.int8)

    def _call(self, name: str, seconds: float) -> ToolCall:
        # A class that burns CPU is taken to keep one core busy all the time: no source says how
        # much CPU tools need.
        if self.tools.classes[name].kind == "cpu":
            return ToolCall(name, "cpu", cpu_s=seconds)
        return ToolCall(name, "wait", floor_s=seconds)


def _density_or_tail(z: Floats, sigma: float, end: npt.NDArray[np.int8]) -> Floats:
    density = np.exp(-0.5 * z**2) / (sigma * np.sqrt(2 * np.pi))
    return np.where(end > 0, 1 - phi(z), np.where(end < 0, phi(z), density))
