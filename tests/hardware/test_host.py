"""Tool calls share the host's cores as processor sharing says."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.session import ToolCall
from marsbench.core.sim.clock import Due, VirtualClock
from marsbench.core.sim.tools import SimTools
from marsbench.errors import UsageError
from marsbench.hardware.host import ToolHost


def play(host, calls):
    """Start (key, at, cpu_s, floor_s, cores) in order, and give the (key, end) of every call.

    cores may be left out: 1.
    """
    ends, waiting = [], sorted(calls, key=lambda call: call[1])
    while waiting or len(host):
        end = host.next_end()
        if waiting and (end is None or waiting[0][1] <= end):
            key, at, cpu_s, floor_s, *cores = waiting.pop(0)
            host.start(key, cpu_s, floor_s, at, *cores)
        else:
            ends += [(key, end) for key in host.pop_ended(end)]
    return ends


def test_a_call_alone_takes_its_cpu_seconds_or_its_floor_whichever_is_longer():
    calls = [("cpu", 0.0, 2.0, 0.5), ("floor", 10.0, 2.0, 5.0), ("wait", 20.0, 0.0, 3.0)]
    assert play(ToolHost(1), calls) == [("cpu", 2.0), ("floor", 15.0), ("wait", 23.0)]


def test_two_calls_on_one_core_run_at_half_speed_until_the_first_ends():
    # From 0 to 4 s each gets half a core: a has its 2 CPU-seconds, b has 2 of its 3.
    assert play(ToolHost(1), [("a", 0, 2.0, 0), ("b", 0, 3.0, 0)]) == [("a", 4.0), ("b", 5.0)]


def test_a_single_threaded_call_never_uses_more_than_one_core():
    assert play(ToolHost(8), [("a", 0, 2.0, 0), ("b", 0, 3.0, 0)]) == [("a", 2.0), ("b", 3.0)]


def test_a_parallel_call_uses_as_many_cores_as_it_can_and_as_there_are():
    assert play(ToolHost(8), [("a", 0, 8.0, 0, 4)]) == [("a", 2.0)]
    assert play(ToolHost(2), [("a", 0, 8.0, 0, 4)]) == [("a", 4.0)]


def test_threads_share_the_cores_alike_whichever_call_they_are_of():
    # Five threads on four cores: the build has 3.2 cores to 5 s, the test beside it 0.8.
    calls = [("build", 0, 16.0, 0, 4), ("test", 0, 6.0, 0, 1)]
    assert play(ToolHost(4), calls) == [("build", 5.0), ("test", 7.0)]


def test_a_parallel_call_is_one_call_that_burns():
    # The paper's controller counts active tools, not their cores.
    host = ToolHost(8)
    host.start("build", 80.0, 0.0, 0.0, cores=8)
    host.start("test", 80.0, 0.0, 0.0)
    assert host.num_burning(1.0) == 2


def test_a_late_call_slows_those_that_already_run():
    # a alone to 1 s, then shares: at 3 s it has 1 + 1 = 2 CPU-seconds; b has 1 of 2.
    assert play(ToolHost(1), [("a", 0, 2.0, 0), ("b", 1, 2.0, 0)]) == [("a", 3.0), ("b", 4.0)]


def test_waiting_and_finished_cpu_parts_burn_no_core():
    # w waits; a's CPU is done at 2 s (b shares until then) and only its floor is left.
    calls = [("w", 0, 0.0, 9.0), ("a", 0, 1.0, 8.0), ("b", 0, 3.0, 0)]
    assert play(ToolHost(1), calls) == [("b", 4.0), ("a", 8.0), ("w", 9.0)]


def test_next_end_sees_through_calls_whose_cpu_ends_before_their_floor():
    host = ToolHost(1)
    host.start("a", 1.0, 100.0, 0.0)
    host.start("b", 2.0, 0.0, 0.0)
    assert host.next_end() == 3.0
    assert host.pop_ended(2.5) == []
    assert host.num_burning(2.5) == 1
    assert host.next_end() == 3.0
    assert host.pop_ended(3.0) == ["b"]
    assert host.next_end() == 100.0


def test_what_burns_is_counted_and_what_only_waits_is_not():
    host = ToolHost(1)
    host.start("waits", 0.0, 100.0, 0.0)
    host.start("floor", 1.0, 100.0, 0.0)
    host.start("burns", 2.0, 0.0, 0.0)
    # One core for both: "floor" has had its second of CPU at 2 s, "burns" its two at 3 s.
    assert [host.num_burning(now) for now in (0.0, 1.5, 2.0, 2.5, 3.0, 3.5)] == [2, 2, 2, 1, 1, 0]
    assert host.next_end() == 3.0


def test_a_call_that_waits_for_a_worker_to_burn_counts_and_one_that_waits_to_wait_does_not():
    host = ToolHost(8, workers=1)
    for key, cpu_s in (("first", 2.0), ("burns", 1.0), ("waits", 0.0)):
        host.start(key, cpu_s, 5.0, 0.0)
    assert host.num_burning(0.0) == 2
    assert host.num_burning(2.5) == 1
    assert host.pop_ended(5.0) == ["first"]
    assert host.num_burning(5.0) == 1


def test_calls_that_end_together_come_in_the_order_of_their_start():
    host = ToolHost(4)
    for key in "cab":
        host.start(key, 1.0, 0.0, 0.0)
    assert host.pop_ended(host.next_end()) == ["c", "a", "b"]


def test_a_call_without_work_or_floor_ends_at_once():
    host = ToolHost(1)
    host.start("nothing", 0.0, 0.0, 7.0)
    assert host.next_end() == 7.0
    assert host.pop_ended(7.0) == ["nothing"]
    assert host.next_end() is None
    assert len(host) == 0


def test_a_pool_takes_calls_first_in_first_out_and_says_how_long_each_waited():
    host = ToolHost(8, workers=1)
    ends = play(host, [("a", 0, 2.0, 0), ("b", 1, 1.0, 0), ("c", 1.5, 0.0, 4.0)])
    assert ends == [("a", 2.0), ("b", 3.0), ("c", 7.0)]
    assert [host.queued_s(key) for key in "abc"] == [0.0, 1.0, 1.5]


def test_a_worker_passes_through_many_empty_calls_at_one_instant():
    host = ToolHost(1, workers=1)
    host.start("first", 1.0, 0.0, 0.0)
    for number in range(5000):
        host.start(number, 0.0, 0.0, 0.0)
    assert host.pop_ended(1.0) == ["first", *range(5000)]


def test_time_does_not_go_back():
    host = ToolHost(1)
    host.pop_ended(5.0)
    with pytest.raises(ValueError, match="cannot go back"):
        host.start("late", 1.0, 0.0, 4.0)


@pytest.mark.parametrize(("cores", "workers"), [(0, None), (-1, None), (1, 0)])
def test_a_host_without_cores_or_workers_is_refused(cores, workers):
    with pytest.raises(UsageError, match="at least 1"):
        ToolHost(cores, workers)


seconds = st.floats(0, 20, allow_nan=False).map(lambda value: round(value, 3))
jobs = st.lists(st.tuples(seconds, seconds, seconds), min_size=1, max_size=12)


def keyed(jobs):
    return [(number, *job) for number, job in enumerate(jobs)]


@given(jobs, st.integers(1, 4), st.sampled_from([None, 1, 3]))
def test_every_call_ends_once_in_order_and_never_faster_than_alone(jobs, cores, workers):
    calls = keyed(jobs)
    ends = play(ToolHost(cores, workers), calls)
    assert sorted(key for key, _ in ends) == list(range(len(jobs)))
    assert [end for _, end in ends] == sorted(end for _, end in ends)
    for key, at, cpu_s, floor_s in calls:
        assert dict(ends)[key] >= at + max(cpu_s, floor_s) - 1e-9


@given(jobs, st.integers(1, 3))
def test_cores_are_never_idle_while_calls_could_use_them(jobs, cores):
    """Work conservation: up to the last CPU end, busy core-seconds equal the CPU-seconds asked."""
    calls = [(key, 0.0, cpu_s, 0.0) for key, (_, cpu_s, _) in enumerate(jobs)]
    ends = dict(play(ToolHost(cores), calls))
    left, last, burnt = len(calls), 0.0, 0.0
    for end in sorted(ends.values()):
        burnt += (end - last) * min(left, cores)
        left, last = left - 1, end
    assert burnt == pytest.approx(sum(call[2] for call in calls), abs=1e-6)


def brute_force(calls, cores, step=0.002):
    """The same host, stepped at a fixed width; ends are late by a few steps at most.

    Cores are handed out in rounds: each busy thread takes what it can of an equal share, until
    nothing is left or no thread can use more.
    """
    left = {call[0]: call[2] for call in calls}
    threads = {call[0]: call[4] for call in calls}
    ends, now = {}, 0.0
    while len(ends) < len(calls):
        live = [call for call in calls if call[1] <= now and call[0] not in ends]
        for key, at, _, floor_s, _ in live:
            if left[key] <= 1e-9 and now >= at + floor_s - 1e-9:
                ends[key] = now
        busy = [call[0] for call in live if left[call[0]] > 1e-9]
        for key, rate in water_filled({key: threads[key] for key in busy}, cores).items():
            left[key] -= step * rate
        now += step
    return ends


def water_filled(threads, cores):
    """Cores of each call: equal shares to all threads, none above one core."""
    levels = [[0.0] * count for count in threads.values()]
    spare = float(cores)
    while spare > 1e-9 and (open_ := [(c, t) for c in levels for t in range(len(c)) if c[t] < 1]):
        share = min(spare / len(open_), min(1 - call[t] for call, t in open_))
        for call, t in open_:
            call[t] += share
        spare -= share * len(open_)
    return {key: sum(level) for key, level in zip(threads, levels, strict=True)}


short = st.floats(0, 1.5, allow_nan=False).map(lambda value: round(value, 2))
few = st.lists(st.tuples(short, short, short, st.integers(1, 5)), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(few, st.integers(1, 6))
def test_ends_are_those_of_a_simulation_in_small_steps(jobs, cores):
    calls = keyed(jobs)
    expected = brute_force(calls, cores)
    for key, end in play(ToolHost(cores), calls):
        assert math.isclose(end, expected[key], abs_tol=0.05)


@given(jobs, st.integers(1, 3), st.floats(1e5, 1e9))
def test_it_always_comes_to_an_end_far_from_zero(jobs, cores, base):
    calls = [(key, base + at, cpu_s / 3, floor_s / 7) for key, at, cpu_s, floor_s in keyed(jobs)]
    host = ToolHost(cores)
    for key, at, cpu_s, floor_s in sorted(calls, key=lambda call: call[1]):
        host.start(key, cpu_s, floor_s, at)
    polls, now = 0, max(call[1] for call in calls)
    while (end := host.next_end()) is not None:
        now = max(now, end)
        host.pop_ended(now)
        polls += 1
        assert polls <= 3 * len(calls)


def test_the_clock_does_not_creep_when_what_is_left_is_less_than_a_sum_can_hold():
    host = ToolHost(2)
    for key in range(9):
        host.start(key, 1.11 + key, 0.0, 0.0)
    host._now, host._service = 2.719, math.nextafter(1.11, 0.0)
    # Looked at so often, each look adds a ninth of two hairs: nothing, were it only summed.
    looks = (host.pop_ended(math.nextafter(host._now, math.inf)) for _ in range(10))
    assert [key for ended in looks for key in ended] == [0]


def test_alarms_of_a_full_host_do_not_multiply():
    """Each call that starts moves the next end; what was set before wakes once, and sets no more
    than one beside it."""
    clock, ended = VirtualClock(), []
    tools = SimTools(clock, ToolHost(cores=2))
    for n in range(200):
        call = ToolCall("test", "cpu", cpu_s=1.0 + 0.01 * n)
        clock.at(0.01 * n, Due.ARRIVAL, lambda call=call: tools.run(call, ended.append))
    done = 0
    while (action := clock.pop_due(math.inf)) is not None:
        action()
        done += 1
    assert len(ended) == 200
    assert done < 4 * 200
