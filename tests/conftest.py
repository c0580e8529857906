"""Options of the whole test suite."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from cpu_budget import Spent
from dealing import ByFile, group
from waits import Guard

# The same examples on every machine, however slow, and few enough that a change is tested in
# seconds.
settings.register_profile(
    "ours",
    max_examples=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ours")

# Quick ones fill the gaps that these leave at the end.
LONG = ("vllm", "live", "processes", "openhands")
SPENT = pytest.StashKey[Spent]()
GUARD = pytest.StashKey[Guard]()

ALL_NEED_VLLM = re.compile(r"^pytestmark = .*\bpytest\.mark\.vllm\b", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write tests/golden/*.json anew, then pass"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without vLLM's tests, their modules are not imported: importing vLLM takes ten seconds."""
    asked = config.option.markexpr
    if " or " in asked or "not vllm" not in asked.split(" and "):
        return None
    is_module = collection_path.suffix == ".py"
    return True if is_module and ALL_NEED_VLLM.search(collection_path.read_text()) else None


def pytest_configure(config: pytest.Config) -> None:
    os.environ["MARSBENCH_RESIDENT"] = "off"  # only its own tests start one
    os.environ["MARSBENCH_PROGRESS"] = "off"  # a slow machine's lines are no error of a command
    config.stash[SPENT] = Spent()
    config.stash[GUARD] = Guard()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Quiet tests run where they are asked for alone; long ones come first in each process."""
    if "quiet" not in config.option.markexpr:
        quiet = [item for item in items if item.get_closest_marker("quiet")]
        items[:] = [item for item in items if item not in quiet]
        config.hook.pytest_deselected(items=quiet)
    if hasattr(config, "workerinput"):
        long = {group(item.nodeid) for item in items if any(map(item.get_closest_marker, LONG))}
        items.sort(key=lambda item: group(item.nodeid) not in long)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Several processes are dealt whole files, in the order of `pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """No test hangs where nothing moves any more, and each is counted."""
    stash = item.config.stash
    with stash[GUARD].watching(), stash[SPENT].by(item.path):
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several tells the one that asked what it has spent."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["cpu_s"] = session.config.stash[SPENT].cpu_s


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[SPENT].add(getattr(node, "workeroutput", {}).get("cpu_s", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    spent = terminalreporter.config.stash[SPENT]
    if len(spent.cpu_s) > 1:
        terminalreporter.section("CPU seconds: spent, and allowed")
        terminalreporter.line("\n".join(spent.lines()))


@pytest.fixture
def rewrite_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written rather than compared."""
    return bool(request.config.getoption("--rewrite-golden"))
