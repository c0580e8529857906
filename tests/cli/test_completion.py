"""What a shell completes: asked as its script asks."""

from __future__ import annotations

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
