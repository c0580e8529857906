"""Worlds by name: how many sessions, how they begin, and what plays them."""

from __future__ import annotations

from dataclasses import dataclass

from marsbench.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Preset:
    """What its options are where they are not given, each under its own name."""

    sessions: int
    warm_start: float
    engine_profile: str
    block_size: int


# As many in flight as Little's law gives of times alone, and no more: what a busy server adds, it
# adds within minutes, and a session too many in a long pause stays for hours (docs/workloads.md).
PRESETS = {
    f"steady-{sessions}": Preset(sessions, warm_start=1.0, engine_profile="paper", block_size=64)
    for sessions in (200, 400)
}


def preset_named(name: str) -> Preset:
    """Raises UsageError for one that there is none of."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]
