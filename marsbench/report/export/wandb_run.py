"""A run as an offline run of Weights & Biases', which `wandb sync` sends later, if it is wanted.

Written by wandb's own client (0.31), kept offline, in a process of its own whose files all lie in a
folder that is removed: nothing is asked for over a network, and nothing is left elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marsbench.errors import RunFailedError
from marsbench.report.export import wandb_worker
from marsbench.report.export.mlflow import EXPERIMENT, Steps, metrics, note, parameters, run_id
from marsbench.report.export.results import Results

QUIET = {
    "WANDB_MODE": "offline",
    "WANDB_HOST": "marsbench",
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_DISABLE_STATS": "true",
    "WANDB_X_DISABLE_MACHINE_INFO": "true",
    "WANDB_X_DISABLE_META": "true",
    "WANDB_X_SAVE_REQUIREMENTS": "false",
}
"""The client says nothing to anybody, and of the machine, its user and their code nothing."""
PLACES = (
    *("WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"),
    *("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"),
)
"""Where it keeps what."""


def write_wandb(results: Results, folder: Path, python: str = sys.executable) -> Path:
    """Puts an offline run into the folder, in place of an earlier one of the same run.

    python: one that has wandb. Raises OSError, and RunFailedError where the client fails.
    """
    record = record_of(results)
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"offline-run-{record['init']['id']}"
    with tempfile.TemporaryDirectory(
        prefix=".wandb-", dir=folder, ignore_cleanup_errors=True
    ) as place:
        scratch = Path(place).resolve()
        _run(python, record, scratch)
        (made,) = (scratch / "wandb").glob("offline-run-*")
        for name in ("logs", "tmp"):
            shutil.rmtree(made / name, ignore_errors=True)
        shutil.rmtree(final, ignore_errors=True)
        made.rename(final)
    return final


def _run(python: str, record: Mapping[str, Any], scratch: Path) -> None:
    """Returns when the client and its service have ended, for both hold the pipe."""
    # What users set for runs of their own is not for this one.
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(  # noqa: S603
        [python, wandb_worker.__file__],
        input=json.dumps(record),
        env={**own, **QUIET, **dict.fromkeys(PLACES, str(scratch))},
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RunFailedError(f"wandb's client wrote no run: {last}.")


def record_of(results: Results) -> dict[str, Any]:
    """What the client is asked to write: figures with several values are steps of a history."""
    figures = metrics(results)
    return {
        "init": {
            "project": EXPERIMENT,
            "id": run_id(results),
            "name": results.name,
            "notes": note(results),
            "tags": ["valid" if results.facts["valid"] else "not valid"],
            "config": parameters(results),
        },
        "steps": _history({name: of for name, of in figures.items() if len(of) > 1}),
        "summary": {name: of[0][1] for name, of in figures.items() if len(of) == 1},
        "exit_code": 0 if results.facts["valid"] else 1,
    }


def _history(figures: Mapping[str, Steps]) -> list[dict[str, float]]:
    """A row a step, of the figures that have a value there."""
    rows: dict[int, dict[str, float]] = {}
    for name, of in figures.items():
        for step, value in of:
            rows.setdefault(step, {})[name] = value
    return [rows.get(step, {}) for step in range(max(rows, default=-1) + 1)]
