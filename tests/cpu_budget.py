"""What the tests cost, in CPU seconds by folder, beside what they may: printed, never failed on.

A clock would judge the machine's other work; CPU seconds hardly see it. `cpu_budget.toml` says
what each folder may cost, and `house/test_cpu_budget.py` that all together fit into `.ci/run`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FILE = TESTS / "cpu_budget.toml"
ROOT = "."
"""Stands for the files that are in no folder."""


def budgets() -> dict[str, int]:
    """CPU seconds that each folder of tests may cost."""
    found: dict[str, int] = tomllib.loads(FILE.read_text(encoding="utf-8"))["cpu_s"]
    return found


def folder_of(path: Path) -> str:
    """The folder of tests that a file belongs to."""
    parts = path.relative_to(TESTS).parts
    return parts[0] if len(parts) > 1 else ROOT


class Spent:
    """CPU seconds of this process, and of its children that have ended, by folder."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}

    @contextmanager
    def by(self, path: Path) -> Iterator[None]:
        """What is spent while the block runs, is spent by the test in this file."""
        before = sum(os.times()[:4])
        try:
            yield
        finally:
            self.add({folder_of(path): sum(os.times()[:4]) - before})

    def add(self, more: Mapping[str, float]) -> None:
        """What another process has spent."""
        for folder, seconds in more.items():
            self.cpu_s[folder] = self.cpu_s.get(folder, 0.0) + seconds

    def lines(self) -> list[str]:
        """A table, the dearest folder first."""
        allowed = budgets()
        ranked = sorted(self.cpu_s.items(), key=lambda row: (-row[1], row[0]))
        rows = [_row(folder, seconds, allowed.get(folder, 0)) for folder, seconds in ranked]
        return [*rows, f"{'all':12}{sum(self.cpu_s.values()):8.0f}{sum(allowed.values()):8}"]


def _row(folder: str, seconds: float, allowed: int) -> str:
    over = "  over its budget in tests/cpu_budget.toml" if seconds > allowed else ""
    return f"{folder:12}{seconds:8.0f}{allowed:8}{over}"
