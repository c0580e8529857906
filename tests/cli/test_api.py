"""marsbench from Python: the same runs, defaults and sentences as the command line's."""

from __future__ import annotations

import re
import textwrap
from inspect import Parameter, signature
from pathlib import Path

import pytest

import marsbench as package
from cli.conftest import Marsbench
from house.sources import ROOT
from marsbench import api
from marsbench.cli import main as cli
from marsbench.errors import UsageError

SMALL = {"workload": "chat", "sessions": 4, "rate": 0.2, "seed": 5}
NOT_OPTIONS = {"context", "as_json"}


def example() -> str:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n((?:.*\n)*?)```\n", text)
    assert found, "docs/python.md has no example"
    return found[1]


def test_the_package_has_the_functions_of_the_api() -> None:
    names = ("Run", "compare", "load", "run", "sweep")
    assert all(getattr(package, name) is getattr(api, name) for name in names)
    assert {*names, "__version__"} == set(package.__all__)
    with pytest.raises(AttributeError, match="module 'marsbench' has no attribute 'rnu'"):
        _ = package.rnu


def test_its_keywords_are_the_options_of_run() -> None:
    keywords = signature(api.run).parameters
    typed = signature(cli.run).parameters
    assert set(keywords) == set(typed) - NOT_OPTIONS
    assert [name for name in keywords if keywords[name].kind is not Parameter.KEYWORD_ONLY] == [
        "backend"
    ]


def test_none_is_an_option_that_was_not_given() -> None:
    with pytest.raises(UsageError, match="--seed must be at least 0"):
        api.run("fcfs", warm_up=None, url=None, rate=None, gpu=None, seed=-1)


def test_the_example_is_short() -> None:
    assert len(example().splitlines()) <= 15


@pytest.mark.parametrize(
    ("options", "typed", "said"),
    [
        ({"rate": 0}, ("--rate", "0"), "--rate must be above 0"),
        ({"set": {"cup": 1}}, ("--set", "cup=1"), "Unknown parameter of fcfs 'cup'"),
        ({"alpha": 0.5}, ("--alpha", "0.5"), "--alpha must be 1 or more"),
        ({"workload": "chta"}, ("--workload", "chta"), "Did you mean 'chat'?"),
        ({"gpu": "h20"}, ("--gpu", "h20"), "Did you mean 'h200'?"),
    ],
)
def test_a_mistake_has_the_sentence_of_the_command_line(
    options: dict, typed: tuple[str, ...], said: str, marsbench: Marsbench
) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        api.run("fcfs", **options)
    plain = re.compile(r"(?<=not )([\d.]+?)(?:\.0)?\b")
    sentence = marsbench("run", "--backend", "fcfs", *typed).sentence
    assert plain.sub(r"\1", str(error.value)) == plain.sub(r"\1", sentence)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alfa": 3}, "Unknown option 'alfa'. Did you mean 'alpha'?"),
        ({"sessions": 1.5}, "sessions: expected int, got 1.5"),
        ({"reserve_full_prompt": "yes"}, "reserve_full_prompt: should be 'on' or 'off'"),
        ({"engine": "dream"}, "engine: should be 'sim', 'live' or 'openhands', got 'dream'"),
        ({"load_on": "that"}, "load_on: should be 'reference' or 'this', got 'that'"),
        ({"set": 3}, "set: expected object, got 3"),
        ({"output": 3}, "output: expected string, got 3"),
    ],
)
def test_what_the_command_line_would_not_parse_is_refused(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        api.run("fcfs", **options)


def test_what_is_no_run_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        api.load(tmp_path / "none")


def test_a_sweep_needs_a_process(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--jobs must be at least 1, not 0"):
        api.sweep(tmp_path / "any.toml", jobs=0)


@pytest.mark.vllm
def test_a_run_is_the_one_of_the_command_line(marsbench: Marsbench) -> None:
    run = api.run("fcfs-cap", set={"cap": 2}, alpha=(1, 3), output="mine", **SMALL)
    typed = [text for name, value in SMALL.items() for text in (f"--{name}", value)]
    alphas = ("--alpha", 1, "--alpha", 3)
    done = marsbench(
        "run", "--backend", "fcfs-cap", "--set", "cap=2", *alphas, *typed, "-o", "typed"
    )
    assert done.code == 0, done.err
    for name in ("events.jsonl.zst", "summary.json", "run.json"):
        assert Path("mine", name).read_bytes() == Path("typed", name).read_bytes()
    assert (run.path, run.config.params["cap"]) == (Path("mine"), 2)
    assert len(run.sessions) == run.summary["sessions"]["arrived"] == 4
    assert set(run.rounds.session) == set(run.sessions.session)
    other = api.load("typed")
    found = api.compare([run, Path("typed")], alpha=3)
    assert found.backends == ("fcfs-cap in mine", "fcfs-cap in typed")
    assert other.rounds.equals(run.rounds)


@pytest.mark.vllm
def test_the_example_plots_what_it_says(marsbench: Marsbench, monkeypatch) -> None:
    """With fewer and smaller sessions, and nothing else changed."""
    import matplotlib as mpl

    mpl.use("Agg")
    small = example().replace('"ilr-1", load=1.15, sessions=30', '"chat", rate=0.2, sessions=3')
    assert small != example()
    exec(compile(textwrap.dedent(small), "docs/python.md", "exec"), {})
    assert Path("ttft.png").stat().st_size > 5_000
    assert len(list(Path("results").iterdir())) == 2
