"""The sweep file, and what it becomes."""

from __future__ import annotations

import json

import pytest

from marsbench.errors import UsageError
from marsbench.judge.sweep.cells import cells_of
from marsbench.judge.sweep.play import hardware_of, inputs_hash, request_of
from marsbench.judge.sweep.spec import find_sweep, read_sweep_file, sweep_names
from sweep.fakes import FILE, sweep_file


def cells(folder, text=FILE):
    path = sweep_file(folder, text)
    return cells_of(read_sweep_file(path), path.parent)


def test_every_combination_is_one_cell(tmp_path):
    found = cells(tmp_path)
    assert len(found) == 2 * 2 * 3
    assert len({cell.name for cell in found}) == 12
    assert found[0].name == "ilr-1_load0.5_h200_default_base_fcfs_seed1"


def test_cells_that_share_sessions_stand_together(tmp_path):
    seeds = [cell.knobs.seed for cell in cells(tmp_path)]
    assert seeds == sorted(seeds)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("loadz = [1]", "no such field"),
        ("rates = [1]", "loads or rates, not both"),
        ("loads = []\nloads = []", "is not TOML"),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path, change, complaint):
    with pytest.raises(UsageError, match=complaint) as error:
        cells(tmp_path, f"{FILE}{change}\n")
    assert "\n" not in str(error.value)


def test_two_of_one_backend_need_labels(tmp_path):
    with pytest.raises(UsageError, match="'fcfs' twice"):
        cells(tmp_path, FILE.replace('"fcfs",', '"fcfs", "fcfs",'))


def test_an_unknown_sweep_is_told_with_the_known_ones():
    with pytest.raises(UsageError, match=r"Known: .*reproduce"):
        find_sweep("reprodce")


@pytest.mark.parametrize("name", sweep_names())
def test_shipped_sweeps_can_be_asked_for(name):
    path = find_sweep(name)
    for cell in cells_of(read_sweep_file(path), path.parent):
        request_of(cell)


def test_settings_reach_the_backend(tmp_path):
    capped = next(cell for cell in cells(tmp_path) if cell.backend.key == "fcfs-cap")
    assert request_of(capped).choice.params == {"cap": 2}


FLEETS = """replicas = [1, 4]
routers = ["least-load", { name = "llm-d", label = "flat", set = { prefix_weight = 0 } }]
"""


def test_replicas_and_routers_are_combined_and_one_engine_stands_behind_none(tmp_path):
    found = [c for c in cells(tmp_path, FLEETS + FILE) if c.name.endswith("fcfs_seed1")]
    assert [cell.name for cell in found] == [
        "ilr-1_load0.5_h200_default_base_fcfs_seed1",
        "ilr-1_load0.5_h200_default_base_replicas4_least-load_fcfs_seed1",
        "ilr-1_load0.5_h200_default_base_replicas4_flat_fcfs_seed1",
        "ilr-1_load0.9_h200_default_base_fcfs_seed1",
        "ilr-1_load0.9_h200_default_base_replicas4_least-load_fcfs_seed1",
        "ilr-1_load0.9_h200_default_base_replicas4_flat_fcfs_seed1",
    ]
    alone, _, flat = (request_of(cell) for cell in found[:3])
    assert alone.fleet is None
    assert "replicas" not in found[0].place
    assert flat.fleet is not None
    assert (flat.fleet.num, flat.fleet.router.params["prefix_weight"]) == (4, 0.0)
    assert len({inputs_hash(cell) for cell in found}) == 6
    assert inputs_hash(found[0]) == inputs_hash(cells(tmp_path)[0])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ('replicas = [4]\nrouters = ["least-lod"]\n', r"Unknown router 'least-lod'.*least-load"),
        ("replicas = [0]\n", "replicas"),
        ("replicas = [4, 4]\n", "replicas has '4' twice"),
        ('replicas = [2]\nengines = [{ profile = "default", host_kv = 8 }]\n', "with host_kv yet"),
    ],
)
def test_replicas_that_cannot_be_are_told(tmp_path, change, complaint):
    with pytest.raises(UsageError, match=complaint):
        [request_of(cell) for cell in cells(tmp_path, change + FILE)]


