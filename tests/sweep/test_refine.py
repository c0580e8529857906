"""Parts of a sweep, and more seeds only where it is open who leads."""

from __future__ import annotations

import pytest

from marsbench.errors import UsageError
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.judge.sweep.refine import Lead, leaders
from marsbench.judge.sweep.run import sweep
from marsbench.judge.sweep.spec import read_sweep_file
from marsbench.judge.sweep.workers import Outcome
from marsbench.runs import RunConfig, RunFolder
from metrics.story import a_session, told
from sweep.fakes import sweep_file

OPEN = """
backends = ["fcfs", "mars", "autellix"]
seeds = [1, 2, 3]
refine = { screen = 1, margin = 0.1 }
[[workloads]]
name = "ilr-1"
loads = [0.5, 0.9]
"""
PARTS = """
seeds = [1]
sessions = 5
[[workloads]]
name = "ilr-1"
loads = [0.5]
[[parts]]
backends = ["fcfs", "mars"]
[[parts]]
backends = ["mars", "autellix"]
sessions = 5
[[parts]]
backends = ["fcfs"]
[[parts.workloads]]
name = "ilr-4"
loads = [0.3]
"""


def player(seconds):
    """Runs of one session, so long as `seconds` says of the cell."""

    def play(groups, jobs):
        for order in (order for group in groups for order in group):
            folder, cell = SweepFolder(order.root), order.cell
            config = RunConfig(
                backend=cell.backend.name, workload="ilr-1", workload_hash="91c2", total_blocks=100
            )
            with RunFolder.create(folder.draft(cell.name), config) as run:
                for event in told(a_session("a", 0.0, seconds(cell))):
                    run.emit(event)
                run.save_ideal({"a": 9.0})
                run.finish()
            folder.keep(cell.name, cell.place, order.inputs)
            yield Outcome(order)

    return play


def told_apart(cell):
    """At 0.5 autellix is far behind, and the others part in the second seed; 0.9 is clear."""
    if cell.knobs.load == 0.9:
        return {"fcfs": 10.0, "mars": 12.0, "autellix": 13.0}[cell.backend.name]
    if cell.backend.name == "autellix":
        return 20.0
    return 18.0 if (cell.backend.name, cell.knobs.seed) == ("mars", 2) else 10.0


def seeds_by_backend(root):
    found = {}
    for result in SweepFolder.open(root).results():
        key = result.place["load"], result.place["backend"]
        found.setdefault(key, []).append(result.place["seed"])
    return found


def test_seeds_go_where_it_is_open_who_leads(tmp_path):
    root = tmp_path / "out"
    report = sweep(str(sweep_file(tmp_path, OPEN)), root, 1, player(told_apart))
    assert seeds_by_backend(root) == {
        (0.5, "fcfs"): [1, 2],
        (0.5, "mars"): [1, 2],
        (0.5, "autellix"): [1],
        (0.9, "fcfs"): [1],
        (0.9, "mars"): [1],
        (0.9, "autellix"): [1],
    }
    assert (report.cells, report.played, report.failures) == (8, 8, ())


def test_level_backends_get_all_seeds_and_nothing_is_played_twice(tmp_path):
    file, root = str(sweep_file(tmp_path, OPEN)), tmp_path / "out"
    assert sweep(file, root, 1, player(lambda cell: 10.0)).played == 18
    assert sweep(file, root, 1, player(lambda cell: 10.0)).played == 0
    assert len(SweepFolder.open(root).plan()["cells"]) == 18


def test_some_get_all_seeds_everywhere_and_the_best_other_with_them(tmp_path):
    text = OPEN.replace("margin = 0.1", 'margin = 0.1, most = 2, always = ["autellix"]')
    root = tmp_path / "out"
    sweep(str(sweep_file(tmp_path, text)), root, 1, player(told_apart))
    assert seeds_by_backend(root) == {
        (0.5, "fcfs"): [1, 2, 3],
        (0.5, "mars"): [1, 2],
        (0.5, "autellix"): [1, 2, 3],
        (0.9, "fcfs"): [1, 2, 3],
        (0.9, "mars"): [1],
        (0.9, "autellix"): [1, 2, 3],
    }
    alone = text.replace('"mars", "autellix"]', '"mars", "autellix", "las"]').replace(
        'always = ["autellix"]', 'always = ["las"]'
    )
    leads = player(lambda cell: 10.0 if cell.backend.name == "las" else told_apart(cell) + 9)
    sweep(str(sweep_file(tmp_path, alone)), tmp_path / "alone", 1, leads)
    assert seeds_by_backend(tmp_path / "alone")[0.9, "fcfs"] == [1, 2, 3], "the best of the others"
    with pytest.raises(UsageError, match="'sjf', which is none of its"):
        read_sweep_file(
            sweep_file(tmp_path, text.replace('always = ["autellix"]', 'always = ["sjf"]'))
        )


def test_what_is_missing_opens_nothing(tmp_path):
    def fails(groups, jobs):
        for order in (order for group in groups for order in group):
            yield Outcome(order, "broken")

    root = tmp_path / "out"
    report = sweep(str(sweep_file(tmp_path, OPEN)), root, 1, fails)
    assert (report.cells, report.played, len(report.failures)) == (6, 6, 6)


def test_only_those_named_may_lead(tmp_path):
    text = OPEN.replace("margin = 0.1", 'margin = 0.1, among = ["fcfs"]')
    root = tmp_path / "out"
    assert sweep(str(sweep_file(tmp_path, text)), root, 1, player(lambda cell: 10.0)).played == 6
    with pytest.raises(UsageError, match="'sjf', which is none of its backends"):
        read_sweep_file(sweep_file(tmp_path, text.replace('["fcfs"]', '["sjf"]')))


def test_who_leads_is_near_in_both():
    leads = {"a": Lead(0.9, 100.0), "b": Lead(0.82, 95.0), "c": Lead(0.7, 50.0)}
    assert leaders(leads, 0.1) == ["b", "a"]
    assert leaders(leads, 0.01) == ["a"]
    assert leaders({}, 0.1) == []


def test_only_the_nearest_get_more_seeds(tmp_path):
    text = OPEN.replace("margin = 0.1", "margin = 0.1, most = 2")
    root = tmp_path / "out"
    assert sweep(str(sweep_file(tmp_path, text)), root, 1, player(lambda cell: 10.0)).played == 14
    assert (0.5, "mars") in seeds_by_backend(root)
    assert seeds_by_backend(root)[0.5, "mars"] == [1], "the last of equals by its name"


def test_parts_take_the_rest_from_the_file_and_share_cells(tmp_path):
    path = sweep_file(tmp_path, PARTS)
    found = [
        (cell.workload.name, cell.backend.name)
        for cell in cells_of(read_sweep_file(path), tmp_path)
    ]
    assert found == [("ilr-1", "fcfs"), ("ilr-1", "mars"), ("ilr-1", "autellix"), ("ilr-4", "fcfs")]


def test_two_runs_of_one_name_are_refused(tmp_path):
    path = sweep_file(tmp_path, PARTS.replace("sessions = 5\n[[parts]]", "sessions = 6\n[[parts]]"))
    file = read_sweep_file(path)
    with pytest.raises(UsageError, match="different runs of the name ilr-1"):
        cells_of(file, tmp_path)
