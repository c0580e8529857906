"""A run's command, read out of its run.json and typed again, asks for the same run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.conftest import MAIN, Marsbench
from marsbench import engines as engine
from marsbench.cli.main import app
from marsbench.core.session import Round, Session
from marsbench.core.workload.files import Workload, write_workload
from marsbench.judge.compare.values import RunSource
from marsbench.report.commands import WIDTH, run_command
from marsbench.report.material import Material
from marsbench.runs import RunConfig, RunFolder
from marsbench.runs.job import run_config
from marsbench.runs.request import RunRequest

PROFILE = """
model = "qwen3-coder-30b"
precision = "fp8"

[gpu]
name = "A card"
memory = "96 GiB"
bandwidth = "4 TB/s"
compute.bf16 = "500 TFLOPS"
compute.fp8 = "1 PFLOPS"
host_link = "64 GB/s"
"""
TYPED: dict[str, tuple[str, ...]] = {
    "backend": ("--backend", "mars"),
    "alpha": ("--alpha", "1.5", "--alpha", "2"),
    "set": ("--set", "mars.admission=false", "--set", "mars.tick_s=2.5"),
    "workload": ("--workload", "own sessions.jsonl"),
    "sessions": ("--sessions", "7"),
    "rate": ("--rate", "0.037"),
    "load": ("--load", "0.9"),
    "load_on": ("--load", "1", "--load-on", "this"),
    "arrivals": ("--arrivals", "gamma:2.5"),
    "seed": ("--seed", "9"),
    "tools": ("--tools", "cpu-heavy"),
    "prefixes": ("--prefixes", "3"),
    "tenants": ("--tenants", "greedy:2"),
    "gpu": ("--gpu", "h100"),
    "model": ("--gpu", "h100", "--model", "gpt-oss-120b"),
    "tp": ("--tp", "2"),
    "precision": ("--precision", "fp8"),
    "kv_dtype": ("--kv-dtype", "fp8"),
    "kv_blocks": ("--kv-blocks", "6601"),
    "block_size": ("--block-size", "64"),
    "tool_cores": ("--tool-cores", "3"),
    "engine_profile": ("--engine-profile", "paper"),
    "hardware": ("--hardware", "own.toml"),
    "step_budget": ("--step-budget", "4096"),
    "max_seqs": ("--max-seqs", "31"),
    "reserve_full_prompt": ("--reserve-full-prompt", "off"),
    "memory_fraction": ("--memory-fraction", "0.77"),
    "tool_workers": ("--tool-workers", "5"),
    "step_time_scale": ("--step-time-scale", "1.2"),
    "attention_time_scale": ("--attention-time-scale", "0.8"),
    "check": ("--check",),
    "replicas": ("--replicas", "3"),
    "replica_events": ("--replicas", "2", "--replica-events", "gone.jsonl"),
    "router": ("--replicas", "2", "--router", "least-load"),
    "vllm": ("--vllm", "0.33.0"),
    "scheduler_cls": ("--scheduler-cls", "somebodys:Scheduler"),
    "preset": ("--preset", "steady-200"),
    "warm_start": ("--warm-start", "1.5"),
    "context_paging": ("--context-paging", "8192"),
    "host_kv": ("--host-kv", "3"),
    "host_kv_store": ("--host-kv", "3", "--host-kv-store", "threshold:2"),
    "host_kv_eviction": ("--host-kv", "3", "--host-kv-eviction", "arc"),
    "host_kv_cost": ("--host-kv", "3", "--host-kv-cost", "0.5"),
}
ELSEWHERE = {
    *("context", "output", "as_json", "engine", "url", "served_model", "endpoint", "prompts"),
    *("tools_as", "speed", "warm_up", "cool_down", "timeout", "isolated", "kv_events"),
    *("share", "wait", "max_failed", "max_send_lag", "tasks", "context_tokens", "workers", "help"),
}
"""What says nothing of a simulated run."""

SESSIONS = Workload("own", (Session("a", (Round(100, 10),)), Session("b", (Round(50, 5),), 3.0)))


def options() -> set[str]:
    run: Any = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    return {option.name for option in run.params} - ELSEWHERE


def asked(marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch, *words: str) -> RunRequest:
    """What `marsbench run WORDS` asks of the engine."""
    seen: list[RunRequest] = []

    def taken(request: RunRequest) -> None:
        seen.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run", taken)
    done = marsbench("run", *words)
    assert seen, done.err
    return seen[0]


def source_of(config: RunConfig, path: str = "run") -> RunSource:
    """The run as a report has it; what a command does not need is left empty."""
    fields = ("params", "engine", "workload_hash", "workload_meta", "hardware", "settings")
    kept: dict[str, Any] = {name: getattr(config, name) for name in (*fields, "alphas", "asked")}
    rest: Any = {"place": None, "seed": None, "code": "", "vllm": None, "sessions": 0}
    names = {"path": path, "backend": config.backend, "name": config.backend}
    return RunSource(**kept, **rest, **names, valid=True, reasons=(), cautions=())


def resolved(request: RunRequest) -> tuple[object, ...]:
    choice, hardware = request.choice, request.hardware
    return (
        *(choice.name, choice.params, request.engine, request.workload, request.knobs),
        *(request.scheduler, request.vllm),
        *(hardware.identity, hardware.hash, request.settings, request.alphas),
        *(request.tool_cores, request.tool_workers, request.check, request.fleet),
    )


def words_again(request: RunRequest) -> list[str]:
    config = run_config(
        request, request.choice, SESSIONS, kv_tokens=None, mean_gpu_s=None, settings={}
    )
    read = RunConfig.from_json(config.to_json())
    lines = run_command(source_of(read))
    command = shlex.split("\n".join(lines).replace("\\\n", ""))
    assert command[:2] == ["marsbench", "run"]
    return command[2:]


def test_every_option_of_a_simulated_run_is_tried() -> None:
    assert options() == set(TYPED)


@pytest.mark.parametrize("name", TYPED)
def test_the_command_asks_for_the_same_run(
    name: str, marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own.toml").write_text(PROFILE)
    Path("gone.jsonl").write_text('{"at": 3, "replica": 1, "event": "leaves"}')
    write_workload(SESSIONS, Path("own sessions.jsonl"))
    alone = ("backend", "set", "scheduler_cls")
    backend = () if name in alone else ("--backend", "fcfs")
    mars = ("--backend", "mars") if name == "set" else ()
    first = asked(marsbench, monkeypatch, *backend, *mars, *TYPED[name], "-o", "first")
    again = asked(marsbench, monkeypatch, *words_again(first))
    plain = asked(marsbench, monkeypatch, "--backend", "mars" if mars else "fcfs")
    assert resolved(again) == resolved(first)
    assert resolved(first) != resolved(plain), "the option changes nothing: it proves nothing"


def test_no_line_ends_inside_an_option(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [word for name in ("alpha", "rate", "arrivals", "kv_blocks") for word in TYPED[name]]
    request = asked(marsbench, monkeypatch, "--backend", "fcfs", *every)
    config = run_config(
        request, request.choice, SESSIONS, kv_tokens=None, mean_gpu_s=None, settings={}
    )
    lines = run_command(source_of(config))
    assert len(lines) > 1
    assert all(len(line) <= WIDTH for line in lines)
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert all(line.startswith("  -") for line in lines[1:])


def test_an_absolute_path_names_no_machine(
    marsbench: Marsbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_workload(SESSIONS, Path("mine.jsonl"))
    here = str(Path("mine.jsonl").absolute())
    request = asked(marsbench, monkeypatch, "--backend", "fcfs", "--workload", here)
    assert request.asked == ("--backend", "fcfs", "--workload", "mine.jsonl")


@pytest.mark.vllm
def test_pasted_it_gives_the_same_hashes(tmp_path: Path, xdg_cache: Path) -> None:
    write_workload(SESSIONS, tmp_path / "own sessions.jsonl")
    Path(tmp_path / "own.toml").write_text(PROFILE)
    names = ("alpha", "workload", "kv_blocks", "block_size", "tool_cores", "max_seqs", "hardware")
    words = [word for name in names for word in TYPED[name]]
    words += ["--backend", "fcfs", "--arrivals", "fixed", "--sessions", "3", "--rate", "0.5"]
    words += ["--step-time-scale", "1.3", "-o", "first"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(xdg_cache)}
    play = [sys.executable, "-c", MAIN, "run"]
    subprocess.run([*play, *words], cwd=tmp_path, env=environment, check=True)
    lines = run_command(Material.read([tmp_path / "first"]).comparison.sources[0])
    own = shlex.split("\n".join(lines).replace("\\\n", ""))[2:-1]
    subprocess.run([*play, *own, "again"], cwd=tmp_path, env=environment, check=True)
    first, again = (RunFolder.open(tmp_path / name) for name in ("first", "again"))
    assert first.summary() == again.summary()
    assert (first.path / "run.json").read_bytes() == (again.path / "run.json").read_bytes()
    hashes = [json.loads((run.path / "files.json").read_text()) for run in (first, again)]
    assert hashes[0] == hashes[1]
