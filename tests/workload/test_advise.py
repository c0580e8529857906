"""What `marsbench advise` makes of recordings before anything is played: sessions, and when."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from marsbench.advise.day import DAY_S, Busy, always_at_work, busy_half
from marsbench.advise.options import AdviseOptions
from marsbench.advise.recorded import recorded
from marsbench.advise.traffic import Traffic, traffic_of, write_traffic
from marsbench.core.session import Round, ToolCall, is_warm
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.draws import stream
from marsbench.core.workload.files import Workload, read_workload
from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware, load_hardware
from workload.builders import session, workload

HOUR_S = 3_600.0
AS_RECORDED = {"arrivals": "recorded"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return load_hardware(gpu="h100", precision="fp8")


def user(seconds: float) -> tuple[ToolCall, ...]:
    return (ToolCall("user", "wait", floor_s=seconds),)


def test_the_busy_half_is_the_shortest_stretch_in_which_half_of_a_day_begins() -> None:
    # Four in the first hour of a day's eight hours, and four later on.
    times = [0, 900, 1_800, 2_700, 2 * HOUR_S, 4 * HOUR_S, 6 * HOUR_S, 8 * HOUR_S]
    busy = busy_half(times, 600.0, num_users=1)
    assert busy.knots_s == (0, 900, 1_800, 2_700, 2 * HOUR_S)
    assert busy.per_user_s == 4 / (2 * HOUR_S)
    assert busy_half(times, 600.0, num_users=4).per_user_s == busy.per_user_s / 4


def test_days_are_laid_over_each_other_from_the_end_of_the_night_on() -> None:
    # From 23:00 to 1:00, on three days of which one was not worked.
    evening = [23 * HOUR_S, 24 * HOUR_S, 25 * HOUR_S]
    times = [time + day * DAY_S for day in (0, 1, 3) for time in evening]
    busy = busy_half([time - times[0] for time in times], HOUR_S, num_users=1)
    assert busy.num_days == 3
    assert busy.knots_s == (0, 0, 0, HOUR_S, HOUR_S, HOUR_S)
    assert busy.per_user_s == pytest.approx(5 / (3 * HOUR_S))


def test_three_sessions_that_began_together_are_no_rate_of_their_own() -> None:
    assert busy_half([5.0, 5.0, 5.0], 600.0, 1).per_user_s == pytest.approx(3 / 600)
    assert busy_half([7.0], 600.0, 1).knots_s == (0.0, 600.0)


@pytest.mark.parametrize("by_day", [True, False])
def test_arrivals_keep_their_mean_rate_and_are_denser_where_the_day_was(by_day: bool) -> None:
    busy = Busy((0.0, 1.0, 2.0, 3.0, 4.0, 100.0), 0.1, 1)
    times = busy.times(20_000, 0.5, stream(1, "test"), by_day)
    assert times[0] == 0
    assert times == sorted(times)
    assert len(times) / times[-1] == pytest.approx(0.5, rel=0.03)
    short = sum(later - time < 0.5 for time, later in pairwise(times))
    assert (short / len(times) > 0.6) is by_day
    assert times[:50] == pytest.approx(busy.times(50, 0.5, stream(1, "test"), by_day))


def test_a_long_pause_ends_a_session_and_the_rest_comes_back_with_all_that_was_there(
    hardware: Hardware,
) -> None:
    rounds = (Round(1_000, 10, user(60.0)), Round(200, 10, user(7_200.0)), Round(300, 10))
    whole = session("a", *rounds, arrival_s=50.0)
    found = recorded(workload(whole, meta=AS_RECORDED), hardware, EngineSettings(), 1_800.0)
    by_name = {one.id: one for one in found.sessions}
    first, second = by_name["a"], by_name["a+1"]
    assert (len(first.rounds), len(second.rounds)) == (2, 1)
    assert second.rounds[0].append_tokens == 1_000 + 10 + 200 + 10 + 300
    assert 7_260 < second.arrival_s - first.arrival_s < 7_270
    assert (found.num_recorded, found.num_cut) == (1, 1)
    assert found.user_share == 1.0
    assert 0.95 < found.pause_share < 1.0  # the 60 s of both parts, and some seconds of a model


def test_while_a_sub_agent_works_nobody_is_away(hardware: Hardware) -> None:
    child = session("b", Round(100, 10, user(9_000.0)), Round(10, 10))
    parent = session("a", Round(100, 10, (ToolCall("Task", "agent", child=child),)), Round(10, 10))
    found = recorded(workload(parent), hardware, EngineSettings(), 1_800.0)
    assert [one.id for one in found.sessions] == ["a"]


def test_what_no_memory_holds_is_left_out_or_refused(hardware: Hardware) -> None:
    short, long = session("a"), session("b", Round(9_000_000, 10))
    found = recorded(workload(short, long), hardware, EngineSettings(), 1_800.0)
    assert (found.num_recorded, found.num_too_long) == (1, 1)
    with pytest.raises(UsageError, match="Every recorded session grows beyond the 262,144 tokens"):
        recorded(workload(long), hardware, EngineSettings(), 1_800.0)


def at_work(hardware: Hardware, **options: object) -> Traffic:
    bodies = [session(f"s{n}", Round(2_000, 50, user(200.0)), Round(9, 50)) for n in range(4)]
    settings, asked = EngineSettings(), AdviseOptions(**options)  # type: ignore[arg-type]
    found = recorded(Workload("w", tuple(bodies)), hardware, settings, asked.idle)
    return traffic_of(found, always_at_work(found.mean_alone_s), asked, hardware, settings)


def test_without_recorded_beginnings_a_user_is_always_at_work(hardware: Hardware) -> None:
    traffic = at_work(hardware, users=20)
    today, twice = traffic.loads
    assert today.rate * traffic.recorded.mean_alone_s == pytest.approx(20, rel=1e-3)
    assert (today.users, twice.users) == (20, 40)
    assert twice.rate == pytest.approx(2 * today.rate, rel=1e-3)
    assert traffic.by_day is False


def test_users_are_dealt_to_as_many_gpus_as_their_gpu_time_needs(hardware: Hardware) -> None:
    few, many = at_work(hardware, users=2), at_work(hardware, users=10_000)
    assert few.gpus == 1
    assert many.gpus > 2
    assert 0.9 < many.loads[0].gpu_load <= 1.001
    assert at_work(hardware, users=10_000, gpus=7).gpus == 7


def test_a_file_holds_the_seeds_sessions_and_those_in_flight_and_is_not_made_twice(
    hardware: Hardware, tmp_path: Path
) -> None:
    traffic = at_work(hardware, users=3, sessions=6)
    written = write_traffic(traffic, tmp_path / "t", [1, 2])
    assert [(one.load.name, one.seed) for one in written] == [
        ("today", 1), ("twice", 1), ("today", 2), ("twice", 2),
    ]  # fmt: skip
    today, twice = (read_workload(one.file) for one in written[:2])
    for found, in_flight in ((today, 3), (twice, 6)):
        warm = [one for one in found.sessions if is_warm(one.id)]
        assert (len(warm), len(found.sessions) - len(warm)) == (in_flight, 6)
    stamps = [one.file.stat().st_mtime_ns for one in written]
    again = write_traffic(at_work(hardware, users=3, sessions=6), tmp_path / "t", [1, 2])
    assert [one.file.stat().st_mtime_ns for one in again] == stamps
    other = write_traffic(at_work(hardware, users=4, sessions=6), tmp_path / "t", [1])
    assert {one.file for one in other}.isdisjoint(one.file for one in written)
