"""`marsbench run`: what it prints, what it leaves behind, and that it can be repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cli.conftest import SMALL, Done, Marsbench, Played
from marsbench.runs.event_file import events_hash

pytestmark = pytest.mark.vllm

FILES = {
    "run.json", "events.jsonl.zst", "ideal.json", "rounds.parquet", "sessions.parquet",
    "evictions.parquet", "usage.parquet", "decisions.json", "summary.json", "files.json",
    "wall.json",
}  # fmt: skip
DISTRIBUTION = {"n", "mean", "p50", "p90", "p95", "p99", "max"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but the one that says when and where it ran."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "wall.json"}


def ran(done: Done) -> Done:
    assert done.code == 0, done.err
    return done


def test_json_is_one_object_on_stdout_and_nothing_else(played: Played) -> None:
    assert played.done.code == 0, played.done.err
    assert played.done.out.count("\n") == 1
    assert json.loads(played.done.out) == json.loads((played.folder / "summary.json").read_text())


def test_without_a_terminal_there_is_no_bar_only_where_the_run_lies(played: Played) -> None:
    assert played.done.err == "run folder: run\n"


def test_the_json_has_what_the_contract_names(played: Played) -> None:
    found = json.loads(played.done.out)
    assert (found["backend"], found["workload"], found["seed"]) == ("fcfs", "chat", 5)
    assert len(found["workload_hash"]) == 64
    counts = found["sessions"]
    assert (counts["arrived"], counts["finished"], counts["failed"]) == (4, 4, 0)
    for name in ("latency", "slowdown"):
        assert found[name].keys() >= DISTRIBUTION
    for since in ("ready", "submit"):
        assert found["ttft"][since].keys() == {"all", "first", "continuation"}
        assert found["ttft"][since]["first"]["n"] == 4
    assert found["throughput"]["output_tokens_per_s"] > 0
    assert found["evictions"]["blocks"] == found["preemptions"] == 0
    assert 0 < found["prefix_hit_rate"]["continuation"] <= 1
    assert found["valid"] is True
    assert found["reasons"] == []


def test_goodput_is_keyed_by_every_alpha_that_was_asked_for(played: Played) -> None:
    goodput = json.loads(played.done.out)["goodput"]
    assert list(goodput) == ["1", "1.5", "3"]
    assert goodput["3"]["share"] == 1.0
    assert goodput["3"]["rate"] > 0
    assert goodput["1"]["share"] <= goodput["1.5"]["share"] <= goodput["3"]["share"]


def test_the_folder_is_complete_by_itself(played: Played) -> None:
    assert {path.name for path in played.folder.iterdir()} == FILES
    config = json.loads((played.folder / "run.json").read_text())
    assert config["code"]["versions"]["vllm"] == "0.33.0"
    assert config["alphas"] == [1.0, 1.5, 3.0]
    assert config["hardware"]["id"] == "h200:qwen3-coder-30b:bf16"
    assert config["settings"]["tool_cores"] == 8
    sessions = pd.read_parquet(played.folder / "sessions.parquet")
    rounds = pd.read_parquet(played.folder / "rounds.parquet")
    assert len(sessions) == 4
    assert set(rounds["session"]) == set(sessions["session"])


def test_show_prints_the_run_again(played: Played, marsbench: Marsbench) -> None:
    assert marsbench("show", played.folder, "--json").out == played.done.out
    shown = ran(marsbench("show", played.folder)).out
    assert shown.startswith("fcfs on chat, seed 5 (sim)\n")
    for words in ("h200:qwen3-coder-30b:bf16", "goodput(1.5)", "session latency", "valid"):
        assert words in shown


def test_the_same_seed_gives_the_same_bytes_in_another_process(
    played: Played, marsbench: Marsbench
) -> None:
    again = ran(marsbench(*played.arguments, "-o", "again", "--json"))
    assert again.out == played.done.out
    assert contents(Path("again")) == contents(played.folder)


def test_another_seed_gives_another_run(played: Played, marsbench: Marsbench) -> None:
    ran(marsbench(*played.arguments, "--seed", 6, "-o", "other"))
    other, first = contents(Path("other")), contents(played.folder)
    assert other["events.jsonl.zst"] != first["events.jsonl.zst"]
    hashes = [json.loads(run["summary.json"])["workload_hash"] for run in (other, first)]
    assert hashes[0] != hashes[1]


def test_one_gpu_that_is_asked_for_gives_the_same_run(played: Played, marsbench: Marsbench) -> None:
    ran(marsbench(*played.arguments, "--tp", 1, "-o", "one"))
    assert events_hash(Path("one")) == events_hash(played.folder)


def test_a_run_on_several_gpus_says_so_and_how_long_its_steps_are(marsbench: Marsbench) -> None:
    """A token of Llama-3.3-70B in bf16 reads 35 GB on each of four H100, which takes 10 ms."""
    on = ("--gpu", "h100", "--model", "llama-3.3-70b", "--tp", 4)
    done = ran(marsbench("run", "--backend", "fcfs", *SMALL, *on, "-o", "four", "--json"))
    hardware = json.loads(Path("four/run.json").read_text())["hardware"]
    assert (hardware["id"], hardware["gpu"]) == ("h100x4:llama-3.3-70b:bf16", "h100")
    assert (hardware["tensor_parallel"], hardware["kv_tokens"]) == (4, 450_576)
    assert 0.0104 < json.loads(done.out)["tpot"]["p50"] < 0.020


def test_checking_every_step_changes_nothing(played: Played, marsbench: Marsbench) -> None:
    ran(marsbench(*played.arguments, "--check", "-o", "checked"))
    assert events_hash(Path("checked")) == events_hash(played.folder)


def test_a_workload_made_first_plays_like_its_recipe(played: Played, marsbench: Marsbench) -> None:
    _, _, *knobs = SMALL
    ran(marsbench("workload", "make", "chat", *knobs, "--seed", 5, "-o", "w.jsonl"))
    ran(marsbench("run", "--backend", "fcfs", "--workload", "w.jsonl", "-o", "run", "--alpha", 2))
    file, recipe = contents(Path("run")), contents(played.folder)
    assert file["events.jsonl.zst"] == recipe["events.jsonl.zst"]
    assert file["ideal.json"] == recipe["ideal.json"]
    summaries = [json.loads(run["summary.json"]) for run in (file, recipe)]
    assert summaries[0]["workload_hash"] == summaries[1]["workload_hash"]
    assert summaries[0]["seed"] == 5


def test_a_load_is_a_rate_of_the_reference_so_that_other_hardware_meets_the_same_traffic(
    marsbench: Marsbench,
) -> None:
    chat = ("run", "--backend", "fcfs", "--workload", "chat", "--sessions", 4, "--load", 0.5)
    knobs = {
        "default": (),
        "gpu": ("--gpu", "h100"),
        "block": ("--block-size", 64),
        "slower": ("--step-time-scale", 1.2),
        "attention": ("--attention-time-scale", 1.2),
    }
    runs = {}
    for name, turned in knobs.items():
        ran(marsbench(*chat, *turned, "-o", name))
        runs[name] = json.loads(Path(name, "run.json").read_text())
    assert len({run["workload_hash"] for run in runs.values()}) == 1
    assert len({run["hardware"]["hash"] for run in runs.values()}) == 4
    seconds = runs["default"]["hardware"]["mean_gpu_s"]
    assert runs["default"]["workload_meta"]["rate"] * seconds == pytest.approx(0.5)


def test_a_load_may_be_of_the_hardware_that_plays_it(marsbench: Marsbench) -> None:
    chat = ("run", "--backend", "fcfs", "--workload", "chat", "--sessions", 4, "--load", 0.5)
    ran(marsbench(*chat, "--gpu", "h100", "--load-on", "this", "-o", "own"))
    config = json.loads(Path("own", "run.json").read_text())
    own = config["workload_meta"]["rate"] * config["hardware"]["mean_gpu_s"]
    assert own == pytest.approx(0.5)


def test_a_file_of_sessions_is_scaled(marsbench: Marsbench) -> None:
    ran(marsbench("workload", "make", "chat", "--sessions", 3, "-o", "w.jsonl"))
    twice = ("--workload", "w.jsonl", "--sessions", 6, "--load", 2, "--seed", 4)
    ran(marsbench("run", "--backend", "fcfs", *twice, "-o", "run"))
    config = json.loads(Path("run", "run.json").read_text())
    assert config["offered_sessions"] == 6
    assert (config["seed"], config["workload_meta"]["load"]) == (4, 2)


def test_a_run_without_a_name_gets_one_under_results(marsbench: Marsbench) -> None:
    for end in ("chat_fcfs", "chat_fcfs-2"):
        done = ran(marsbench("run", "--backend", "fcfs", *SMALL))
        assert done.out.startswith("fcfs on chat, tools human, seed 1 (sim)\n")
        assert done.err.startswith("run folder: results/")
        assert done.err.rstrip().endswith(end)
    assert len(list(Path("results").iterdir())) == 2


def test_a_lone_session_has_a_slowdown_of_exactly_one(marsbench: Marsbench) -> None:
    alone = ("--workload", "ilr-1", "--sessions", 1, "--rate", 1, "--alpha", 1)
    found = json.loads(ran(marsbench("run", "--backend", "fcfs", *alone, "--json")).out)
    assert found["slowdown"]["max"] == 1.0
    assert found["goodput"]["1"]["share"] == 1.0


def test_a_killed_run_is_readable_and_not_valid(killed: Path, marsbench: Marsbench) -> None:
    found = json.loads(ran(marsbench("show", killed, "--json")).out)
    assert found["valid"] is False
    assert "the run did not go to its end (killed, or still running)" in found["reasons"][0]
    assert found["sessions"]["arrived"] > 0
    assert "not valid: the run did not go to its end" in marsbench("show", killed).out


def test_a_policy_that_misbehaves_ends_its_run_and_the_folder_says_why(
    marsbench: Marsbench,
) -> None:
    Path("forgetful.py").write_text(
        "from marsbench_backends.policy import Policy, Release\n"
        "class Forgetful(Policy):\n"
        "    def retain(self, paused, view):\n"
        "        Release()\n"
    )
    done = marsbench("run", "--backend", "forgetful:Forgetful", *SMALL, "-o", "stopped")
    assert done.code == 3
    assert done.sentence.startswith("forgetful:Forgetful: retain answered None for ")
    (first, *_) = json.loads(ran(marsbench("show", "stopped", "--json")).out)["reasons"]
    assert "forgetful:Forgetful: retain answered None for session 'chat-0000'" in first


@pytest.mark.parametrize("verb", ["run", "gateway", "backends"])
def test_a_policy_that_would_not_be_asked_is_refused_when_it_is_loaded(
    marsbench: Marsbench, verb: str
) -> None:
    Path("misspelt.py").write_text(
        "from marsbench_backends.policy import Policy\n"
        "class Misspelt(Policy):\n"
        "    def waitng_key(self, req, view):\n"
        "        return (req.position,)\n"
    )
    name = "misspelt:Misspelt"
    named = (name,) if verb == "backends" else ("--backend", name)
    upstream = ("--upstream", "http://127.0.0.1:1") if verb == "gateway" else ()
    done = marsbench(verb, *named, *upstream)
    assert done.code == 2
    assert done.err == (
        "marsbench: Backend 'misspelt:Misspelt': Misspelt has waitng_key, which is no decision of "
        "a policy: did you mean waiting_key? Helpers begin with an underscore.\n"
    )


def test_a_run_that_cannot_go_on_exits_with_3_and_keeps_its_folder(marsbench: Marsbench) -> None:
    Path("closed.py").write_text(
        "from marsbench_backends.admission import Admission\n"
        "from marsbench_backends.policy import Policy\n"
        "class Nobody(Admission):\n"
        "    def admit(self, waiting, state):\n"
        "        return ()\n"
        "class Closed(Policy):\n"
        "    controller = Nobody\n"
    )
    done = marsbench("run", "--backend", "closed:Closed", *SMALL, "-o", "stuck")
    assert done.code == 3
    assert done.err == ("marsbench: Sessions wait for admission and nothing is left to happen.\n")
    found = json.loads(ran(marsbench("show", "stuck", "--json")).out)
    assert found["valid"] is False
    assert found["sessions"]["unfinished"] == 4


def test_sessions_in_flight_at_the_start_are_played_and_not_measured(marsbench: Marsbench) -> None:
    knobs = ("--workload", "chat", "--sessions", "4", "--rate", "0.05", "--json", "-o", "warm")
    done = ran(marsbench("run", "--backend", "fcfs", *knobs, "--warm-start", "1.5"))
    found, config = json.loads(done.out), json.loads(Path("warm/run.json").read_text())
    number = config["workload_meta"]["warm_sessions"]
    assert number > 0
    assert (config["offered_sessions"], found["sessions"]["arrived"]) == (4, 4)
    assert found["valid"] is True
    sessions = pd.read_parquet("warm/sessions.parquet")
    is_warm = sessions["session"].str.contains(r"~warm\d+$")
    assert is_warm.sum() == number
    assert (sessions["outcome"] == "finished").all()
    assert sorted(json.loads(Path("warm/ideal.json").read_text())) == sorted(
        sessions["session"][~is_warm]
    )
    assert found["latency"]["mean"] == pytest.approx(sessions["completion_s"][~is_warm].mean())
