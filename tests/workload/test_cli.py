"""`marsbench workload`: what it prints, writes and exits with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from marsbench.cli.workload import app
from marsbench.core.isolated import Isolated
from marsbench.core.session import Session, is_warm
from marsbench.core.workload.files import read_workload
from marsbench.errors import UsageError
from workload.builders import request, trace, write_trace


def run(*arguments: object) -> Result:
    """The command's result; what marsbench raises on purpose goes on, as in the root command."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, UsageError):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "w.jsonl"
    run("make", "ilr-1", "-o", path, "--rate", 0.05)
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_trace(tmp_path, trace(request(0, 130, 20, [1, 2]), request(9, 200, 5, [1, 2, 3])))


def test_make_says_in_one_line_what_was_made(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    result = run("make", "ilr-1", "-o", path, "--rate", 0.05, "--sessions", 30)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert "30 sessions" in result.stdout
    assert "meets all 13 targets of ilr-1" in result.stdout
    assert read_workload(path).hash[:12] in result.stdout


def test_make_passes_its_options_on(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    run("make", "chat", "-o", path, "--sessions", 5, "--arrivals", "closed:2", "--seed", 9,
        "--tools", "interactive", "--prefixes", 3)  # fmt: skip
    workload = read_workload(path)
    assert (len(workload.sessions), workload.lanes) == (5, 2)
    expected = {"seed": 9, "tools": "interactive", "prefixes": 3, "arrivals": "closed:2"}
    assert expected.items() <= workload.meta.items()


def test_make_asks_the_engine_what_a_load_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(sessions: list[Session], *_: object, **__: object) -> Isolated:
        return Isolated({}, 2.0 * len(sessions))

    monkeypatch.setattr("marsbench.core.isolated.isolated", alone)
    run("make", "chat", "-o", tmp_path / "w", "--sessions", 5, "--load", 0.5)
    assert read_workload(tmp_path / "w").meta["rate"] == pytest.approx(0.05)


def test_make_sees_a_place_it_cannot_write_before_it_works(tmp_path: Path) -> None:
    # The load would have every session timed first, which takes longer than the refusal.
    for path in (tmp_path, tmp_path / "no" / "w"):
        with pytest.raises(UsageError, match="Cannot write the workload"):
            run("make", "ilr-1", "-o", path, "--load", 1)
    assert list(tmp_path.iterdir()) == []


def test_show_puts_the_targets_beside_what_was_measured(made: Path) -> None:
    result = run("show", made)
    assert result.exit_code == 0
    assert "first_prompt_tokens" in result.stdout
    assert "target ±5%" in result.stdout
    assert "meets all 13 targets" in result.stdout
    assert "…" not in result.stdout


def test_show_draws_a_sample_of_a_recipe() -> None:
    result = run("show", "chat")
    assert "300 sessions" in result.stdout
    assert "interarrival" not in result.stdout


def test_show_json_is_one_object_and_nothing_else(made: Path) -> None:
    record = json.loads(run("show", made, "--json").stdout)
    assert record["hash"] == read_workload(made).hash
    assert {row["quantity"] for row in record["quantities"]} >= {"rounds", "tool_s", "cpu_s"}
    assert all(row["ok"] for row in record["targets"])


def test_show_knows_what_has_no_recipe(recorded: Path, tmp_path: Path) -> None:
    run("import", "weka", recorded, "-o", tmp_path / "w")
    result = run("show", tmp_path / "w")
    assert result.exit_code == 0
    assert "target" not in result.stdout


def test_show_plots(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.svg"
    run("import", "weka", recorded, "-o", tmp_path / "w")
    assert run("show", tmp_path / "w", "--plot", path).exit_code == 0
    assert path.read_text().startswith("<?xml")


@pytest.mark.parametrize(("name", "complaint"), [("w.gif", "ends in .png"), ("no/w.png", "write")])
def test_a_figure_that_cannot_be_written_is_one_sentence(
    made: Path, tmp_path: Path, name: str, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        run("show", made, "--plot", tmp_path / name)


def test_show_of_nothing_suggests_the_nearest_recipe() -> None:
    with pytest.raises(UsageError, match="Did you mean 'ilr-1'"):
        run("show", "ilr1")


def test_check_exits_with_1_on_a_miss(made: Path) -> None:
    assert run("check", made).exit_code == 0
    result = run("check", made, "--recipe", "ilr-3")
    assert result.exit_code == 1
    assert "misses" in result.stdout
    assert "…" not in result.stdout


def test_check_needs_a_recipe(recorded: Path, tmp_path: Path) -> None:
    run("import", "weka", recorded, "-o", tmp_path / "w")
    with pytest.raises(UsageError, match="give one with --recipe"):
        run("check", tmp_path / "w")


def test_import_writes_the_good_files_and_exits_with_1_when_one_is_bad(
    recorded: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    result = run("import", "weka", bad, recorded, "-o", tmp_path / "w")
    assert result.exit_code == 1
    assert "bad.json: is cut short" in result.stderr
    assert [s.id for s in read_workload(tmp_path / "w").sessions] == ["s1"]


def test_import_of_good_files_exits_with_0(recorded: Path, tmp_path: Path) -> None:
    result = run("import", "weka", recorded, "-o", tmp_path / "w", "--arrivals", "closed:1")
    assert result.exit_code == 0
    assert read_workload(tmp_path / "w").lanes == 1


def test_import_of_nothing_writes_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    with pytest.raises(
        UsageError, match=r"Nothing was imported: .*bad.json: is cut short.*\(and 1 more"
    ):
        run("import", "weka", bad, tmp_path, "-o", tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_help_loads_nothing_that_takes_time() -> None:
    code = "import sys, marsbench.cli.workload; print(sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    for heavy in ("numpy", "pydantic", "scipy", "pandas", "matplotlib"):
        assert f"'{heavy}'" not in loaded.stdout


def test_import_leaves_out_what_grows_too_long_and_says_so(tmp_path: Path) -> None:
    few = trace(request(0, 130, 20, [1, 2])) | {"id": "short"}
    many = trace(request(0, 6400, 20, list(range(100)))) | {"id": "long"}
    short, long = write_trace(tmp_path, few, "short.json"), write_trace(tmp_path, many, "long.json")
    output = tmp_path / "w.jsonl"
    result = run("import", "weka", short, long, "-o", output, "--max-tokens", 1000)
    assert result.exit_code == 0
    assert "left out: long grows to 6,420 tokens" in result.stderr
    assert [s.id for s in read_workload(output).sessions] == ["s1"]
    with pytest.raises(UsageError, match="the shortest to 150; give at least that"):
        run("import", "weka", short, long, "-o", output, "--max-tokens", 100)


def test_a_warm_start_is_in_the_file_and_in_no_target(tmp_path: Path) -> None:
    cold, warm = tmp_path / "cold.jsonl", tmp_path / "warm.jsonl"
    knobs = ("--rate", 0.05, "--sessions", 30)
    without = run("make", "ilr-1", "-o", cold, *knobs)
    result = run("make", "ilr-1", "-o", warm, *knobs, "--warm-start", 1)
    found = read_workload(warm)
    number = found.meta["warm_sessions"]
    assert number > 0
    assert f"30 sessions, {number} in flight at the start" in result.stdout
    assert found.sessions[number:] == read_workload(cold).sessions
    assert [is_warm(one.id) for one in found.sessions] == [True] * number + [False] * 30
    assert result.stdout.rpartition("; ")[2] == without.stdout.rpartition("; ")[2]
