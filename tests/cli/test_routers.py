"""`marsbench routers`, and what `--replicas` refuses."""

from __future__ import annotations

import json

from cli.conftest import Marsbench
from marsbench.replicas.registry import ROUTERS


def test_every_router_is_listed_with_its_source_and_parameters(marsbench: Marsbench) -> None:
    records = json.loads(marsbench("routers", "--json").out)
    assert [one["name"] for one in records] == sorted(ROUTERS)
    assert all(one["source"] and one["not_modelled"] for one in records)
    smg = next(one for one in records if one["name"] == "smg")
    assert {"name": "balance_abs", "type": "int", "default": "64"} in smg["parameters"]
    assert "balance_abs=64" in marsbench("routers", "smg").out
    assert "lightseek/smg" in " ".join(marsbench("routers").out.split())


def test_no_replica_is_one_sentence(marsbench: Marsbench) -> None:
    said = marsbench("run", "--backend", "fcfs", "--replicas", "0")
    assert said.code == 2
    assert "--replicas must be from 1 to 1,024, not 0" in said.sentence
