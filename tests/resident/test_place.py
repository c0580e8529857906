"""Which commands are for the resident process, and where it listens."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from marsbench.__main__ import main
from marsbench.core.code import CodeFiles
from marsbench.resident import place
from marsbench.resident.place import is_wanted, socket_path


@pytest.mark.parametrize(
    ("typed", "environment", "wanted"),
    [
        ("run --backend mars", {}, True),
        ("run --backend mars --engine sim", {}, True),
        ("capacity --backend mars", {}, True),
        ("run --backend mars --no-resident", {}, False),
        ("run --help", {}, False),
        ("run --backend mars --engine live", {}, False),
        ("run --backend mars --engine=openhands", {}, False),
        ("compare a b", {}, False),
        ("", {}, False),
        ("run --backend mars", {"MARSBENCH_RESIDENT": "off"}, False),
        ("run --backend mars", {"CI": "true"}, False),
        ("run --backend mars", {"CI": "true", "MARSBENCH_RESIDENT": "on"}, True),
    ],
)
def test_what_plays_in_virtual_time_is_for_it_unless_somebody_said_no(
    typed: str, environment: dict[str, str], wanted: bool
) -> None:
    assert is_wanted(typed.split(), environment) is wanted


def test_where_vllm_is_not_installed_no_process_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "has_vllm", lambda: False)
    assert not is_wanted(["run", "--backend", "mars"], {})


def test_the_socket_lies_in_a_folder_of_the_users_own(tmp_path: Path) -> None:
    path = socket_path({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert path.parent.parent == tmp_path
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"marsbench-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(PermissionError):
        socket_path({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_what_an_import_reads_has_a_socket_of_its_own(tmp_path: Path) -> None:
    here = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert socket_path(here) == socket_path({**here, "EDITOR": "vi"})
    assert socket_path(here) != socket_path({**here, "VLLM_LOGGING_LEVEL": "DEBUG"})


def test_other_code_has_a_socket_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1")
    monkeypatch.setattr(place, "ROOT", tmp_path)
    monkeypatch.setattr(place, "CODE", CodeFiles(("a.py",)))
    here = {"XDG_RUNTIME_DIR": str(tmp_path)}
    before = socket_path(here)
    file.write_text("x = 10")
    assert socket_path(here) != before


def test_the_word_that_switches_it_off_is_no_commands_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["marsbench", "run", "--backend", "nosuch", "--no-resident"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "Unknown backend 'nosuch'" in capsys.readouterr().err
