"""Makes the shipped recordings anew: the player by rules answers real agents, one task a file.

python -m studies.agents.remake [DIR]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from marsbench.core.backends import choose
from marsbench.core.workload.knobs import Knobs
from marsbench.engines import run
from marsbench.errors import MarsbenchError, RunFailedError
from marsbench.hardware.profile import load_hardware
from marsbench.runs.request import RunRequest
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.agents.results import read_results
from studies.agents.children import serving_verb

RECORDINGS = Path(__file__).parents[2] / "marsbench" / "model" / "recordings"


def remake(folder: Path) -> None:
    """Records all shipped tasks. Raises RunFailedError when one of them was not solved."""
    verb = ("replay", "record", "--output", str(folder))
    with serving_verb(*verb) as url, tempfile.TemporaryDirectory() as place:
        path, _ = run(
            RunRequest(
                choice=choose("fcfs"),
                engine="openhands",
                knobs=Knobs(arrivals="closed:2"),
                hardware=load_hardware(),
                output=Path(place) / "run",
                own=OpenHandsOptions(url=url),
            )
        )
        unsolved = [r["task"] for r in read_results(path) or () if not r["check"]["passed"]]
    if unsolved:
        raise RunFailedError(f"The player did not solve {', '.join(unsolved)}; mend its rules.")


if __name__ == "__main__":
    try:
        remake(Path(sys.argv[1]) if sys.argv[1:] else RECORDINGS)
    except MarsbenchError as error:
        sys.exit(f"marsbench: {error}")
