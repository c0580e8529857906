"""`marsbench advise`: what it refuses, what it answers from three sessions, what it plays again."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cli.conftest import Marsbench
from compare.builders import seeds, write_sweep
from marsbench.advise.advise import Advice, World
from marsbench.advise.gpus import Carried
from marsbench.advise.verdict import FCFS, Verdict, verdict_of
from marsbench.advise.words import MAP_BORDER, summary, sureness
from marsbench.core.session import Round
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import write_workload
from marsbench.hardware.profile import load_hardware
from marsbench.judge.compare import Comparison, compare
from workload.builders import session, workload
from workload.claude_days import write_days
from workload.test_advise import at_work

ROOT = Path(__file__).resolve().parents[2]

REFUSED = {
    "nothing that exists": (("none",), "Nothing was imported: none: no such file"),
    "a folder without recordings": (("empty",), "holds no recording of a known format"),
    "a file of another kind": (("notes.txt",), "which no known format has"),
    "a pattern without files": (("*.none",), "Nothing was imported"),
    "an unknown GPU": (("logs", "--gpu", "h20"), "Did you mean 'h200'?"),
    "an unknown model": (("logs", "--model", "qwen3-coder-30"), "Did you mean 'qwen3-coder-30b'?"),
    "an unknown backend": (("logs", "--backends", "mras"), "Did you mean 'mars'?"),
    "no users": (("logs", "--users", "0"), "greater than or equal to 1"),
    "no seeds": (("logs", "--seeds", "0"), "greater than or equal to 1"),
    "unknown arrivals": (("logs", "--arrivals", "poison"), "'poison' is not one of"),
    "an α below 1": (("logs", "--alpha", "0.5"), "0.5"),
    "no pause": (("logs", "--idle", "0"), "--idle must be above 0, not 0"),
    "somebody else's folder": (("logs", "-o", "full"), "is not the folder of an advice"),
    "nothing at all": ((), "Missing argument"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_one_sentence(what: str, marsbench: Marsbench) -> None:
    here = Path.cwd()
    (here / "empty").mkdir()
    (here / "notes.txt").write_text("nothing of an agent\n")
    (here / "full").mkdir()
    (here / "full" / "mine.txt").touch()
    write_days(here / "logs", 1, 1)
    arguments, complaint = REFUSED[what]
    done = marsbench("advise", *arguments)
    assert (done.code, done.out) == (2, "")
    (*_, last) = done.err.splitlines()
    assert last.startswith("marsbench: ")
    assert complaint in last
    assert not (here / "results").exists()


def compared(folder: Path, **latencies: tuple[float, float]) -> Comparison:
    """Backends that took so long with today's users and with twice as many; alone it is 10 s."""
    for place, name in enumerate(("today", "twice")):
        results = {
            backend.replace("_", "-"): seeds(*({"a": took[place] + seed} for seed in range(6)))
            for backend, took in latencies.items()
        }
        write_sweep(folder / name, results, workload=name, load=None, rate=0.1 * (1 + place))
    return compare([folder / "today", folder / "twice"], baseline=FCFS)


def judged(folder: Path, **latencies: tuple[float, float]) -> Verdict:
    return verdict_of(compared(folder, **latencies))


def test_where_all_are_level_it_stays_with_fcfs(tmp_path: Path) -> None:
    found = judged(tmp_path, fcfs=(10.2, 20.2), mars=(10.1, 20.1), infercept=(10.0, 20.0))
    assert (found.choice, found.holds) == ("fcfs", True)
    assert found.today.level == ("infercept", "mars", "fcfs")


def test_who_is_best_or_level_at_both_loads_is_taken(tmp_path: Path) -> None:
    found = judged(tmp_path, fcfs=(10, 60), infercept=(14, 15), mars=(10.1, 15.2))
    assert (found.choice, found.holds) == ("mars", True)
    latency = found.twice.row("mars").against[found.figures[1]]
    assert (latency.standing, latency.ahead) == ("better", 6)


