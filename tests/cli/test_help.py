"""Every verb explains itself on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from cli.conftest import Marsbench
from marsbench.cli.main import app

SCREEN = 84


def verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from verbs(child, (*path, name))


VERBS = list(verbs(typer.main.get_command(app)))


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_fits_a_screen(verb: tuple[str, ...], marsbench: Marsbench) -> None:
    done = marsbench(*verb, "--help")
    assert done.code == 0
    assert done.err == ""
    lines = done.out.splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    assert f"Usage: {' '.join(('marsbench', *verb))}" in done.out


def test_the_verbs_are_these() -> None:
    found = {verb[0] for verb in VERBS if verb}
    assert found >= {"run", "show", "backends", "workload", "hardware", "calibrate"}


@pytest.mark.parametrize("flag", ["--json", "--check"])
def test_a_flag_shows_no_value_to_give(flag: str, marsbench: Marsbench) -> None:
    (line,) = (row for row in marsbench("run", "--help").out.splitlines() if f" {flag} " in row)
    assert "<bool>" not in line


def test_nothing_typed_prints_the_help(marsbench: Marsbench) -> None:
    done = marsbench()
    assert done.code == 0
    assert done.out == marsbench("--help").out


@pytest.mark.parametrize(("commit", "more"), [(None, ""), ("3f2a91c0000", " (3f2a91c)")])
def test_the_version_is_one_line_with_the_commit_where_there_is_one(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch, commit: str | None, more: str
) -> None:
    from marsbench import __version__
    from marsbench.runs import provenance

    monkeypatch.setattr(provenance, "_own_checkout", lambda _: (commit, False))
    monkeypatch.setattr(provenance, "imported", lambda: None)
    assert marsbench("--version").out == f"marsbench {__version__}{more}\n"


def test_control_c_says_that_what_was_measured_is_kept(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marsbench import engines as run

    def stopped(_request: run.RunRequest) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", stopped)
    done = marsbench("run", "--backend", "fcfs")
    assert done.code == 130
    assert done.sentence == "stopped; a run that had begun keeps its folder."
