"""A sweep of 100 small cells in one process and in two: `python -m benchmarks.sweeps`.

Both start their workers, import vLLM in each, and play every cell anew. Two processes on two cores
cannot be twice as fast where something else uses the cores: the machine's load stands beside.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.9
SWEEP = """
description = "A hundred small cells"
seeds = [{seeds}]
sessions = 30
backends = ["fcfs", "mars"]

[[workloads]]
name = "ilr-1"
loads = [0.4]
"""


def sweep_s(jobs: int, seeds: int = 50) -> float:
    """Wall seconds of two cells a seed."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "hundred.toml"
        file.write_text(SWEEP.format(seeds=", ".join(map(str, range(1, seeds + 1)))))
        words = ("sweep", str(file), "-o", f"{home}/out", "--jobs", str(jobs))
        environment = {**os.environ, "XDG_CACHE_HOME": home, "MARSBENCH_PROGRESS": "off"}
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "marsbench", *words],
            env=environment,
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - start


def report() -> None:
    """One row, in Markdown."""
    load = os.getloadavg()[0]
    one, two = sweep_s(1), sweep_s(2)
    print("| 100 cells | one process, wall s | two | ratio | limit | load at the start |")
    print("|---|--:|--:|--:|--:|--:|")
    print(f"| 30 sessions each | {one:.0f} | {two:.0f} | {one / two:.2f} | {LIMIT} | {load:.1f} |")


if __name__ == "__main__":
    report()