def test_where_nobody_is_it_depends_on_the_load(tmp_path: Path) -> None:
    found = judged(tmp_path, fcfs=(10, 60), mars=(22, 24))
    assert (found.choice, found.holds) == ("fcfs", False)
    assert found.twice.level == ("mars",)


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, **latencies: tuple[float, float]) -> Advice:
    """The advice for 20 users on one GPU, which carries 30 under mars and 12.5 under fcfs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    found, hardware = compared(folder, **latencies), load_hardware(gpu="h100", precision="fp8")
    able = (Carried("fcfs", 0.1, 0.11, 12.5, 2), Carried("mars", 0.24, None, 30.0, 1))
    world = World(hardware, EngineSettings(), ("mars",))
    traffic = at_work(hardware, users=20)
    return Advice(folder, world, traffic, 6, found, verdict_of(found), able)


def test_a_winner_is_told_with_what_it_is_worth_how_surely_and_on_how_many_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = told(tmp_path, monkeypatch, fcfs=(10, 60), mars=(10.1, 15.2))
    said = summary(advice)
    assert said.startswith(
        "Take mars: with 20 users and with 40 users it is best or level with the best. "
        "With 20 users: goodput(3) 100.0% (0.0 pts (0.0 to 0.0) to fcfs), mean latency 12.6 s"
    )
    assert "With 40 users: goodput(3) 100.0% (+100.0 pts (+100.0 to +100.0) to fcfs)" in said
    assert "at least 30 users under mars (0.24 sessions/s) and 12 users under fcfs (0.1" in said
    assert "20 users need 2 GPUs under fcfs and 1 GPU under mars; the GPUs are independent" in said
    surely = sureness(advice)
    assert "with 40 users, at 95%: goodput(3) better (6 of 6 seeds), mean latency better" in surely
    assert "with 20 users, at 95%: goodput(3) unclear (0 of 6 seeds), mean latency worse" in surely


def test_where_it_depends_on_the_load_both_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = told(tmp_path, monkeypatch, fcfs=(10, 60), mars=(22, 24))
    assert summary(advice).startswith(
        "It depends on the load: with 20 users take fcfs, with 40 users mars; nobody is best"
    )
    assert "mars is better than fcfs in" in sureness(advice)


def test_the_border_is_that_of_the_map() -> None:
    """Of the two: the better in goodput(3), or in latency where that is level."""
    table = pd.read_csv(ROOT / "reports" / "map.csv")
    cells = ["pauses", "load", "kv_tokens", "cores", "sizes", "tool_load"]
    of = {name: table[table["backend"] == name].set_index(cells) for name in ("infercept", "mars")}
    ahead = of["mars"]["goodput_3"] - of["infercept"]["goodput_3"]
    quicker = of["mars"]["regret_times"] < of["infercept"]["regret_times"]
    mars = (ahead > 0.05) | ((ahead.abs() <= 0.05) & quicker)
    heavy = mars.index.get_level_values("tool_load") > MAP_BORDER
    assert (mars == heavy).mean() > 0.75
    assert 5 < heavy.sum() < len(heavy) / 2


SMALL = ("--backends", "fcfs-cap,mars", "--sessions", "3", "--seeds", "1", "--jobs", "1", "-o", "a")


@pytest.mark.vllm
def test_three_sessions_are_too_few_and_answered_and_a_second_call_plays_nothing(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_days(Path("logs"), 1, 3)
    done = marsbench("advise", "logs", *SMALL, "--users", "2")
    assert done.code == 0, done.err
    assert "read as claude-code" in done.err
    assert "fcfs, fcfs-cap and mars meet them at that rate and at twice that, 1 seed" in done.err
    said = " ".join(done.out.split())
    assert said.startswith("Stay with fcfs, vLLM's own: with 2 users and with 4 users it is best")
    assert "3 recorded sessions are too few to stand for anybody's traffic" in said
    assert "1 seed makes nothing of it sure: give --seeds 6 or more." in said
    assert "the GPUs are independent here" in said
    assert "2 users need 1 GPU under fcfs" in said

    def played(*_: object) -> None:
        raise AssertionError("something was played again")

    from marsbench.judge.sweep import probes

    monkeypatch.setattr(probes, "play", played)
    record = json.loads(marsbench("advise", "logs", *SMALL, "--users", "2", "--json").out)
    assert record["choice"] == "fcfs"
    assert record["traffic"]["recorded_sessions"] == 3
    assert record["today"]["backends"]["fcfs"]["goodput_3"]["mean"] == 1.0
    assert record["capacity"][0]["gpus"] == 1
    assert "s0-0" not in json.dumps(record)


@pytest.mark.vllm
def test_a_workload_of_ours_is_taken_as_it_is(marsbench: Marsbench) -> None:
    write_workload(workload(session("a", Round(900, 40), Round(50, 40))), Path("mine.jsonl"))
    only = ("--backends", "fcfs", "--sessions", "2", "--seeds", "1", "--jobs", "1", "--json")
    done = marsbench("advise", "mine.jsonl", *only)
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["traffic"]["days"] is None
    assert "always at work" in record["depends"][0]
    assert record["traffic"]["tp"] == 1


GROUP = ("--gpu", "h100", "--tp", "2", "--gpus", "1")


@pytest.mark.vllm
def test_gpus_that_share_a_model_are_counted_as_groups(marsbench: Marsbench) -> None:
    write_workload(workload(session("a", Round(900, 40), Round(50, 40))), Path("mine.jsonl"))
    only = ("--backends", "fcfs", "--sessions", "2", "--seeds", "1", "--jobs", "1", "--json")
    done = marsbench("advise", "mine.jsonl", *only, *GROUP, "--users", "3")
    assert done.code == 0, done.err
    assert "begin on 1 group of 2 GPUs." in done.err
    assert "what one group of 2 GPUs carries" in done.err
    record = json.loads(done.out)
    assert (record["traffic"]["gpus"], record["traffic"]["tp"]) == (1, 2)
    assert record["hardware"].startswith("h100x2:")
    assert "One group of 2 GPUs carries " in record["summary"]
    assert (
        "3 users need 1 group of 2 GPUs under fcfs; the groups are independent" in record["summary"]
    )
    assert "3 users on 1 group of 2 GPUs ask for " in " ".join(record["depends"])
