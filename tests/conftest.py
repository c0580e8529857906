"""Options of the whole test suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The same examples on every machine, and few enough that a change is tested in seconds.
settings.register_profile("ours", max_examples=30, derandomize=True, deadline=None)
settings.load_profile("ours")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write tests/golden/*.json anew, then pass"
    )


@pytest.fixture
def rewrite_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written rather than compared."""
    return bool(request.config.getoption("--rewrite-golden"))
