"""A study's page: Markdown, and beside it its rows as CSV."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from marsbench.errors import MarsbenchError, UsageError
from marsbench.judge.sweep.folder import PLAN, Result, SweepFolder
from marsbench.outputs import save_text

Rows = TypeVar("Rows")


def results_of(
    folder: Path, made_by: str, counts: Callable[[Result], bool] = lambda result: True
) -> list[Result]:
    """The complete runs of a sweep that count. Raises UsageError where there is none.

    made_by: the command that plays it.
    """
    there = SweepFolder(folder).results() if (folder / PLAN).is_file() else ()
    found = [result for result in there if counts(result)]
    if not found:
        raise UsageError(
            f"{folder} holds no complete run of a sweep; play it first with {made_by}."
        )
    return found


def pictured(
    document: Callable[[Sequence[Path], str], tuple[Rows, str, str]],
    draw: Callable[[Rows, Path], None],
    suffix: str,
) -> Callable[[Sequence[Path], Path], tuple[str, str]]:
    """A page whose pictures are drawn beside it.

    document: from the folders and the pictures' name to rows, text and rows as CSV. draw: of the
    rows, at that place. suffix: of the page's own name in place of its ending.
    """

    def page(folders: Sequence[Path], output: Path) -> tuple[str, str]:
        place = output.with_suffix(suffix)
        rows, text, table = document(folders, place.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        draw(rows, place)
        return text, table

    return page


def command(
    study: str,
    about: str | None,
    page: Callable[[Sequence[Path], Path], tuple[str, str]],
    arguments: Sequence[str] | None = None,
) -> int:
    """A study's command line: folders of sweeps, and where the page of them goes.

    page: from the folders and the page's place to its text and its rows as CSV.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {study}", description=about)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="of sweeps")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    given = parser.parse_args(arguments)
    return written(given.output, lambda: page(given.folders, given.output))


def written(output: Path, page: Callable[[], tuple[str, str]]) -> int:
    """Writes what `page` makes; returns the exit code of the command."""
    try:
        text, table = page()
    except MarsbenchError as error:
        sys.stderr.write(f"marsbench: {error}\n")
        return error.exit_code
    output.parent.mkdir(parents=True, exist_ok=True)
    save_text(output, text)
    save_text(output.with_suffix(".csv"), table)
    sys.stdout.write(f"{output}\n")
    return 0
