"""The figures of events, for tests that say the scale beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marsbench.core.events import Event
from marsbench.core.metrics.summary import Scale, Summary, measure


def summarise(events: Iterable[Event], **scale: Any) -> Summary:
    """What a run with these events is summarised as; `scale` are fields of `Scale`."""
    return measure(events, Scale(**scale)).summary
