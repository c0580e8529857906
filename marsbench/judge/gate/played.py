"""A gate of two vLLMs: both play a preset, each in a process of its own, and are then judged."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from marsbench.core.proven import verdict
from marsbench.judge.gate.first import first_differences
from marsbench.judge.gate.options import PlayOptions
from marsbench.judge.gate.values import GateError, GateReport
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file
from marsbench.trees.asked import pair_of, typed
from marsbench.trees.tree import Tree

RESULTS = Path("results") / "gate-vllm"


class PlayedPair:
    """Both sides of such a gate: which vLLMs, and the folders of what they played."""

    def __init__(self, options: PlayOptions) -> None:
        """Raises UsageError for what is no vLLM or no preset."""
        assert options.vllm is not None
        assert options.vllm_candidate is not None
        self._options = options
        self._sweep = find_sweep(options.preset)
        read_sweep_file(self._sweep)
        self._trees = pair_of(options.vllm, options.vllm_candidate)
        root = (options.output or RESULTS) / self._sweep.stem
        base, other = (root / _plain(tree) for tree in self._trees)
        self.folders = (base, other)
        if base == other:
            raise GateError(
                f"--vllm and --vllm-candidate are the same vLLM ({self._trees[0].label}), so "
                "nothing could differ; give two that do."
            )

    def play(self) -> None:
        """What is still to be played. Raises GateError where a side does not go to its end."""
        for tree, folder in zip(self._trees, self.folders, strict=True):
            if verdict(tree) is None:
                _marsbench("vllm", "check", typed(tree))  # whatever it finds, both can be played
            jobs = [] if self._options.jobs is None else ["--jobs", str(self._options.jobs)]
            command = ["sweep", str(self._sweep), "-o", str(folder), "--vllm", typed(tree), *jobs]
            if _marsbench(*command):
                raise GateError(
                    f"vLLM {tree.label} did not play all of {self._options.preset} (see above); "
                    "type the same again: what was played is kept."
                )

    def told(self, report: GateReport) -> GateReport:
        """The report as one of two vLLMs, with the first decisions that differ."""
        names = [f"vLLM {tree.label}" for tree in self._trees]
        notes = tuple(self._notes())
        return replace(report, baseline=names[0], candidate=names[1], notes=notes)

    def _notes(self) -> Iterator[str]:
        base, other = self._trees
        if base.sources == other.sources:
            yield "The sources of both schedulers are the same: what changed is elsewhere in vLLM."
        found = list(first_differences(*self.folders))
        yield from found or ("No event differs in any run: both decided the same.",)


def _marsbench(*arguments: str) -> int:
    """The command in a process of its own, since one process imports one vLLM."""
    command = [sys.executable, "-m", "marsbench", *arguments]
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode  # noqa: S603


def _plain(tree: Tree) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", tree.label)
