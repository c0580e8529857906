"""What a run folder says of a run on the wall clock, whoever plays it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from marsbench.core.events import (
    Event,
    Evicted,
    Held,
    HostEvicted,
    Preempted,
    SwappedIn,
    SwappedOut,
    Unheld,
)
from marsbench.runs.provenance import Provenance
from marsbench.runs.request import OwnOptions
from marsbench.wall.server import Server

KEPT_AS = {
    "warm_up": "warm_up_s",
    "cool_down": "cool_down_s",
    "timeout": "timeout_s",
    "max_send_lag": "lag_bound_s",
}
"""What run.json calls some of the options."""

UNSAID = ("wait",)
"""Before the run there was nothing to measure."""

# What no server shows a client from outside.
INSIDE = (Preempted, Held, Unheld, SwappedOut, SwappedIn, HostEvicted)


def option_facts(options: OwnOptions, *places: str) -> dict[str, Any]:
    """The engine's own options without those that are places: they say nothing of what was
    measured, and of KV events only that there were some."""
    places = (*places, *UNSAID)
    kept = {name: value for name, value in asdict(options).items() if name not in places}
    facts = {KEPT_AS.get(name, name): value for name, value in kept.items()}
    return {**facts, "kv_events": facts["kv_events"] is not None}


def server_fields(server: Server, kv_events: str | None, *unseen: type[Event]) -> dict[str, Any]:
    """Fields of `RunConfig`: what decides, the server's blocks, and what is not measured.

    unseen: kinds of events that are hidden from this engine beside what is inside every server.
    """
    hidden = (*unseen, *INSIDE, *(() if kv_events else (Evicted,)))
    return {
        "code": Provenance.here().before(server.version if server.is_vllm else None),
        "block_size": server.block_size,
        "total_blocks": server.num_blocks,
        "unmeasured": tuple(kind.kind for kind in hidden),
    }
