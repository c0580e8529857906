"""Each task alone: one agent after another on the server, the time that slowdown is against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marsbench.errors import UsageError

FORMAT = 1


def read_alone(path: Path, conditions: Mapping[str, Any]) -> dict[str, float] | None:
    """Seconds alone by task; None where there is no such file.

    Raises UsageError when they were measured under other conditions.
    """
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        then, seconds = record["conditions"], record["seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is no file of times alone ({error!r}); remove it, and they are measured anew."
        ) from error
    for name, now in conditions.items():
        if then.get(name) != now:
            raise UsageError(
                f"The times alone in {path} were measured with {name} {then.get(name)!r}, and this "
                f"run has {now!r}; give another --alone file, and they are measured."
            )
    return {str(task): float(value) for task, value in seconds.items()}


def write_alone(path: Path, conditions: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    """Keeps the times for the next run."""
    record = {"marsbench_alone": FORMAT, "conditions": conditions, "seconds": seconds}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
