"""Options of the whole test suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine, and few enough that a change is tested in seconds.
settings.register_profile("ours", max_examples=30, derandomize=True, deadline=None)
settings.load_profile("ours")

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


@pytest.fixture
def rewrite_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written rather than compared."""
    return bool(request.config.getoption("--rewrite-golden"))
