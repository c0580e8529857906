"""How long it takes to write a large workload for others, and to read it and files like it.

    python -m benchmarks.formats

The sessions are as long as recorded ones of a coding agent: 69 rounds, from about 90k to 300k
tokens, a cut in every ninth round. Each line is one command in a process of its own, start
included.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SESSIONS, ROUNDS = 709, 69
TALKS, TURNS = 20, 1_500


def hashed() -> Iterator[dict[str, Any]]:
    """Plain rows whose hashes are random numbers, as servers write them, and begin alike."""
    rng = random.Random(0)
    trees = [[rng.getrandbits(60) for _ in range(400)] for _ in range(400)]
    for number in range(25_000):
        shared = rng.choice(trees)[: rng.randrange(1, 400)]
        hashes = [*shared, *(rng.getrandbits(60) for _ in range(rng.randrange(1, 200)))]
        yield {
            "timestamp": 1_000 * number,
            "input_length": 512 * len(hashes),
            "output_length": 200,
            "hash_ids": hashes,
        }


class Cost(NamedTuple):
    """Of one command."""

    cpu_s: float
    wall_s: float
    rss_mb: float


def recorded() -> list[Any]:
    """Sessions like recorded ones: most of a cut context is kept, a third share a first prompt."""
    import numpy as np

    from marsbench.core.session import Cut, Round, Session, ToolCall

    rng = np.random.default_rng(0)

    def session(number: int) -> Session:
        first = int(rng.integers(60_000, 120_000))
        step = (int(rng.integers(200_000, 400_000)) - first) // ROUNDS
        rounds, context = [], 0
        for turn in range(ROUNDS):
            cut = None
            if turn and rng.random() < 1 / 9:
                context = int(context * rng.uniform(0.8, 1))
                cut = Cut(context, int(context * rng.uniform(0.7, 1)))
            append, output = step if turn else first, int(rng.integers(50, 550))
            tool = ToolCall("client_gap", floor_s=float(rng.uniform(1, 40)))
            rounds.append(Round(append, output, (tool,), cut))
            context += append + output
        group = f"system-{number % 7}" if number % 3 == 0 else None
        shared = 17_000 if group else 0
        return Session(f"s{number:04}", tuple(rounds), 100.0 * number, "default", group, shared)

    return [session(number) for number in range(SESSIONS)]


def talks() -> Iterator[dict[str, Any]]:
    """Plain rows: conversations turn by turn, each prompt one block longer, no session named."""
    for turn in range(TURNS):
        for talk in range(TALKS):
            start = talk * (TURNS + 200)
            hashes = [*range(20), *range(start + 20, start + 200 + turn)]
            yield {
                "timestamp": 1_000 * (TALKS * turn + talk),
                "input_length": 512 * len(hashes),
                "output_length": 200,
                "hash_ids": hashes,
            }


def command(*arguments: str) -> Cost:
    """`marsbench ARGUMENTS` in a process of its own. Raises RuntimeError when it fails."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "marsbench", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    wall_s = time.perf_counter() - begin
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024)


def others(ours: Path) -> Iterator[str]:
    """The lines of an export as others write them, without the key that is ours."""
    with ours.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            del row["marsbench"]
            yield json.dumps(row) + "\n"


def report() -> None:
    """The whole table, in Markdown."""
    from marsbench.core.workload.files import Workload, write_workload

    print("| command | MB read or written | CPU s | wall s | RSS MB |")
    print("|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        workload, ours = place / "w.jsonl", place / "ours.jsonl"
        write_workload(Workload("recorded", tuple(recorded())), workload)
        _row(f"export {SESSIONS} sessions to mooncake", ours, "export", workload, ours)
        back = place / "back.jsonl"
        _row("import that export", ours, "import", ours, back)
        if back.read_bytes() != workload.read_bytes():
            raise RuntimeError("what came back is not what was exported")
        plain, rows = place / "plain.jsonl", place / "rows.jsonl"
        with plain.open("w", encoding="utf-8") as file:
            file.writelines(others(ours))
        _row("import it as others write it", plain, "import", plain, place / "x.jsonl")
        with rows.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in talks())
        name = f"import {TALKS} conversations of {TURNS:,} turns as plain rows"
        _row(name, rows, "import", rows, place / "y.jsonl")
        with rows.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in hashed())
        _row("import 25,000 plain rows of random hashes", rows, "import", rows, place / "z.jsonl")


def _row(name: str, large: Path, verb: str, source: Path, target: Path) -> None:
    """Run the command, and print its line. `large`: the Mooncake file that it reads or writes."""
    form = ("mooncake", str(source)) if verb == "import" else (str(source), "--to", "mooncake")
    cost = command("workload", verb, *form, "-o", str(target))
    size_mb = large.stat().st_size / 1e6
    print(
        f"| {name} | {size_mb:,.0f} | {cost.cpu_s:.1f} | {cost.wall_s:.1f} | {cost.rss_mb:,.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    report()
