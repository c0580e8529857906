"""Keeps of a sweep what results/reference needs: its plan, figures and sessions, not its events.

python tools/keep_reference.py SWEEP_FOLDER results/reference
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

PLAN = "sweep.json"
KEPT = ("cell.json", "run.json", "ideal.json", "summary.json", "files.json", "sessions.parquet")


def keep(sweep: Path, reference: Path) -> int:
    """Copies the sweep's complete cells over what is there; returns how many there are."""
    cells = json.loads((sweep / PLAN).read_text(encoding="utf-8"))["cells"]
    shutil.rmtree(reference, ignore_errors=True)
    for cell in cells:
        (reference / cell).mkdir(parents=True)
        for name in KEPT:
            shutil.copyfile(sweep / cell / name, reference / cell / name)
    shutil.copyfile(sweep / PLAN, reference / PLAN)
    return len(cells)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    count = keep(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stderr.write(f"{sys.argv[2]}: {count} runs\n")
