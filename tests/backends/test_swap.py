"""A swap as a timeline, and the part of vLLM's connector interface that it stands on."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

pytest.importorskip("vllm")

from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1

from backends.world import hardware, simulate
from marsbench.engine.settings import EngineSettings
from marsbench.events import Event, GpuEnd, GpuStart, GpuSubmit, ToolEnd, Unheld
from marsbench.session import Round, Session, ToolCall
from marsbench_backends.host_memory import HostMemory
from marsbench_backends.vllm_host import HostConnector

pytestmark = pytest.mark.vllm
SETTINGS = EngineSettings(512, 16, kv_blocks=100)


def two_that_do_not_fit_together() -> list[Session]:
    """`a` pauses for 20 s with 70 blocks of context; `b` comes meanwhile and needs 60 of 100."""
    pause = (ToolCall("test", floor_s=20.0),)
    a = Session("a", (Round(1_100, 20, pause), Round(100, 20)))
    return [a, Session("b", (Round(960, 20),), arrival_s=5.1)]


def of(kind: type[Event], seen: list[Event], session: str) -> list[Any]:
    return [e for e in seen if isinstance(e, kind) and getattr(e, "session", None) == session]


def test_a_context_goes_to_host_memory_and_comes_back_over_the_link() -> None:
    seen, simulation = simulate("infercept", two_that_do_not_fit_together(), settings=SETTINGS)
    (unheld,) = of(Unheld, seen, "a")
    assert unheld.reason == "swapped"
    # 1,119 tokens were computed: 69 full blocks.
    copy_s = hardware().swap_s(69 * 16)
    (b_start,) = of(GpuStart, seen, "b")
    review = 5.1  # overdue since nobody was there, so done as soon as b is
    assert unheld.at == pytest.approx(review + copy_s)
    assert b_start.at >= unheld.at
    submit, start = of(GpuSubmit, seen, "a")[1], of(GpuStart, seen, "a")[1]
    assert submit.at == of(ToolEnd, seen, "a")[0].at
    assert start.at == pytest.approx(submit.at + copy_s)
    assert start.cached_tokens == start.reusable_tokens == 69 * 16
    assert len(simulation.scheduler.host.memory) == 0


def test_without_host_memory_the_same_context_is_recomputed() -> None:
    world = two_that_do_not_fit_together()
    seen, _ = simulate("infercept", world, settings=SETTINGS, host_tokens=0)
    start = of(GpuStart, seen, "a")[1]
    assert start.cached_tokens < start.reusable_tokens


def test_a_session_that_is_back_before_its_copy_is_complete_has_lost_nothing() -> None:
    """The copy takes 2 ms, and the tool ends 1 ms after it began."""
    copy_s = hardware().swap_s(69 * 16)
    world = two_that_do_not_fit_together()
    probe, _ = simulate("infercept", world, settings=SETTINGS)
    paused_at = of(GpuEnd, probe, "a")[0].at
    tool = (ToolCall("test", floor_s=5.1 + copy_s / 2 - paused_at),)
    world[0] = Session("a", (Round(1_100, 20, tool), Round(100, 20)))
    seen, _ = simulate("infercept", world, settings=SETTINGS)
    (unheld,) = of(Unheld, seen, "a")
    assert unheld.reason == "resumed"
    start = of(GpuStart, seen, "a")[1]
    assert start.cached_tokens == start.reusable_tokens


def test_host_memory_serves_what_the_gpu_lacks_from_where_its_own_hit_ends() -> None:
    class Request:
        request_id = "r"
        block_hashes = (b"a", b"b", b"c", b"d")

    memory = HostMemory(10)
    memory.store("s", [b"a", b"b", b"c"])
    connector = HostConnector(memory, 16, lambda tokens: tokens / 16, lambda: 5.0)
    assert connector.get_num_new_matched_tokens(Request(), 16) == (32, True)
    assert connector.get_num_new_matched_tokens(Request(), 48) == (0, False)
    blocks = type("Blocks", (), {"blocks": ([1, 2, 3],)})
    connector.update_state_after_alloc(Request(), blocks, 32)
    assert connector.next_arrival == 5.0 + 2.0
    assert memory.matches([b"a", b"b"]) == 1
    assert connector.take_arrived(6.9) is None
    arrived = connector.take_arrived(7.0)
    assert arrived is not None
    assert arrived.finished_recving == {"r"}


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_num_new_matched_tokens", ["self", "request", "num_computed_tokens"]),
        ("update_state_after_alloc", ["self", "request", "blocks", "num_external_tokens"]),
        ("build_connector_meta", ["self", "scheduler_output"]),
        ("get_loaded_kv_cache_group_ids", ["self", "request"]),
        ("request_finished", ["self", "request", "block_ids"]),
        ("update_connector_output", ["self", "connector_output"]),
    ],
)
def test_vllms_connector_interface_is_where_we_think(method: str, arguments: list[str]) -> None:
    found = list(inspect.signature(getattr(KVConnectorBase_V1, method)).parameters)
    assert found == arguments, f"vLLM moved KVConnectorBase_V1.{method}; see vllm_host.py"
