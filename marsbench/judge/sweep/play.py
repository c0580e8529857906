"""One cell of a sweep, from its inputs to its complete run folder. Runs in a worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from marsbench.core.hardware.profile import Hardware
from marsbench.core.simulated import Job, prepare, prepare_with, run_job
from marsbench.core.workload.scaling import with_tool_time
from marsbench.judge.sweep.cells import Cell
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.inputs import request_of
from marsbench.judge.sweep.spec import Variation


@dataclass(frozen=True, slots=True)
class Order:
    """A cell to be played into the folder of a sweep; `inputs` is the hash of what decides it."""

    root: Path
    cell: Cell
    inputs: str


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
    return hardware.with_scale(by.step, by.attention, by.weights, by.overhead)
