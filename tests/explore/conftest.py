"""Two small runs of the same sessions: in the second, one waits for admission and one is held."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.core.events import Event, Evicted, Held, KvUsage, ToolEnd, ToolStart, Unheld
from marsbench.runs import Provenance, RunConfig, RunFolder
from metrics.story import a_round, a_session, told

CODE = Provenance(versions={"marsbench": "0.1.0", "vllm": "0.33.0"}, commit="3f2a91c", dirty=False)
HARDWARE = {
    "id": "h200:qwen3-coder-30b:bf16", "model": "qwen3-coder-30b", "gpu": "h200",
    "precision": "bf16", "kv_tokens": 1600,
}  # fmt: skip


def a_call(session: str, begin: float, end: float) -> list[Event]:
    """Its first round's only tool call."""
    return [
        ToolStart(begin, session, 0, 0, "bash", burns_cpu=True),
        ToolEnd(end, session, 0, 0, "bash"),
    ]


def first() -> list[Event]:
    """`a` loses 4 blocks while `b` computes its prompt, and computes them again."""
    return told(
        a_session(
            "a",
            0.0,
            20.0,
            rounds=[
                *a_round("a", 0, ready=0, first=2, end=4, prompt=160, output=16),
                *a_call("a", 4, 10),
                *a_round("a", 1, ready=10, first=16, end=20, prompt=192, cached=96, reusable=160),
            ],
        ),
        a_session("b", 5.0, 12.0, rounds=a_round("b", 0, ready=5, first=9, end=12, prompt=320)),
        [Evicted(6.0, "a", 4)],
        [KvUsage(float(at), 20, 0, 80, 1, 0, 0) for at in range(0, 21, 5)],
    )


def second() -> list[Event]:
    """`a` is held through its pause."""
    held = [Held(4.0, "a", 11, None), Unheld(8.0, "a", "resumed")]
    rounds = [
        *a_round("a", 0, ready=0, first=2, end=4, prompt=160, output=16),
        *a_call("a", 4, 8),
        *a_round("a", 1, ready=8, first=9, end=13, prompt=192, cached=176, reusable=176),
    ]
    return told(a_session("a", 0.0, 13.0, rounds=rounds), a_session("b", 5.0, 18.0), held)


def written(folder: Path, events: list[Event], backend: str) -> Path:
    config = RunConfig(
        backend=backend, workload="w", workload_hash="91c2", seed=7, offered_sessions=2,
        block_size=16, total_blocks=100, hardware=HARDWARE, engine="live", code=CODE,
        settings={"tool_cores": 4},
    )  # fmt: skip
    with RunFolder.create(folder, config) as run:
        for event in events:
            run.emit(event)
        run.save_ideal({"a": 5.0, "b": 5.0})
        run.finish()
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("explore")
    return written(folder / "one", first(), "fcfs"), written(folder / "two", second(), "mars")
