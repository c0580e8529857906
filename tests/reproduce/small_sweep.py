"""A sweep of a few small sessions that come close together, played."""

from __future__ import annotations

from pathlib import Path

from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.workload.files import Workload, write_workload
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.play import Order, inputs_hash, play
from marsbench.judge.sweep.spec import read_sweep_file


def played(text: str, num_sessions: int, folder: Path) -> SweepFolder:
    """Of a sweep file whose workload is crowd.jsonl: so many sessions of three rounds."""
    (folder / "small.toml").write_text(text)
    pause = (ToolCall("fetch", floor_s=0.5),)
    rounds = (Round(300, 40, pause), Round(40, 30, pause), Round(60, 10))
    crowd = tuple(Session(f"s{n}", rounds, arrival_s=0.05 * n) for n in range(num_sessions))
    write_workload(Workload("crowd", crowd), folder / "crowd.jsonl")
    cells = cells_of(read_sweep_file(folder / "small.toml"), folder)
    found = SweepFolder.create(folder / "small", "small", text, [cell.name for cell in cells])
    for cell in cells:
        play(Order(found.path, cell, inputs_hash(cell)))
    return found
