"""The options of several engines behind a router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from marsbench.errors import UsageError
from marsbench.option import ENGINE, Option
from marsbench.replicas.router import SET

if TYPE_CHECKING:  # a command's help knows the options, and loads nothing for it
    from marsbench.replicas.changes import ReplicaEvent
    from marsbench.replicas.config import FleetConfig

MOST = 1024
DEFAULT = "round-robin"


@dataclass(frozen=True, kw_only=True)
class ReplicaOptions:
    """How many engines there are, who says which one gets a round, and when one is gone."""

    replicas: Annotated[int, Option("N", "Engines behind a router (1)", ENGINE)] = 1
    router: Annotated[
        str | None,
        Option("NAME", "Its name, or module:Class (round-robin)", ENGINE, completes="router"),
    ] = None
    replica_events: Annotated[
        str | Path | None, Option("FILE", "When replicas leave, drain and join", ENGINE, typed=Path)
    ] = None


def divided(assignments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What `--set` gives the router ("NAME=VALUE"), and what it gives the backend."""
    own = [text.strip().removeprefix(SET) for text in assignments if text.strip().startswith(SET)]
    return own, [text for text in assignments if not text.strip().startswith(SET)]


def fleet_of(
    options: ReplicaOptions, assignments: Sequence[str], engine: str, single: Sequence[str]
) -> FleetConfig | None:
    """None where one engine is to play. Raises UsageError for what cannot be.

    assignments: of the router. single: options that were given and that one engine alone plays.
    """
    num = options.replicas
    if not 1 <= num <= MOST:
        raise UsageError(
            f"--replicas must be from 1 to {MOST:,}, not {num}; for example --replicas 4."
        )
    if options.replica_events is not None and num == 1:
        raise UsageError(
            "--replica-events is of several replicas; give their number, for example --replicas 4."
        )
    if num == 1 and options.router is None and not assignments:
        return None
    from marsbench.replicas.config import FleetConfig
    from marsbench.replicas.registry import choose_router

    router = choose_router(options.router or DEFAULT, assignments)
    fleet = FleetConfig(num, router, _changes(options))
    if num == 1:
        return None
    if engine != "sim":
        raise UsageError(
            f"--replicas {num} is for --engine sim, not --engine {engine}: only simulated engines "
            "stand behind our routers."
        )
    if single:
        raise UsageError(
            f"--replicas {num} cannot be played with {single[0]} yet; leave one of them out."
        )
    return fleet


def _changes(options: ReplicaOptions) -> tuple[ReplicaEvent, ...]:
    from marsbench.replicas.changes import read_changes

    if options.replica_events is None:
        return ()
    return read_changes(Path(options.replica_events), options.replicas)