def test_a_file_of_sessions_has_seeds_and_loads_where_it_is_scaled_only(tmp_path):
    text = 'backends = ["fcfs"]\nseeds = [1, 2]\nworkloads = ["mine.jsonl"]\n'
    (only,) = cells(tmp_path, text)
    assert only.name == "mine_h200_default_base_fcfs"

    scaled = (
        'backends = ["fcfs"]\nseeds = [1, 2]\n[[workloads]]\nname = "mine.jsonl"\nloads = [0.5]\n'
    )
    assert [cell.name for cell in cells(tmp_path, scaled)] == [
        "mine_load0.5_h200_default_base_fcfs_seed1",
        "mine_load0.5_h200_default_base_fcfs_seed2",
    ]


def test_the_inputs_tell_apart_what_differs(tmp_path):
    variations = '[[variations]]\nlabel = "a"\n[[variations]]\nlabel = "b"\ntools = 2.0\n'
    found = cells(tmp_path, FILE + variations)
    assert len({inputs_hash(cell) for cell in found}) == len(found) == 24


def test_the_inputs_do_not_depend_on_names_for_people(tmp_path):
    named = FILE.replace('"fcfs",', '{ name = "fcfs", label = "mine" },')
    assert inputs_hash(cells(tmp_path)[0]) == inputs_hash(cells(tmp_path, named)[0])


def test_hardware_may_be_a_profile_beside_the_sweep(tmp_path):
    text = 'model = "qwen3-coder-30b"\n[gpu]\nname = "x"\n'
    (tmp_path / "own.toml").write_text(text)
    found = cells(tmp_path, FILE + '[[hardware]]\nprofile = "own.toml"\n')
    assert found[0].hardware.key == "own"
    with pytest.raises(UsageError, match=r"own\.toml"):
        hardware_of(found[0].hardware, tmp_path)


LONG = """
backends = ["fcfs"]
workloads = [
    {name = "ilr-1", loads = [1.2], preset = "steady-200"},
    {name = "ilr-2", loads = [0.7], preset = "steady-400", sessions = 9, warm_start = 1.5},
    {name = "ilr-3", warm_start = true},
    {name = "ilr-4", warm_start = false, sessions = 8},
]
sessions = 24
"""


def test_workloads_begin_warm_and_are_as_long_as_their_preset_says(tmp_path):
    found = [(c.knobs.sessions, c.knobs.warm_start) for c in cells(tmp_path, LONG)]
    assert found == [(200, 1.0), (9, 1.5), (24, 1.0), (8, None)]


def test_an_unknown_preset_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(UsageError, match=r"workloads.*steady-20.*steady-200"):
        cells(tmp_path, LONG.replace("steady-200", "steady-20"))


def test_workloads_may_have_tenants(tmp_path):
    text = LONG.replace("loads = [1.2]", 'loads = [1.2], tenants = "greedy:4"')
    assert [c.knobs.tenants for c in cells(tmp_path, text)] == ["greedy:4", None, None, None]
    with pytest.raises(UsageError, match=r"workloads.*even, greedy, long, shares"):
        cells(tmp_path, text.replace("greedy:4", "gready:4"))


def test_gpus_that_share_a_model_are_hardware_of_their_own(tmp_path):
    text = 'hardware = ["h100", {gpu = "h100", model = "gpt-oss-120b", tp = 4}]\n' + FILE
    found = {
        cell.hardware.key: hardware_of(cell.hardware, cell.folder) for cell in cells(tmp_path, text)
    }
    assert {key: one.id for key, one in found.items()} == {
        "h100": "h100:qwen3-coder-30b:bf16",
        "h100x4": "h100x4:gpt-oss-120b:mxfp4",
    }


def test_a_model_of_a_sweep_may_be_a_config_beside_its_file(tmp_path):
    config = {
        "model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 4096, "vocab_size": 151_936,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 12_288,
        "max_position_embeddings": 40_960,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = 'hardware = [{gpu = "h100", model = "config.json"}]\n' + FILE
    (first, *_) = cells(tmp_path, text)
    assert hardware_of(first.hardware, first.folder).id.startswith("h100:qwen3@")
