"""Two vLLMs in the place of two folders, and runs of different ones beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.builders import seeds, write_sweep
from marsbench.api import compare
from marsbench.cli import main as cli
from marsbench.core.events import Preempted, SessionEnded
from marsbench.judge.gate.first import first_difference
from marsbench.judge.gate.values import GateError
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file
from marsbench.runs.provenance import Provenance
from marsbench.trees.tree import Tree
from tests.trees.tiny import committed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--vllm 0.33.0", "go together"),
        ("--vllm-candidate 0.33.0", "go together"),
        ("base other --vllm 0.33.0 --vllm-candidate 0.32.0", "not both"),
        ("base", "Missing argument"),
        ("--vllm {mine} --vllm-candidate {mine}", "the same vLLM"),
        ("--vllm nothing --vllm-candidate {mine}", "neither a release"),
        ("--vllm 0.33.0 --vllm-candidate {mine} --margin lots", "margin"),
        ("--vllm 0.33.0 --vllm-candidate {mine} --metric nothing", "nothing"),
        ("--vllm 0.33.0 --vllm-candidate {mine} --exact --metric goodput", "--exact"),
        ("--vllm 0.33.0 --vllm-candidate {mine} --rules none.toml", "none.toml"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_no_verdict(
    typed: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    committed(tmp_path / "mine")
    monkeypatch.setattr("sys.argv", ["marsbench", "gate", *typed.format(mine="mine").split()])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == GateError.exit_code
    assert told in capsys.readouterr().err


def test_the_preset_plays_vllms_own_scheduler_on_enough_seeds() -> None:
    file = read_sweep_file(find_sweep("vllm-pr"))
    assert {backend.key for part in file.products for backend in part.backends} == {"vllm"}
    assert len(file.seeds) >= 8


def test_the_first_event_that_differs_is_told_of_both() -> None:
    same = SessionEnded(1.0, "s0", "finished")
    base, other = ([same, Preempted(2.5, victim, 3, 40)] for victim in ("s1", "s2"))
    told = first_difference(base, other)
    assert told is not None
    assert "preempted s1 at 2.500 s" in told
    assert "the candidate: preempted s2 at 2.500 s" in told
    assert first_difference(base, base) is None


def test_runs_of_two_vllms_are_compared_as_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [{"a": 20.0 + n, "b": 40.0} for n in range(6)]
    write_sweep(tmp_path / "pinned", {"fcfs": seeds(*times)})
    other = Tree(root=tmp_path, name="0.32.0", version="0.32.0", sources="5" * 64)
    monkeypatch.setattr("marsbench.runs.provenance.imported", lambda: other)
    monkeypatch.setattr("compare.builders.CODE", Provenance.here())
    write_sweep(tmp_path / "other", {"fcfs": seeds(*times)})
    found = compare([tmp_path / "pinned", tmp_path / "other"])
    assert list(found.backends) == ["fcfs", "fcfs, vLLM 0.32.0"]
    assert any("different vLLMs (0.32.0, the pinned one)" in text for text in found.cautions)
    assert Provenance.here().label.endswith(", vLLM 0.32.0")
    assert Provenance.here().versions["vllm"] == "0.32.0"
