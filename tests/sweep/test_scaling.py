"""A variation changes tools and step times, and never people or traffic."""

from __future__ import annotations

from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.workload.files import Workload
from marsbench.core.workload.scaling import with_tool_time
from marsbench.hardware.profile import load_hardware
from marsbench.judge.sweep.play import varied
from marsbench.judge.sweep.spec import Variation

CHILD = Session("a/1", (Round(10, 1, (ToolCall("grep", "cpu", cpu_s=1.0),)), Round(1, 1)))
TOOLS = (
    ToolCall("pytest", "cpu", cpu_s=3.0, floor_s=0.5),
    ToolCall("agent", "agent", child=CHILD),
    ToolCall("user", floor_s=60.0),
)
PLAIN = Workload("w", (Session("a", (Round(10, 1, TOOLS), Round(1, 1)), arrival_s=7.0),))


def test_tool_times_scale_in_sub_agents_too():
    test, agent, _ = with_tool_time(PLAIN, 2.0).sessions[0].rounds[0].tools
    assert (test.cpu_s, test.floor_s) == (6.0, 1.0)
    assert agent.child.rounds[0].tools[0].cpu_s == 2.0


def test_people_and_arrivals_stay_as_they_are():
    (session,) = with_tool_time(PLAIN, 2.0).sessions
    assert session.rounds[0].tools[2].floor_s == 60.0
    assert session.arrival_s == 7.0


def test_scaled_tools_make_another_workload():
    assert with_tool_time(PLAIN, 2.0).hash != PLAIN.hash
    assert with_tool_time(PLAIN, 1.0) is PLAIN


def test_step_times_scale_by_part():
    hardware = load_hardware()
    slower = varied(hardware, Variation(label="x", weights=1.2))
    assert slower.step_time.seconds(4, 4000) > hardware.step_time.seconds(4, 4000)
    assert slower.hash != hardware.hash
    assert varied(hardware, Variation(label="base")) is hardware
