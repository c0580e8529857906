"""What live runs in tests share."""

from __future__ import annotations

import pytest


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway's word is waited for however late a busy machine brings it."""
    monkeypatch.setattr("marsbench.wall.live.gateway.PATIENCE_S", 3600.0)
