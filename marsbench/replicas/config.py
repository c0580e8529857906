"""What several engines are told beside what each is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marsbench.replicas.changes import ReplicaEvent, facts_of
from marsbench.replicas.registry import RouterChoice


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """How many engines, who sends rounds to them, and who of them leaves or joins when."""

    num: int
    router: RouterChoice
    changes: tuple[ReplicaEvent, ...] = ()

    def facts(self) -> dict[str, Any]:
        """As JSON, for the run's settings."""
        router = {"name": self.router.name, "params": self.router.params}
        facts: dict[str, Any] = {"replicas": self.num, "router": router}
        if self.changes:
            facts["replica_events"] = facts_of(self.changes)
        return facts
