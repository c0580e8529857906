"""A swap as a timeline, and the part of vLLM's connector interface that it stands on."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

pytest.importorskip("vllm")

from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1

from backends.world import hardware, simulate
from figures import summarise
from marsbench.core.events import (
    Event,
    Evicted,
    GpuEnd,
    GpuStart,
    GpuSubmit,
    HostEvicted,
    SwappedIn,
    SwappedOut,
    ToolEnd,
    Unheld,
)
from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench_backends.policy import Discard, Keep, Paused, Policy, Release, Swap, View
from marsbench_backends.signals import RoundStarted, Signal
from marsbench_backends.vllm.host import HostConnector
from marsbench_backends.vllm.host_memory import HostMemory

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
    assert (start.cached_tokens, start.loaded_tokens) == (0, 69 * 16)
    assert start.reusable_tokens == 69 * 16
    assert of(SwappedOut, seen, "a") == [SwappedOut(unheld.at, "a", 69)]
    (back,) = of(SwappedIn, seen, "a")
    assert (back.at, back.round, back.blocks) == (start.at, 1, 69)
    assert len(simulation.scheduler.host.memory) == 0


def test_a_swap_is_no_eviction() -> None:
    """`a` comes back for 20 blocks of its 69, so that even the ended `b` loses none."""
    world = two_that_do_not_fit_together()
    short = Round(60, 20, cut=Cut(to_tokens=400, kept_tokens=320))
    world[0] = Session("a", (world[0].rounds[0], short))
    seen, _ = simulate("infercept", world, settings=SETTINGS)
    found = summarise(seen, block_size=16, total_blocks=100)
    assert found["swaps"] == {"out_blocks": 69, "in_blocks": 20, "lost_blocks": 0}
    assert (found["evictions"]["blocks"], found["evictions"]["recomputed_tokens"]) == (0, 0)
    hits = found["prefix_hit_rate"]
    prompt = of(GpuSubmit, seen, "a")[1].prompt_tokens
    assert (hits["continuation"], hits["host_continuation"]) == (0.0, 320 / prompt)
    seen, _ = simulate("infercept", world, settings=SETTINGS, host_tokens=0)
    found = summarise(seen, block_size=16, total_blocks=100)
    assert found["swaps"] == {"out_blocks": 0, "in_blocks": 0, "lost_blocks": 0}
    assert (found["evictions"]["blocks"] or 0) > 0


class Swaps(Policy):
    """Swaps every pause, and remembers what it was told."""

    host_tokens = 16_000

    def __init__(self) -> None:
        self.told: list[Signal] = []

    def retain(self, paused: Paused, view: View) -> Swap | Keep:
        return Keep() if paused.returned else Swap()

    def observe(self, signal: Signal) -> None:
        self.told.append(signal)


class SwapsIntoLittle(Swaps):
    """Host memory holds 40 blocks."""

    host_tokens = 640


@pytest.mark.parametrize(("policy", "lost"), [("Swaps", 0), ("SwapsIntoLittle", 29)])
def test_what_host_memory_has_no_room_for_is_lost_and_computed_again(
    policy: str, lost: int
) -> None:
    world = two_that_do_not_fit_together()
    seen, _ = simulate(f"backends.test_swap:{policy}", world, settings=SETTINGS)
    (out,) = of(SwappedOut, seen, "a")
    gone = of(HostEvicted, seen, "a")
    assert gone == ([HostEvicted(out.at, "a", lost)] if lost else [])
    start = of(GpuStart, seen, "a")[1]
    assert (start.cached_tokens, start.loaded_tokens) == (0, (69 - lost) * 16)
    found = summarise(seen, block_size=16, total_blocks=100)
    assert found["swaps"] == {"out_blocks": 69, "in_blocks": 69 - lost, "lost_blocks": lost}
    assert found["evictions"]["recomputed_blocks"] == lost
    assert found["evictions"]["live_blocks"] == 0


@pytest.mark.parametrize(("policy", "lost"), [("Swaps", 0), ("SwapsIntoLittle", 29)])
def test_a_policy_hears_of_an_eviction_where_something_was_lost_only(
    policy: str, lost: int
) -> None:
    """A context that comes back whole costs no service, wherever it was."""
    world = two_that_do_not_fit_together()
    _, simulation = simulate(f"backends.test_swap:{policy}", world, settings=SETTINGS)
    heard = [s for s in simulation.scheduler.marsbench_policy.told if isinstance(s, RoundStarted)]
    (again,) = (s for s in heard if (s.session_id, s.round) == ("a", 1))
    assert (again.num_cached_tokens, again.was_evicted) == ((69 - lost) * 16, lost > 0)


class SwapsFirst(Swaps):
    """Swaps the first pause; the second is held for a second and then left to the LRU."""

    def retain(self, paused: Paused, view: View) -> Swap | Keep | Release:
        if paused.round == 0:
            return Swap()
        return Release() if paused.held else Keep(view.now + 1.0)


def test_a_pause_without_a_full_block_swaps_nothing_then_or_later() -> None:
    pauses = [(ToolCall("test", floor_s=s),) for s in (1.0, 5.0)]
    a = Session("a", (Round(8, 2, pauses[0]), Round(100, 20, pauses[1]), Round(100, 20)))
    # Somebody else, so that there are steps in which the hold can run out.
    b = Session("b", (Round(300, 1_000),))
    seen, _ = simulate("backends.test_swap:SwapsFirst", [a, b], settings=SETTINGS)
    assert [e.reason for e in of(Unheld, seen, "a")] == ["expired"]
    assert not any(isinstance(e, SwappedOut) for e in seen)


class Discards(Policy):
    """Discards every context as soon as its session pauses."""

    def retain(self, paused: Paused, view: View) -> Discard:
        return Discard()


def test_what_a_policy_discards_is_evicted_there_and_then() -> None:
    """There is room for all of it, and nothing but the answer takes it."""
    pause = (ToolCall("test", floor_s=20.0),)
    world = [Session("a", (Round(1_100, 20, pause), Round(100, 20)))]
    seen, _ = simulate("backends.test_swap:Discards", world, settings=SETTINGS)
    paused_at = of(GpuEnd, seen, "a")[0].at
    assert [e for e in seen if isinstance(e, Evicted)] == [Evicted(paused_at, "a", 69)]
    start = of(GpuStart, seen, "a")[1]
    assert (start.cached_tokens, start.reusable_tokens) == (0, 69 * 16)
    assert summarise(seen, block_size=16)["evictions"]["recomputed_blocks"] == 69


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
    assert not any(isinstance(e, SwappedOut | SwappedIn) for e in seen)


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


@pytest.mark.parametrize(("found", "loaded"), [(48, 32), (47, 31)])
def test_what_was_on_the_gpu_is_told_from_what_was_loaded(found: int, loaded: int) -> None:
    """One of three blocks was there; of a prompt found whole the last token is computed again."""

    class Request:
        request_id = "r"
        block_hashes = (b"a", b"b", b"c")

    connector = HostConnector(HostMemory(10), 16, lambda tokens: 0.0, lambda: 0.0)
    connector.update_state_after_alloc(
        Request(), type("Blocks", (), {"blocks": ([1, 2, 3],)}), num_external_tokens=32
    )
    assert connector.take_loaded("r", found) == loaded
    assert connector.take_loaded("r", found) == 0  # the next start finds what it finds


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
