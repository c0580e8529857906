"""Progress goes to stderr, and only where a person looks."""

from __future__ import annotations

import io
import threading

import pytest

from marsbench.text.progress import PlainLines, progress_bar, waiting_for


@pytest.fixture(autouse=True)
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user has it; all other tests are without."""
    monkeypatch.delenv("MARSBENCH_PROGRESS")


def shown(capsys: pytest.CaptureFixture[str], show: bool = True) -> tuple[str, str]:
    with waiting_for("starting", show):
        pass
    with progress_bar("fcfs on [x] {y}", 3, show) as done:
        done(1)
        done(3)
    return capsys.readouterr()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "80")


def test_a_terminal_gets_a_bar_on_stderr(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = shown(capsys)
    assert out == ""
    assert "starting" in err
    assert "fcfs on [x] {y}" in err
    assert "3/3" in err


def test_a_file_or_a_pipe_gets_nothing_of_what_is_quick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert shown(capsys) == ("", "")


class Clock:
    """Time passes where somebody waits for it, and work is done meanwhile."""

    def __init__(self, work: list[int]) -> None:
        self.now, self.work = 0.0, work
        self.lines: PlainLines | None = None

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        """Whether all work is done within so many seconds."""
        assert self.lines is not None
        self.now += seconds
        if self.work:
            self.lines.done = self.work.pop(0)
        return not self.work


def said(total: int | None, work: list[int]) -> list[str]:
    out, clock = io.StringIO(), Clock(work)
    clock.lines = PlainLines("fcfs on ilr-1", total, out, clock)
    clock.lines.until_over(clock.wait)
    return out.getvalue().splitlines()


def test_a_file_or_a_pipe_gets_a_line_every_ten_seconds() -> None:
    assert said(1000, [120, 300, 900, 1000]) == [
        "fcfs on ilr-1: 120/1000, 10 s",
        "fcfs on ilr-1: 300/1000, 20 s",
        "fcfs on ilr-1: 900/1000, 30 s",
    ]


def test_of_what_has_no_length_a_line_says_how_long_it_takes() -> None:
    assert said(None, [0, 0, 0]) == ["fcfs on ilr-1: 10 s", "fcfs on ilr-1: 20 s"]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A line at once rather than in ten seconds; set when it is said."""
    heard = threading.Event()
    say = PlainLines.say

    def heard_say(lines: PlainLines) -> None:
        say(lines)
        heard.set()

    monkeypatch.setattr(PlainLines, "say", heard_say)
    monkeypatch.setattr(PlainLines.__init__, "__defaults__", (lambda: 5.0, 0.001))
    return heard


def test_lines_come_while_the_work_does_not_return(
    soon: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting_for("starting vLLM's scheduler"):
        assert soon.wait(180)
    assert capsys.readouterr().err.startswith("starting vLLM's scheduler: 0 s\n")


def test_lines_say_what_the_work_tells(
    soon: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("each session alone", 3) as done:
        done(2)
        soon.clear()
        assert soon.wait(180)
    assert "each session alone: 2/3, 0 s\n" in capsys.readouterr().err


def test_lines_can_be_switched_off(
    soon: threading.Event, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARSBENCH_PROGRESS", "off")
    with waiting_for("starting vLLM's scheduler"), progress_bar("alone", 3):
        assert "progress" not in {thread.name for thread in threading.enumerate()}
    assert capsys.readouterr() == ("", "")


def test_nobody_who_asked_for_none_gets_one(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, show=False) == ("", "")
