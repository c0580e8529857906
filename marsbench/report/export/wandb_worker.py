"""Writes a run through wandb's client, which is all that knows the format of an offline run.

    python wandb_worker.py < record.json

A process of its own, started by `wandb_run.py`: the client starts a service, reads its settings
from the environment, and keeps logs and caches. Imports nothing of marsbench, for the Python that
has wandb need not have that.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def write(record: dict[str, Any]) -> None:
    """Where the environment tells the client to."""
    import wandb  # type: ignore[import-not-found,unused-ignore]

    run = wandb.init(**record["init"])
    for step in record["steps"]:
        run.log(step)
    run.summary.update(record["summary"])
    run.finish(exit_code=record["exit_code"])
    wandb.teardown()


if __name__ == "__main__":
    write(json.load(sys.stdin))
