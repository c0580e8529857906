"""What several engines are told beside what each is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marsbench.replicas.registry import RouterChoice


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """How many engines, and who sends rounds to them."""

    num: int
    router: RouterChoice

    def facts(self) -> dict[str, Any]:
        """As JSON, for the run's settings."""
        return {
            "replicas": self.num,
            "router": {"name": self.router.name, "params": self.router.params},
        }
