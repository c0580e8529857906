"""What live runs in tests share."""

from __future__ import annotations

import pytest


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway's word is waited for however late a busy machine brings it."""
    for module in ("gateway", "live.run"):
        monkeypatch.setattr(f"marsbench.wall.{module}.PATIENCE_S", 3600.0)
