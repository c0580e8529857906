"""Rounds that wait for the first time, in one queue a tenant, as they came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Name = tuple[str, int]
"""A round: its session and its number."""


@dataclass(frozen=True, slots=True)
class WaitingRound:
    """place: in the order in which all came. tokens: what it is taken to cost before it starts."""

    session_id: str
    round: int
    place: int
    at: float
    tokens: float

    @property
    def name(self) -> Name:
        return self.session_id, self.round


class TenantQueues:
    """By tenant, those with somebody in them. `last`: the tenant that left one last."""

    def __init__(self) -> None:
        self._queues: dict[str, dict[Name, WaitingRound]] = {}
        self._count = 0
        self.last: str | None = None

    def __len__(self) -> int:
        return len(self._queues)

    def __iter__(self) -> Iterator[tuple[str, list[WaitingRound]]]:
        """Each tenant with its rounds, the first of them first."""
        return ((tenant, list(queue.values())) for tenant, queue in self._queues.items())

    def tenants(self) -> Iterator[str]:
        return iter(self._queues)

    def join(self, tenant: str, name: Name, at: float, tokens: float) -> None:
        self._count += 1
        one = WaitingRound(*name, self._count, at, tokens)
        self._queues.setdefault(tenant, {})[name] = one

    def leave(self, tenant: str, name: Name) -> None:
        """A round begins, or will never; one that does not wait here is none."""
        if self._queues.get(tenant, {}).pop(name, None) is not None:
            self.last = tenant
            if not self._queues[tenant]:
                del self._queues[tenant]

    def forget(self, tenant: str, session_id: str) -> None:
        """The session has ended, whatever of it waits."""
        for _, round_ in [n for n in self._queues.get(tenant, {}) if n[0] == session_id]:
            self.leave(tenant, (session_id, round_))
