"""Backends on the command line: ours, those of other packages, and one's own file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import SMALL, Marsbench
from marsbench.runs import RunFolder
from marsbench.runs.event_file import events_hash
from marsbench.show.backends import idea, paper
from marsbench_backends import registry

POLICY = '''\
"""Newest first: the latest arrival goes ahead.

Paper: none; a test.
"""

from dataclasses import dataclass

from marsbench_backends.policy import Policy


@dataclass
class Newest(Policy):
    grain_s: float = 0.0

    def waiting_key(self, req, view):
        return (-req.submitted_at, req.position)
'''


def test_the_list_names_every_backend_with_its_source_and_parameters(marsbench: Marsbench) -> None:
    out = marsbench("backends").out
    for name in registry.installed():
        assert f"\n{name} " in f"\n{out}"
    assert "vLLM 0.33.0, v1/core/sched/scheduler.py" in out
    assert "cap=none" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_list_as_json_is_one_array(marsbench: Marsbench) -> None:
    out = marsbench("backends", "--json").out
    assert out.count("\n") == 1
    records = {record["name"]: record for record in json.loads(out)}
    assert list(records) == list(registry.installed())
    (cap,) = records["fcfs-cap"]["parameters"]
    assert (cap["name"], cap["type"], cap["default"]) == ("cap", "int | None", None)
    assert cap["reading"]["others"] == [4, 8, 16]
    assert all(record["idea"] and record["paper"] for record in records.values())


def test_a_backend_says_where_its_paper_is_silent(marsbench: Marsbench) -> None:
    def told(name: str) -> str:
        return " ".join(marsbench("backends", name).out.split())

    assert "host_tokens silent in the paper; ours: no size 2000000 | 0 | 4000000" in told(
        "infercept"
    )
    assert "cold_mean_s published; varied" in told("continuum")
    assert "silent in the paper" not in told("fcfs")


def test_one_backend_is_shown_whole(marsbench: Marsbench) -> None:
    out = marsbench("backends", "fcfs").out
    assert "Not strictly FCFS: a running request that cannot be scheduled" in " ".join(out.split())
    assert json.loads(marsbench("backends", "fcfs", "--json").out)["name"] == "fcfs"


@pytest.mark.parametrize(
    ("about", "source"),
    [
        ("An idea.\n\nPaper: arXiv 1, Eq. 2: tau = 1.", "arXiv 1, Eq. 2"),
        ("An idea.\n\nPaper: arXiv 1, section 3\n(a, b); more.", "arXiv 1, section 3 (a, b)"),
        ("An idea.\n\nSource: vLLM, a/b.py. Not strict.", "vLLM, a/b.py"),
        ("An idea.\n\nA bound. No paper: SRPT.", "SRPT"),
        ("An idea of a paper.", None),
    ],
)  # fmt: skip
def test_the_source_is_read_from_the_header(about: str, source: str | None) -> None:
    assert paper(about) == source
    assert idea(about).startswith("An idea")


def test_a_file_in_the_current_folder_is_a_backend(marsbench: Marsbench) -> None:
    Path("newest.py").write_text(POLICY)
    record = json.loads(marsbench("backends", "newest:Newest", "--json").out)
    assert record["idea"] == "Newest first: the latest arrival goes ahead."
    assert record["parameters"] == [{"name": "grain_s", "type": "float", "default": 0.0}]


def install(folder: Path, name: str, target: str) -> None:
    """What pip leaves of a package with one entry point."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[marsbench.backends]\n{name} = {target}\n")


def test_a_package_adds_a_backend_by_an_entry_point(
    marsbench: Marsbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "newest_package.py").write_text(POLICY)
    install(tmp_path, "newest", "newest_package:Newest")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "newest " in marsbench("backends").out
    assert "Did you mean 'newest'?" in marsbench("backends", "newets").sentence


def test_a_package_cannot_take_the_name_of_one_of_ours(
    marsbench: Marsbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "newest_package.py").write_text(POLICY)
    install(tmp_path, "fcfs", "newest_package:Newest")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "vLLM as it is" in marsbench("backends", "fcfs").out


def test_a_broken_package_is_left_out_of_the_list_and_named(
    marsbench: Marsbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "broken", "no_such_module:Broken")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = marsbench("backends")
    assert done.code == 0
    assert "fcfs-cap" in done.out
    assert done.err.startswith("left out: Backend 'broken' cannot be imported")


def test_a_file_need_not_postpone_its_annotations(marsbench: Marsbench) -> None:
    fields = "    a: int | None = None\n    b: tuple[int, ...] = (1,)\n    c: Optional[int] = 2\n"
    imports = "from typing import Optional\n"
    Path("newest.py").write_text(imports + POLICY.replace("    grain_s: float = 0.0\n", fields))
    parameters = json.loads(marsbench("backends", "newest:Newest", "--json").out)["parameters"]
    assert [p["type"] for p in parameters] == ["int | None", "tuple[int, ...]", "int | None"]
    set_ = ("run", "--backend", "newest:Newest", "--set")
    assert "c must be of type int | None, not 'x'" in marsbench(*set_, "c=x").sentence


@pytest.mark.vllm
def test_a_package_s_backend_runs_like_the_same_file_by_its_path(
    marsbench: Marsbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "newest_package.py").write_text(POLICY)
    install(tmp_path, "newest", "newest_package:Newest")
    monkeypatch.syspath_prepend(str(tmp_path))
    for backend, out in (("newest", "a"), ("newest_package:Newest", "b")):
        done = marsbench("run", "--backend", backend, *SMALL, "--set", "grain_s=2", "-o", out)
        assert done.code == 0, done.err
        config = json.loads(Path(out, "run.json").read_text())
        assert (config["backend"], config["params"]) == (backend, {"grain_s": 2.0})
    assert events_hash(Path("a")) == events_hash(Path("b"))


@pytest.mark.vllm
def test_a_cap_that_is_given_bounds_the_sessions_in_flight(marsbench: Marsbench) -> None:
    crowd = ("--workload", "chat", "--sessions", 4, "--arrivals", "burst:4", "--rate", 1)
    capped = ("run", "--backend", "fcfs-cap", *crowd, "--set", "fcfs-cap.cap=2", "-o", "run")
    out = marsbench(*capped).out
    assert "cap=2" in out
    in_flight = most = 0
    for event in RunFolder.open(Path("run")).events():
        in_flight += {"session_admitted": 1, "session_ended": -1}.get(event.kind, 0)
        most = max(most, in_flight)
    assert most == 2
    assert "cap_search" not in json.loads(Path("run/run.json").read_text())["settings"]


@pytest.mark.vllm
def test_a_cap_that_is_not_given_is_searched_and_the_search_is_kept(marsbench: Marsbench) -> None:
    done = marsbench("run", "--backend", "fcfs-cap", *SMALL, "-o", "run")
    assert done.code == 0, done.err
    config = json.loads(Path("run/run.json").read_text())
    search = config["settings"]["cap_search"]
    tried = search["goodput_by_cap"]
    assert search["alpha"] == 3.0
    assert {"1", "4"} <= tried.keys()
    assert tried[str(config["params"]["cap"])] == max(tried.values())
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["params"] == config["params"]
    assert summary["goodput"]["3"]["share"] == max(tried.values())
