"""`python -m studies.vllm_matrix`: plays each vLLM in its own process, then writes the page."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from studies.pages import written
from studies.vllm_matrix.document import document
from studies.vllm_matrix.play import FACTS

VERSIONS = ("0.28.0", "0.30.0", "0.32.0", "0.33.0")


def main() -> int:
    """Takes up what was played before; downloads the releases that are not at hand."""
    parser = argparse.ArgumentParser(prog="python -m studies.vllm_matrix", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--folder", type=Path, default=Path("results/vllm-matrix"))
    parser.add_argument("--versions", nargs="+", default=list(VERSIONS), metavar="VERSION")
    given = parser.parse_args()
    for version in given.versions:
        folder = given.folder / version
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / FACTS).is_file():
            command = [sys.executable, "-m", "studies.vllm_matrix.play", version, str(folder)]
            subprocess.run(command, check=True)  # noqa: S603
    return written(given.output, lambda: document(given.folder, given.versions))


if __name__ == "__main__":
    sys.exit(main())
