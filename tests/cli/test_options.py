"""An option is one field of a dataclass, and all else follows from it."""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from marsbench.cli.options import explicit, verb
from marsbench.core.workload.knobs import Knobs
from marsbench.errors import UsageError
from marsbench.option import ADVANCED, Option, option_in, options_of, part
from marsbench.run_options import RunOptions, request_of
from marsbench.runs.request import OwnOptions
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.live.options import LiveOptions


@dataclass(frozen=True, kw_only=True)
class Below:
    depth: Annotated[int, Option("N", "How deep it is", ADVANCED, least=1)] = 3
    quiet: Annotated[bool, Option(None, "Without a sound")] = False


@dataclass(frozen=True, kw_only=True)
class Dive(Below):
    place: Annotated[str, Option("NAME", "Where")]
    names: Annotated[tuple[str, ...], Option("NAME", "Who; repeatable", typed=list[str])] = ("a",)
    rate_x: Annotated[float | None, Option("X", "How fast", names=("-r", "--fast"))] = None


def typed(*words: str) -> tuple[Dive, frozenset[str]]:
    """What a command of these options is handed."""
    seen: list[tuple[Dive, frozenset[str]]] = []

    @verb
    def command(context: typer.Context, options: Dive) -> None:
        seen.append((options, explicit(context)))

    app = typer.Typer()
    app.command()(command)
    CliRunner().invoke(app, words, catch_exceptions=False)
    return seen[0]


def test_a_command_is_handed_one_instance_of_what_was_typed() -> None:
    words = ("--place", "sea", "--names", "x", "--names", "y", "-r", "2", "--quiet", "--depth", "7")
    options, named = typed(*words)
    assert options == Dive(place="sea", names=["x", "y"], rate_x=2.0, quiet=True, depth=7)
    assert named == {"place", "names", "rate_x", "quiet", "depth"}


def test_what_is_not_typed_has_the_default_of_the_field() -> None:
    assert typed("--place", "sea", "--depth", "3") == (Dive(place="sea"), {"place", "depth"})


def test_a_command_may_leave_options_out() -> None:
    def command(options: Dive) -> None: ...

    app = typer.Typer()
    app.command()(verb(command, {"depth"}))
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert "--fast" in shown
    assert "--depth" not in shown


def test_its_own_options_come_first_and_panels_after_those_of_none() -> None:
    assert list(options_of(Dive)) == ["place", "names", "rate_x", "quiet", "depth"]


def test_every_field_of_a_run_is_an_option_and_has_a_type_that_help_can_name() -> None:
    options, hints = options_of(RunOptions), typing.get_type_hints(RunOptions, include_extras=True)
    assert options.keys() == {field.name for field in fields(RunOptions)}
    assert all(option_in(hints[name]) == option for name, option in options.items())


def test_a_part_is_checked_when_it_is_made_and_the_whole_is_not() -> None:
    whole = RunOptions("fcfs", rate=0.5, gpu="h100")
    assert part(whole, Knobs) == Knobs(rate=0.5)
    wrong = RunOptions("fcfs", rate=-1.0)
    with pytest.raises(UsageError, match="--rate must be above 0"):
        part(wrong, Knobs)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"seed": 3, "alpha": [1.0, 3.0]}, "--backend fcfs --alpha 1.0 --alpha 3.0 --seed 3"),
        ({"set": {"cap": 2}, "backend": "fcfs-cap"}, "--backend fcfs-cap --set cap=2"),
        ({"check": True, "output": "here"}, "--backend fcfs --check"),
        ({"hardware": None, "gpu": "h200"}, "--backend fcfs --gpu h200"),
    ],
)
def test_a_run_folder_tells_the_options_that_were_given(
    options: dict[str, Any], asked: str
) -> None:
    given = {"backend": "fcfs", **{n: value for n, value in options.items() if value is not None}}
    assert request_of(RunOptions(**given), given).asked == tuple(asked.split())


def own(**options: Any) -> OwnOptions | None:
    """What the engine alone is told of a run with these options."""
    return request_of(RunOptions("fcfs", **options), options).own


def test_an_option_of_live_runs_is_refused_elsewhere() -> None:
    assert own() is None
    with pytest.raises(UsageError, match="--warm-up is for --engine live, not --engine sim"):
        own(warm_up=3.0)
    with pytest.raises(UsageError, match="--warm-up is not for --engine openhands"):
        own(engine="openhands", url="http://x", warm_up=3.0)
    with pytest.raises(UsageError, match="--workers is not for --engine live"):
        own(engine="live", url="http://x", workers=3)
    with pytest.raises(UsageError, match="needs the server's --url"):
        own(engine="live")


def test_a_default_that_was_given_is_refused_elsewhere_too() -> None:
    assert LiveOptions(url="http://x").warm_up == 0.0
    with pytest.raises(UsageError, match="--warm-up is for --engine live, not --engine sim"):
        own(warm_up=0.0)


def test_chat_is_text_unless_ids_are_asked_for() -> None:
    chat: dict[str, Any] = {"engine": "live", "url": "http://x", "endpoint": "chat"}
    found = own(**chat, max_send_lag=0.1)
    assert isinstance(found, LiveOptions)
    assert (found.endpoint, found.prompts, found.max_send_lag) == ("chat", "text", 0.1)
    with pytest.raises(UsageError, match="no token ids"):
        own(**chat, prompts="ids")


def test_agents_have_limits_of_their_own_unless_told() -> None:
    agents: dict[str, Any] = {"engine": "openhands", "url": "http://x"}
    assert own(**agents) == OpenHandsOptions(url="http://x", time_limit_s=1800.0, alone=None)
    told = own(**agents, timeout=600.0, isolated="alone.json", workers=2)
    assert told == OpenHandsOptions(
        url="http://x", time_limit_s=600.0, alone=Path("alone.json"), workers=2
    )
    with pytest.raises(UsageError, match="--isolated profile simulates or samples"):
        own(**agents, isolated="profile")


def test_a_preset_gives_what_was_not_given() -> None:
    typed = {"preset": "steady-400", "block_size": 16, "load": 1.2}
    options = RunOptions(backend="fcfs", **typed)  # type: ignore[arg-type]
    request = request_of(options, {"backend", *typed})
    assert (request.knobs.sessions, request.knobs.warm_start) == (400, 1.0)
    assert (request.settings.block_size, request.settings.max_num_batched_tokens) == (16, 2048)
    assert request.asked == (
        "--backend", "fcfs", "--preset", "steady-400", "--load", "1.2", "--block-size", "16",
    )  # fmt: skip


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Unknown preset 'steady'.*steady-200"):
        request_of(RunOptions(backend="fcfs", preset="steady"), {"backend", "preset"})
