"""A scheduler class of a user's, played as it is, and whether the check of a vLLM can fail."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.session import Round, Session
from marsbench.core.settings import EngineSettings
from marsbench.errors import UsageError
from marsbench.hardware.profile import load_hardware
from marsbench.proof import check as proof
from marsbench.proof.worlds import world
from marsbench.runs.event_file import events_hash
from marsbench.runs.request import RunRequest
from marsbench.runs.scheduler import scheduler_choice

pytestmark = pytest.mark.vllm

SESSIONS = [Session(f"s{i}", (Round(150, 60),), arrival_s=0.001 * i) for i in range(4)]
CLASSES = '''
import time
from datetime import datetime
from zlib import crc32
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

SEEN = []
DRAWN = []

class Timed(Scheduler):
    """Serves the youngest first, and looks at three clocks."""

    def schedule(self, throttle_prefills=False):
        SEEN.append((time.time(), time.monotonic(), time.perf_counter()))
        self.running.sort(key=lambda request: -request.arrival_time)
        return super().schedule(throttle_prefills)

class Restless(Scheduler):
    """Decides by how often it was ever asked, and looks at the time of day."""

    def schedule(self, throttle_prefills=False):
        DRAWN.append(datetime.now())
        self.running.sort(key=lambda request: crc32(f"{request.request_id} {len(DRAWN)}".encode()))
        return super().schedule(throttle_prefills)

class Late(AsyncScheduler):
    pass

class NoScheduler:
    pass
'''


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "somebodys.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import somebodys

    return somebodys


def request(name: str, output: Path) -> RunRequest:
    return RunRequest(
        choice=scheduler_choice(name),
        scheduler=name,
        hardware=load_hardware(),
        settings=EngineSettings(kv_blocks=40),
        output=output,
        show_progress=False,
    )


def played(name: str, output: Path) -> Any:
    from marsbench.core.workload.files import Workload
    from marsbench.runs.simulated import prepare_with, run_job

    return run_job(prepare_with(request(name, output), Workload("tiny", tuple(SESSIONS))))[1]


def test_its_three_clocks_tell_virtual_time_and_its_order_is_followed(
    module: Any, tmp_path: Path
) -> None:
    summary = played("somebodys:Timed", tmp_path / "timed")
    assert summary["valid"], summary["reasons"]
    assert summary["backend"] == "somebodys:Timed"
    assert all(a == b == c for a, b, c in module.SEEN)
    assert module.SEEN[0][0] == 0.0
    assert max(seen[0] for seen in module.SEEN) < 60.0
    played("vllm", tmp_path / "stock")
    assert events_hash(tmp_path / "timed") != events_hash(tmp_path / "stock")


def test_a_class_that_decides_otherwise_when_it_is_played_again_does_not_count(
    tmp_path: Path,
) -> None:
    summary = played("somebodys:Restless", tmp_path / "restless")
    assert not summary["valid"]
    assert "decided otherwise when the run was played again" in summary["reasons"][0]
    assert datetime.now().year > 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("somebodys:NoScheduler", "no subclass of vLLM's Scheduler"),
        ("somebodys:Missing", "no subclass of vLLM's Scheduler"),
        ("somebodys:Late", "derives from AsyncScheduler"),
        ("nowhere_at_all:X", "cannot be imported"),
    ],
)
def test_what_is_no_scheduler_is_told_before_anything_is_written(
    name: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        played(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_check_passes_on_the_pinned_vllm_and_its_worlds_are_under_pressure() -> None:
    found = proof.check(lambda _done: None, worlds=6)
    assert found.is_equal, found.why


def test_the_check_finds_a_vllm_that_hands_blocks_out_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vllm.v1.core.kv_cache_utils import FreeKVCacheBlockQueue

    def from_the_end(self: Any, n: int) -> list[Any]:
        found = []
        for _ in range(n):
            last = self.fake_free_list_tail.prev_free_block
            self.remove(last)
            found.append(last)
        return found

    monkeypatch.setattr(FreeKVCacheBlockQueue, "popleft_n", from_the_end)
    found = proof.check(lambda _done: None, worlds=6)
    assert not found.is_equal
    assert "vLLM's own in world" in found.why
    assert "became" in found.why


def test_a_world_is_the_same_every_time() -> None:
    assert world(3) == world(3)
    assert world(3) != world(4)
