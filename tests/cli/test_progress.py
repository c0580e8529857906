"""Progress goes to stderr, and only where a person looks."""

from __future__ import annotations

import pytest

from marsbench.text.progress import progress_bar, waiting_for


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


def test_a_file_or_a_pipe_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == ("", "")


def test_nobody_who_asked_for_none_gets_one(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, show=False) == ("", "")
