"""What cannot be run is refused with one sentence and exit code 2, and nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli.conftest import Marsbench

FCFS = ("run", "--backend", "fcfs")
NOT_A_POLICY = "class Nobody:\n    pass\n"

REFUSED = {
    "an unknown backend": (("run", "--backend", "fcsf"), "Did you mean 'fcfs'?"),
    "a backend of no module": (("run", "--backend", "none_such:X"), "No module named 'none_such'"),
    "a backend that its module lacks": (("run", "--backend", "mine:Nothing"), "'Nothing'"),
    "a backend that is no policy": (("run", "--backend", "mine:Nobody"), "no subclass of Policy"),
    "a backend missing": (("run",), "Missing option '--backend'"),
    "an unknown parameter": ((*FCFS, "--set", "speed=9"), "Unknown parameter of fcfs 'speed'"),
    "a parameter misspelt": (
        ("run", "--backend", "fcfs-cap", "--set", "fcfs-cap.cup=3"),
        "Did you mean 'cap'?",
    ),
    "a parameter of another backend": ((*FCFS, "--set", "mars.cap=1"), "this run's backend is"),
    "a parameter without a value": ((*FCFS, "--set", "cap"), "PARAMETER=VALUE"),
    "a parameter of another type": (
        ("run", "--backend", "fcfs-cap", "--set", "cap=few"),
        "cap must be of type int | None, not 'few'",
    ),
    "a parameter out of range": (
        ("run", "--backend", "fcfs-cap", "--set", "cap=0"),
        "cap must be at least 1, not 0",
    ),
    "an α below 1": ((*FCFS, "--alpha", "0.99"), "--alpha must be 1 or more"),
    "one α of several below 1": ((*FCFS, "--alpha", "3", "--alpha", "0"), "not 0:"),
    "an α that is no number": ((*FCFS, "--alpha", "nan"), "not nan"),
    "an α without end": ((*FCFS, "--alpha", "inf"), "not inf"),
    "a rate of zero": ((*FCFS, "--rate", "0"), "--rate must be above 0, not 0"),
    "a negative rate": ((*FCFS, "--rate", "-0.1"), "--rate must be above 0, not -0.1"),
    "a rate that is no number": ((*FCFS, "--rate", "nan"), "not nan"),
    "a rate without end": ((*FCFS, "--rate", "inf"), "not inf"),
    "a load of zero": ((*FCFS, "--load", "0"), "--load must be above 0, not 0"),
    "a negative load": ((*FCFS, "--load", "-1"), "--load must be above 0, not -1"),
    "a load that is no number": ((*FCFS, "--load", "nan"), "not nan"),
    "a rate and a load": ((*FCFS, "--rate", "1", "--load", "1"), "one follows from the other"),
    "a negative host memory": ((*FCFS, "--host-kv=-1"), "a size in GiB above 0, or off, not -1"),
    "a host memory of words": ((*FCFS, "--host-kv", "much"), "above 0, or off, not 'much'"),
    "an unknown eviction": (
        (*FCFS, "--host-kv", "9", "--host-kv-eviction", "fifo"),
        "must be lru or arc, or the dotted path of a class, not 'fifo'",
    ),
    "an eviction of no class": (
        (*FCFS, "--host-kv", "9", "--host-kv-eviction", "mine.Nobody", "--sessions", "1"),
        "mine.Nobody is no class of vLLM's CachePolicy",
    ),
    "an eviction where the pool is vLLM's own": (
        (*FCFS, "--host-kv", "9", "--host-kv-store", "lazy", "--host-kv-eviction", "arc"),
        "leave one of them out",
    ),
    "an unknown time to store": (
        (*FCFS, "--host-kv", "9", "--host-kv-store", "threshold:0"),
        "must be eager, lazy or threshold:N, not 'threshold:0'",
    ),
    "a store without host memory": ((*FCFS, "--host-kv-store", "lazy"), "which is off"),
    "no sessions": ((*FCFS, "--sessions", "0"), "--sessions must be at least 1, not 0"),
    "half a session": ((*FCFS, "--sessions", "1.5"), "Invalid value for '--sessions'"),
    "a negative seed": ((*FCFS, "--seed", "-1"), "--seed must be at least 0, not -1"),
    "unknown arrivals": ((*FCFS, "--arrivals", "poison"), "Did you mean 'poisson'?"),
    "arrivals without lanes": ((*FCFS, "--arrivals", "closed:0"), "for example closed:4"),
    "an unknown tool mix": ((*FCFS, "--tools", "autonomus"), "Did you mean 'autonomous'?"),
    "negative prefixes": ((*FCFS, "--prefixes", "-1"), "--prefixes must be at least 0"),
    "an unknown recipe": ((*FCFS, "--workload", "ilr1"), "Did you mean 'ilr-1'?"),
    "a missing file": ((*FCFS, "--workload", "no.jsonl"), "no such file"),
    "a missing recipe": ((*FCFS, "--workload", "no.toml"), "no such file"),
    "an empty file": ((*FCFS, "--workload", "empty.jsonl"), "empty.jsonl is empty"),
    "a folder for a workload": ((*FCFS, "--workload", "folder"), "is a directory"),
    "a file that is no workload": ((*FCFS, "--workload", "mine.py"), "mine.py:1 is no JSON ("),
    "no KV blocks": ((*FCFS, "--kv-blocks", "0"), "--kv-blocks must be at least 1, not 0"),
    "more KV blocks than there can be": (
        (*FCFS, "--kv-blocks", "999999999999"),
        "--kv-blocks must be at most 10,000,000",
    ),
    "blocks without tokens": ((*FCFS, "--block-size", "0"), "--block-size must be at least 1"),
    "no step budget": ((*FCFS, "--step-budget", "0"), "--step-budget must be at least 1"),
    "a step budget below its requests": ((*FCFS, "--step-budget", "8"), "lower --max-seqs"),
    "no tool cores": ((*FCFS, "--tool-cores", "0"), "--tool-cores must be at least 1, not 0"),
    "no tool workers": ((*FCFS, "--tool-workers", "0"), "--tool-workers must be at least 1"),
    "memory that is no share": ((*FCFS, "--memory-fraction", "1.1"), "at most 1, not 1.1"),
    "memory that is no number": ((*FCFS, "--memory-fraction", "nan"), "not nan"),
    "steps that take no time": ((*FCFS, "--step-time-scale", "0"), "must be above 0, not 0"),
    "steps that take no number": ((*FCFS, "--step-time-scale", "nan"), "not nan"),
    "an unknown GPU": ((*FCFS, "--gpu", "h20"), "Did you mean 'h200'?"),
    "an unknown model": ((*FCFS, "--model", "qwen3-coder-30"), "Did you mean 'qwen3-coder-30b'?"),
    "an unknown precision": ((*FCFS, "--precision", "fp9"), "Did you mean 'fp8'?"),
    "a missing profile": ((*FCFS, "--hardware", "no.toml"), "no.toml"),
    "a folder for a profile": ((*FCFS, "--hardware", "folder"), "folder"),
    "an unknown engine profile": ((*FCFS, "--engine-profile", "papr"), "Did you mean 'paper'?"),
    "an unknown engine": ((*FCFS, "--engine", "dream"), "'dream' is not one of 'sim'"),
    "an unknown option": ((*FCFS, "--alfa", "3"), "No such option: --alfa"),
    "an unknown verb": (("rnu",), "Did you mean 'run'?"),
    "a run folder that exists": ((*FCFS, "-o", "folder"), "never overwrites one"),
    "a file for a run folder": ((*FCFS, "-o", "empty.jsonl"), "never overwrites one"),
    "an unwritable output": ((*FCFS, "-o", "empty.jsonl/run"), "No run folder can be made at"),
    "an output with a name too long": ((*FCFS, "-o", "x" * 300), "No run folder can be made at"),
    "to show nothing": (("show",), "Missing argument"),
    "to show what is not there": (("show", "no"), "no is not a folder"),
    "to show a folder of no run": (("show", "folder"), "has no run.json and no events.jsonl"),
    "to list an unknown backend": (("backends", "fcsf"), "Did you mean 'fcfs'?"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_one_sentence_and_nothing_is_written(
    what: str, marsbench: Marsbench
) -> None:
    here = Path.cwd()
    (here / "folder").mkdir()
    (here / "empty.jsonl").touch()
    (here / "mine.py").write_text(NOT_A_POLICY)
    before = sorted(here.rglob("*"))
    arguments, complaint = REFUSED[what]
    done = marsbench(*arguments)
    assert done.code == 2
    assert complaint in done.sentence
    after = [path for path in sorted(here.rglob("*")) if "__pycache__" not in path.parts]
    assert after == before


def test_a_context_longer_than_the_kv_cache_says_by_how_much_and_what_to_change(
    marsbench: Marsbench,
) -> None:
    sentence = marsbench(*FCFS, "--kv-blocks", 1000).sentence
    assert "139,975 tokens" in sentence
    assert "16,000 tokens) by 123,975" in sentence
    assert "--kv-blocks 8749 or more" in sentence


def test_an_80_gb_h100_cannot_hold_one_ilr_2_session_in_bf16(marsbench: Marsbench) -> None:
    done = marsbench(*FCFS, "--workload", "ilr-2", "--gpu", "h100")
    assert done.code == 2
    assert "h100:qwen3-coder-30b:bf16 (118,336 tokens) by " in done.sentence
    assert "a larger --gpu, a smaller --precision" in done.sentence


def test_the_cure_that_is_named_is_one(marsbench: Marsbench, monkeypatch) -> None:
    from marsbench.runs import job, simulated

    def played(request: simulated.RunRequest) -> None:
        workload = job.resolve_workload(request)
        job.check_fits(workload, request.hardware, request.settings)
        sys.exit(77)

    monkeypatch.setattr(simulated, "prepare", played)
    small = (*FCFS, "--rate", "1", "--kv-blocks")
    assert marsbench(*small, 8748).code == 2
    assert marsbench(*small, 8749).code == 77


@pytest.mark.parametrize(("knob", "value"), [("tools", "interactive"), ("prefixes", 3)])
def test_a_file_of_sessions_takes_no_knobs_of_recipes(
    knob: str, value: str | int, marsbench: Marsbench
) -> None:
    made = marsbench("workload", "make", "chat", "--rate", 1, "--sessions", 2, "-o", "w.jsonl")
    assert made.code == 0
    done = marsbench(*FCFS, "--workload", "w.jsonl", f"--{knob}", value)
    assert done.code == 2
    assert f"--{knob} is drawn by a recipe" in done.sentence


def test_a_bad_line_of_a_file_is_named(marsbench: Marsbench) -> None:
    marsbench("workload", "make", "chat", "--rate", 1, "--sessions", 2, "-o", "w.jsonl")
    with Path("w.jsonl").open("a") as file:
        file.write('{"id":"x","rounds":[{"append_tokens":-1,"output_tokens":1}]}\n')
    sentence = marsbench(*FCFS, "--workload", "w.jsonl").sentence
    assert "w.jsonl:4: rounds[0].append_tokens" in sentence


def test_a_group_of_verbs_alone_prints_its_help_and_asks_for_one(marsbench: Marsbench) -> None:
    done = marsbench("workload")
    assert done.code == 2
    assert "Usage: marsbench workload" in done.out
    assert done.err.startswith("marsbench: Missing command")


def test_debug_shows_where_an_error_came_from(marsbench: Marsbench) -> None:
    from marsbench.errors import UsageError

    with pytest.raises(UsageError, match="Unknown backend"):
        marsbench("--debug", "run", "--backend", "none")
