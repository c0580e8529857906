"""`python -m studies.reproduce`: the documents that are committed under reports/."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from studies.pages import written
from studies.reproduce.agents import agents
from studies.reproduce.documents import along, story
from studies.reproduce.readings import readings

KINDS: dict[str, Callable[[Sequence[Path]], tuple[str, str]]] = {
    "story": story,
    "along": along,
    "agents": agents,
    "readings": readings,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the document and, beside it, its figures as CSV."""
    given = _options().parse_args(arguments)
    return written(given.output, lambda: KINDS[given.kind](given.folders))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies.reproduce", description=__doc__)
    parser.add_argument(
        "kind",
        choices=KINDS,
        help="the comparison, rankings along a dimension, runs of real agents, or readings",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders of sweeps")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
