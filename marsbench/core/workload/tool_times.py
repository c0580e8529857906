"""How long the tool calls of a mix take, and of which class each one is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from marsbench.core.session import ToolCall
from marsbench.core.workload.distributions import LogNormals, phi
from marsbench.core.workload.exact import Floats, exp, microseconds
from marsbench.core.workload.recipe import SUBAGENT, ToolCatalog


@dataclass(frozen=True)
class ToolTimeDraws:
    """The tool classes of a mix as one distribution of durations.

    Durations are drawn from the whole mix, so that they can be coupled with what the tool prints,
    and the class afterwards from its odds at that duration. Both come out as the shares say.
    """

    tools: ToolCatalog
    shares: Mapping[str, float]
    clip: tuple[float, float]

    def calls(self, u_time: Floats, u_class: Floats) -> list[ToolCall]:
        """One call per pair of uniform numbers."""
        if not u_time.size:
            return []
        logs = self.mixture.logs(u_time)
        seconds = np.clip(exp(logs), *self.mixture.clip)
        classes = self._classes(logs, seconds, u_class)
        times: list[float] = microseconds(seconds).tolist()
        return [self._call(c, s) for c, s in zip(classes, times, strict=True)]

    @cached_property
    def mixture(self) -> LogNormals:
        """Durations of any call in seconds, sub-agents left out."""
        found = [self.tools.classes[name] for name in self._names]
        weights = [
            self.shares[name] * w
            for name, tool in zip(self._names, found, strict=True)
            for w in tool.w
        ]
        total = math.fsum(weights)
        return LogNormals(
            w=tuple(w / total for w in weights),
            mu=tuple(mu for tool in found for mu in tool.mu),
            sigma=tuple(sigma for tool in found for sigma in tool.sigma),
            clip=self.clip,
        )

    @cached_property
    def _names(self) -> list[str]:
        return [name for name, share in self.shares.items() if share > 0 and name != SUBAGENT]

    @cached_property
    def _owners(self) -> npt.NDArray[np.intp]:
        """For every component of the mixture the number of its class."""
        sizes = [len(self.tools.classes[name].w) for name in self._names]
        return np.repeat(np.arange(len(sizes)), sizes)

    def _classes(self, logs: Floats, seconds: Floats, u: Floats) -> list[str]:
        """Each call's class: a component drawn by its odds at that duration, and its owner."""
        ladder = np.cumsum(self._odds(logs, seconds), axis=0)
        picks = np.argmax(ladder >= u * ladder[-1], axis=0)
        return [self._names[owner] for owner in self._owners[picks].tolist()]

    def _odds(self, logs: Floats, seconds: Floats) -> Floats:
        """Weight x density of every component; where durations were clipped, weight x tail."""
        w, mu, sigma = (
            np.array(part)[:, np.newaxis]
            for part in (self.mixture.w, self.mixture.mu, self.mixture.sigma)
        )
        z = (logs - mu) / sigma
        odds: Floats = w / sigma * exp(-0.5 * z * z)
        late, early = seconds >= self.clip[1], seconds <= self.clip[0]
        odds[:, late] = w * (1 - phi(z[:, late]))
        odds[:, early] = w * phi(z[:, early])
        return odds

    def _call(self, name: str, seconds: float) -> ToolCall:
        # A class that burns CPU is taken to keep its cores busy all the time: no source says how
        # much CPU tools need.
        tool = self.tools.classes[name]
        if tool.kind == "cpu":
            return ToolCall(name, "cpu", cpu_s=seconds * tool.cores, cores=tool.cores)
        return ToolCall(name, "wait", floor_s=seconds)
