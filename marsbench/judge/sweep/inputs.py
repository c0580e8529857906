"""What decides a cell's result: what to play, and one hash of it all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from marsbench.core.backends import Choice, choose
from marsbench.core.code import simulation_hash
from marsbench.core.hardware.profile import Hardware, load_hardware
from marsbench.core.request import RunRequest
from marsbench.core.settings import EngineSettings, engine_settings
from marsbench.core.workload.recipe import load_recipe
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.spec import EngineEntry, HardwareEntry


def request_of(cell: Cell) -> RunRequest:
    """What `marsbench run` would be asked for, but for the variation. Raises UsageError."""
    return RunRequest(
        choice=_choice(cell.backend.name, tuple(cell.backend.assignments())),
        workload=cell.workload_path,
        knobs=cell.knobs,
        hardware=hardware_of(cell.hardware, cell.folder),
        settings=settings_of(cell.engine),
        alphas=cell.alphas,
        tool_cores=cell.engine.tool_cores,
        tool_workers=cell.engine.tool_workers,
        show_progress=False,
    )


# A sweep asks for the same few things thousands of times.
@cache
def _choice(name: str, assignments: tuple[str, ...]) -> Choice:
    return choose(name, assignments)


@cache
def hardware_of(entry: HardwareEntry, folder: Path) -> Hardware:
    """The hardware as it is, without a variation."""
    profile = None if entry.profile is None else folder / entry.profile
    return load_hardware(
        entry.model, entry.gpu, entry.precision, kv_dtype=entry.kv_dtype, profile=profile
    )


@cache
def settings_of(entry: EngineEntry) -> EngineSettings:
    """The profile with the entry's knobs turned."""
    return engine_settings(
        entry.profile,
        max_num_batched_tokens=entry.step_budget,
        max_num_seqs=entry.max_seqs,
        reserve_full_prompt=entry.reserve_full_prompt,
        memory_fraction=entry.memory_fraction,
        kv_blocks=entry.kv_blocks,
        block_size=entry.block_size,
    )


def inputs_hash(cell: Cell) -> str:
    """Of everything that decides the cell's result, the code included. Raises UsageError."""
    request = request_of(cell)
    facts = {
        "backend": request.choice.name,
        "params": request.choice.params,
        "workload": _workload(cell.workload_path),
        "knobs": asdict(request.knobs),
        "hardware": request.hardware.hash,
        "settings": asdict(request.settings),
        "tools": [request.tool_cores, request.tool_workers],
        "alphas": request.alphas,
        "variation": cell.variation.model_dump(exclude={"label"}),
        "code": simulation_hash(request.choice.backend.policy, request.choice.backend.admission),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _workload(path: str) -> str:
    """The recipe with all that it takes from elsewhere, or the bytes of a file of sessions."""
    file = Path(path)
    if file.suffix and file.suffix != ".toml":
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
    return load_recipe(path).model_dump_json()
