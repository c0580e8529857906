"""Verbs of marsbench that serve, as child processes: a gateway, a replay, a recorder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from marsbench.errors import RunFailedError
from marsbench.patience import end_group

STOP_S = 15.0


@contextmanager
def serving_verb(*verb: str) -> Iterator[str]:
    """A verb on a free port: its URL, the first word that it prints. It ends with the block.

    Raises RunFailedError when it does not start.
    """
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "marsbench", *verb, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        if not words:
            raise RunFailedError(f"`marsbench {verb[0]}` did not start; its error stands above.")
        yield words[0]
    finally:
        end_group(process, STOP_S)
        process.stdout.close()
