"""A sweep as it is watched from another terminal."""

from __future__ import annotations

import fcntl
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from export.conftest import EVENTS, written
from marsbench.cli.main import app
from marsbench.errors import UsageError
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.show.sweep import EVERY_S, is_running, watch

CELLS = ("c1_mars", "c2_mars", "c3_fcfs")


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return SweepFolder.create(tmp_path / "sweep", "light", "", CELLS)


def play(sweep: SweepFolder, name: str) -> None:
    written(sweep.draft(name), EVENTS, backend=name.partition("_")[2])
    sweep.keep(name, {"backend": name.partition("_")[2]}, "inputs")


def watched(sweep: SweepFolder, sleep: Callable[[float], None]) -> list[str]:
    text = io.StringIO()
    watch(sweep.path, Console(file=text, width=80), sleep)
    return [line.rstrip() for line in text.getvalue().splitlines() if line.strip()]


def test_elsewhere_than_on_a_terminal_each_change_is_a_line(sweep: SweepFolder) -> None:
    steps: list[Callable[[], None]] = [
        lambda: sweep.draft("c1_mars").mkdir(),
        lambda: None,
        lambda: play(sweep, "c1_mars"),
        lambda: sweep.note_failure("c2_mars", "no"),
        lambda: play(sweep, "c3_fcfs"),
    ]
    lock = (sweep.path / ".drafts" / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)

    def sleep(seconds: float) -> None:
        assert seconds == EVERY_S
        steps.pop(0)()
        if not steps:
            lock.close()

    lines = watched(sweep, sleep)
    assert lines[:5] == [
        "light: 0 of 3 cells",
        "light: 0 of 3 cells, 1 being played",
        "light: 1 of 3 cells",
        "light: 1 of 3 cells, 1 failed",
        "light: 2 of 3 cells, 1 failed",
    ]
    assert [line.split()[0] for line in lines[5:]] == ["backend", "─" * len(lines[6].strip()),
                                                       "fcfs", "mars"]  # fmt: skip
    assert lines[-1].split()[1:] == ["1", "50.0", "%"]


def test_a_sweep_that_was_killed_is_not_waited_for(sweep: SweepFolder) -> None:
    play(sweep, "c1_mars")
    sweep.draft("c2_mars").mkdir()  # what the killed process left

    def never(_: float) -> None:
        raise AssertionError("there is nobody to wait for")

    assert watched(sweep, never)[0] == "light: 1 of 3 cells, not running"


def test_a_sweep_runs_while_its_lock_is_held(sweep: SweepFolder) -> None:
    assert not is_running(sweep.path)
    with sweep.locked():
        assert is_running(sweep.path)
    assert not is_running(sweep.path)


def typed(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["show", *map(str, arguments)])
    if isinstance(result.exception, UsageError):
        raise result.exception
    return result


def test_show_prints_a_sweep_as_far_as_it_is(sweep: SweepFolder) -> None:
    play(sweep, "c1_mars")
    sweep.note_failure("c2_mars", "no")
    out = typed(sweep.path).stdout
    assert out.startswith("light: 1 of 3 cells, 1 failed, not running\nfailed: c2_mars\n")
    assert typed(sweep.path, "--watch").stdout.startswith("light: 1 of 3 cells, 1 failed")


def test_show_prints_a_run_with_its_charts_and_json_without(sweep: SweepFolder) -> None:
    play(sweep, "c1_mars")
    run = sweep.path / "c1_mars"
    assert "\ngoodput " in typed(run).stdout.partition("valid")[2]
    assert "▁" not in typed(run, "--json").stdout


def test_what_cannot_be_watched_is_refused(sweep: SweepFolder) -> None:
    play(sweep, "c1_mars")
    with pytest.raises(UsageError, match="is not the folder of a sweep"):
        typed(sweep.path / "c1_mars", "--watch")
    with pytest.raises(UsageError, match="is a sweep; --json is of a run"):
        typed(sweep.path, "--json")
    with pytest.raises(UsageError, match="do not go together"):
        typed(sweep.path, "--watch", "--json")


def test_on_a_terminal_the_last_screen_stays(sweep: SweepFolder) -> None:
    play(sweep, "c1_mars")
    text = io.StringIO()
    watch(sweep.path, Console(file=text, width=80, force_terminal=True), lambda _: None)
    assert "light: 1 of 3 cells, not running" in text.getvalue()
    assert "50.0 %" in text.getvalue()
