"""Small random worlds: sessions on so few KV blocks that something is evicted and preempted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.settings import EngineSettings

GROUP_TOKENS = 100
SHARE_OF_GROUPS, SHARE_OF_CUTS, SHARE_OF_CHILDREN = 0.3, 0.25, 0.2


@dataclass(frozen=True, slots=True)
class TinyWorld:
    """Sessions, and the engine that plays them. name: for people."""

    name: str
    sessions: tuple[Session, ...]
    settings: EngineSettings


def world(seed: int) -> TinyWorld:
    """The world of that seed, always the same."""
    draw = np.random.default_rng(seed)
    sessions = tuple(_session(draw, f"s{i}") for i in range(int(draw.integers(2, 10))))
    size = int(draw.choice([16, 64]))
    longest = max(one.peak_tokens for root in sessions for one in root.walk())
    budget = int(draw.choice([64, 100, 256, 8192]))
    settings = EngineSettings(
        max_num_batched_tokens=budget,
        max_num_seqs=int(draw.choice([3, 16, 64])),
        block_size=size,
        reserve_full_prompt=bool(draw.integers(2)),
        kv_blocks=-(-longest // size) + 1 + int(draw.integers(0, 30)),
    )
    return TinyWorld(f"world {seed}", sessions, settings)


def _session(draw: np.random.Generator, name: str, is_root: bool = True) -> Session:
    rounds = [_round(draw, is_first=True)]
    rounds += [_round(draw, is_first=False) for _ in range(int(draw.integers(0, 4)))]
    if is_root and len(rounds) > 1 and draw.random() < SHARE_OF_CHILDREN:
        child = _session(draw, f"{name}c", is_root=False)
        agent = ToolCall("agent", "agent", floor_s=0.1, child=child)
        first = rounds[0]
        rounds[0] = Round(first.append_tokens, first.output_tokens, (*first.tools, agent))
    group = "g" if draw.random() < SHARE_OF_GROUPS else None
    return Session(
        name,
        tuple(rounds),
        arrival_s=_seconds(draw, 2.0) if is_root else 0.0,
        prefix_group=group,
        prefix_tokens=GROUP_TOKENS if group else 0,
    )


def _round(draw: np.random.Generator, is_first: bool) -> Round:
    cut = None
    if not is_first and draw.random() < SHARE_OF_CUTS:
        to = int(draw.integers(0, 150))
        cut = Cut(to, kept_tokens=int(draw.integers(0, to + 1)))
    tools = tuple(_tool(draw) for _ in range(int(draw.integers(0, 3))))
    tokens = int(draw.integers(GROUP_TOKENS if is_first else 1, 400))
    return Round(tokens, int(draw.integers(1, 40)), tools, cut=cut)


def _tool(draw: np.random.Generator) -> ToolCall:
    seconds = _seconds(draw, 0.5)
    if draw.integers(2):
        return ToolCall("fetch", "wait", floor_s=seconds)
    return ToolCall("test", "cpu", cpu_s=seconds, floor_s=seconds, cores=int(draw.integers(1, 5)))


def _seconds(draw: np.random.Generator, most: float) -> float:
    return int(draw.integers(0, int(most * 1000))) / 1000
