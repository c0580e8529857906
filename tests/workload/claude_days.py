"""Days of somebody at work with Claude Code, as the logs that it leaves.

    cd tests && python -m workload.claude_days FOLDER

Lengths and pauses are drawn; they are nobody's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from workload.logs import claude_reply, claude_result, claude_user

DAY_S, HOUR_S = 86_400, 3_600.0


def write_days(folder: Path, num_days: int, per_day: int, seed: int = 1) -> Path:
    """A log a session: `per_day` of them begin within eight hours of each day."""
    dice = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for day in range(num_days):
        for number in range(per_day):
            begin_s = day * DAY_S + dice.uniform(0, 8 * HOUR_S)
            name = f"s{day}-{number}"
            lines = [json.dumps(line) for line in _session(dice, begin_s, name)]
            (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def _session(dice: Random, at_s: float, name: str) -> Iterator[dict[str, Any]]:
    """Rounds on a growing context, most with a tool between them, some with the user."""
    own = {"sessionId": name}
    yield claude_user(at_s, "fix it", **own)
    context, cached = 15_000 + dice.randrange(4_000), 12_000
    for number in range(dice.randrange(12, 45)):
        output = dice.randrange(60, 700)
        at_s += 1.0 + output / 60
        asks_user = dice.random() < 0.08
        tool = f"t{number}"
        uses = [] if asks_user else [(tool, dice.choice(["Bash", "Read", "Edit", "Grep"]))]
        yield claude_reply(
            at_s, f"{name}-{number}", (context, output), uses=uses, text="so", cached=cached, **own
        )
        cached, context = context, context + output + int(dice.lognormvariate(6.8, 1.0))
        at_s += dice.lognormvariate(5.5, 1.3) if asks_user else dice.lognormvariate(1.2, 1.4)
        yield (
            claude_user(at_s, "and that", **own) if asks_user else claude_result(at_s, tool, **own)
        )


if __name__ == "__main__":
    write_days(Path(sys.argv[1]), num_days=10, per_day=6)
