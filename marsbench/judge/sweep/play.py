"""One cell of a sweep: what decides its result, and the way to its complete run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from marsbench.core.backends import Choice, choose
from marsbench.core.code import simulation_hash
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.recipe import load_recipe
from marsbench.core.workload.scaling import with_tool_time
from marsbench.engine_options import EngineOptions
from marsbench.extras import look_here_too
from marsbench.hardware.catalog import is_config, load_models
from marsbench.hardware.profile import Hardware, load_hardware
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.spec import BackendEntry, EngineEntry, HardwareEntry, Variation
from marsbench.replicas.config import FleetConfig
from marsbench.replicas.options import ReplicaOptions, fleet_of
from marsbench.runs.request import RunRequest
from marsbench.runs.scheduler import is_unproven, scheduler_choice
from marsbench.runs.simulated import Job, prepare, prepare_with, run_job


def request_of(cell: Cell) -> RunRequest:
    """What `marsbench run` would be asked for, but for the variation. Raises UsageError."""
    return RunRequest(
        choice=_choice(cell.backend),
        scheduler=cell.backend.scheduler_cls,
        workload=cell.workload_path,
        knobs=cell.knobs,
        hardware=hardware_of(cell.hardware, cell.folder),
        settings=settings_of(cell.engine),
        fleet=_fleet(cell),
        alphas=cell.alphas,
        tool_cores=cell.engine.tool_cores,
        tool_workers=cell.engine.tool_workers,
        show_progress=False,
    )


# A sweep asks for the same few things thousands of times.
def _choice(entry: BackendEntry) -> Choice:
    if entry.scheduler_cls is not None:
        return scheduler_choice(entry.scheduler_cls, entry.assignments())
    return _chosen(entry.name, tuple(entry.assignments()))


def _fleet(cell: Cell) -> FleetConfig | None:
    if cell.router is None:
        return None
    single = {"host_kv": cell.engine.host_kv, "scheduler_cls": cell.backend.scheduler_cls}
    return fleet_of(
        ReplicaOptions(replicas=cell.replicas, router=cell.router.name),
        cell.router.assignments(),
        "sim",
        [name for name, value in single.items() if value is not None],
    )


@cache
def _chosen(name: str, assignments: tuple[str, ...]) -> Choice:
    return choose(name, assignments)


@cache
def hardware_of(entry: HardwareEntry, folder: Path) -> Hardware:
    """The hardware as it is, without a variation."""
    profile = None if entry.profile is None else folder / entry.profile
    model = entry.model
    if model is not None and is_config(str(folder / model)) and model not in load_models():
        model = str(folder / model)
    return load_hardware(
        model, entry.gpu, entry.precision, kv_dtype=entry.kv_dtype, tp=entry.tp, profile=profile
    )


@cache
def settings_of(entry: EngineEntry) -> EngineSettings:
    """The profile with the entry's knobs turned."""
    reserve = entry.reserve_full_prompt
    return EngineOptions(
        engine_profile=entry.profile,
        step_budget=entry.step_budget,
        max_seqs=entry.max_seqs,
        reserve_full_prompt=None if reserve is None else "on" if reserve else "off",
        memory_fraction=entry.memory_fraction,
        kv_blocks=entry.kv_blocks,
        block_size=entry.block_size,
        host_kv=None if entry.host_kv is None else str(entry.host_kv),
        host_kv_store=entry.host_kv_store,
        host_kv_eviction=entry.host_kv_eviction,
        host_kv_cost=entry.host_kv_cost,
    ).settings


def inputs_hash(cell: Cell) -> str:
    """Of everything that decides the cell's result, the code included. Raises UsageError."""
    request = request_of(cell)
    facts: dict[str, object] = {
        "backend": request.choice.name,
        "params": request.choice.params,
        "workload": _workload(cell.workload_path),
        "knobs": asdict(request.knobs),
        "hardware": request.hardware.hash,
        "settings": request.settings.facts(),
        "tools": [request.tool_cores, request.tool_workers],
        "alphas": request.alphas,
        "variation": cell.variation.model_dump(exclude={"label"}),
        "code": simulation_hash(request.choice.backend.policy, request.choice.backend.admission),
    }
    if request.settings.host_kv is not None:
        facts["memory_bytes_per_s"] = request.hardware.memory_bytes_per_s  # what copies take of it
    if is_unproven(request):
        plugins = map(str, request.choice.params.values())
        own = [name for name in (str(request.scheduler), *plugins) if ":" in name]
        facts["scheduler"] = [_source_of(name) for name in own]
    if request.fleet is not None:
        router = request.fleet.router.router
        facts["fleet"] = [request.fleet.facts(), simulation_hash(router)]
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _source_of(name: str) -> str:
    """The bytes of the file that a user's class is written in, which is found, not imported."""
    module = name.partition(":")[0]
    look_here_too()
    spec = find_spec(module)
    file = None if spec is None or spec.origin is None else Path(spec.origin)
    return "missing" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def _workload(path: str) -> str:
    """The recipe with all that it takes from elsewhere, or the bytes of a file of sessions."""
    file = Path(path)
    if file.suffix and file.suffix != ".toml":
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
    return load_recipe(path).model_dump_json()


@dataclass(frozen=True, slots=True)
class Order:
    """A cell to be played into the folder of a sweep; `inputs` is the hash of what decides it."""

    root: Path
    cell: Cell
    inputs: str


def orders_left(
    folder: SweepFolder, hashes: Mapping[str, str], cells: Sequence[Cell]
) -> list[Order]:
    """The cells that are still to be played. hashes: of what decides each, by its name."""
    left = (cell for cell in cells if not folder.is_complete(cell.name, hashes[cell.name]))
    return [Order(folder.path.absolute(), cell, hashes[cell.name]) for cell in left]


def play(order: Order) -> None:
    """Raises MarsbenchError when the cell cannot be played."""
    folder, name = SweepFolder(order.root), order.cell.name
    run_job(job_of(order.cell, folder.draft(name)))
    folder.keep(name, order.cell.place, order.inputs)


def job_of(cell: Cell, output: Path) -> Job:
    """The cell's job. A variation changes the world and never the traffic.

    A load is turned into a rate on the hardware as it is: a GPU that is slower than modelled
    meets the same sessions at the same times.
    """
    request = replace(request_of(cell), output=output)
    base = prepare(request)
    workload = with_tool_time(base.workload, cell.variation.tools)
    hardware = varied(request.hardware, cell.variation)
    if workload is base.workload and hardware is request.hardware:
        return base
    return prepare_with(replace(request, hardware=hardware), workload)


def varied(hardware: Hardware, by: Variation) -> Hardware:
    """The hardware with its step times scaled; itself when nothing is."""
    return hardware.with_scale(
        step=by.step, attention=by.attention, weights=by.weights, overhead=by.overhead
    )
