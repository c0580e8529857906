"""What a shell completes: asked as its script asks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cli.conftest import Done, Marsbench
from marsbench.cli.completion import files
from marsbench.core.workload.recipe import recipe_names
from marsbench.replicas.registry import ROUTERS
from marsbench_backends.registry import BACKENDS


def completed(marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch, typed: str) -> list[str]:
    monkeypatch.setenv("_MARSBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"marsbench {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(f"marsbench {typed}".split(" ")) - 1))
    done: Done = marsbench()
    assert done.err == ""
    return done.out.split()


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("run --backend ", BACKENDS),
        ("capacity --backend ", BACKENDS),
        ("serve --backend ", BACKENDS),
        ("backends ", BACKENDS),
        ("run --router ", ROUTERS),
        ("routers ", ROUTERS),
        ("run --workload ", recipe_names()),
        ("workload make ", recipe_names()),
    ],
)
def test_names_are_completed(
    typed: str, names: list[str], marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(completed(marsbench, monkeypatch, typed)) == set(names)


def test_what_was_begun_is_completed(marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = completed(marsbench, monkeypatch, "run --backend inf")
    assert found == ["infercept", "infercept-static"]
    assert completed(marsbench, monkeypatch, "rout") == ["routers"]


def test_a_workload_may_be_a_file(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "w.jsonl").write_text("")
    begun = f"{tmp_path}/ow"
    assert completed(marsbench, monkeypatch, f"run --workload {begun}") == [f"{tmp_path}/own/"]
    assert files(f"{tmp_path}/own/") == [f"{tmp_path}/own/w.jsonl"]
    assert files(f"{tmp_path}/none/x") == []
    monkeypatch.chdir(tmp_path)
    assert files("o") == ["own/"]


def test_the_script_of_a_shell_is_shown_and_asks_this_program(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("zsh", "/bin/zsh"))
    shown = marsbench("--show-completion")
    assert shown.code == 0
    assert "_MARSBENCH_COMPLETE=complete_zsh marsbench" in shown.out


def test_zsh_completes_at_the_first_tab_too(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("zsh", "/bin/zsh"))
    script = marsbench("--show-completion").out
    called = 'if [[ $funcstack[1] == _marsbench ]]; then\n  _marsbench_completion "$@"\nfi'
    assert script.count(called) == 1
    assert marsbench("--show-completion").out == script


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_in_zsh_itself_each_tab_asks_this_program(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("zsh", "/bin/zsh"))
    (tmp_path / "_marsbench").write_text(marsbench("--show-completion").out)
    (tmp_path / "marsbench").write_text("#!/bin/sh\necho print asked for $_TYPER_COMPLETE_ARGS\n")
    (tmp_path / "marsbench").chmod(0o755)
    loaded = "compdef() { print registered; }; fpath=($PWD); PATH=$PWD:$PATH; autoload _marsbench"
    twice = "words=(marsbench ru); CURRENT=2; _marsbench; _marsbench"
    done = subprocess.run(
        ["zsh", "-fc", f"{loaded}; {twice}"], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["registered", "asked for marsbench ru"] * 2
