"""Whether a run goes on: standing still in a way that nobody foresaw ends it with a sentence."""

from __future__ import annotations

PATIENCE = 1_000
PER_REQUEST = 10
LEAST_S = 1e-7
ALONE = 100_000


class Watchdog:
    """Counts what the engine does in vain: calls of `schedule()` that compute nothing, and ticks.

    A few in a row are as it should be: requests are preempted, holds run out, a controller waits.
    Time stands still when `PATIENCE` of them, and `PER_REQUEST` for each request, have not moved it
    by `LEAST_S` each. Time may also pass while nothing happens: when nothing else is due, `ALONE`
    are the most.
    """

    def __init__(self) -> None:
        self._num_vain = 0
        self._last_at = 0.0
        self._looked_at = 0.0

    def worked(self, now: float) -> None:
        """Tokens were computed, or something that was due has happened."""
        self._num_vain = 0
        self._last_at = self._looked_at = now

    def in_vain(self, now: float, num_requests: int, is_alone: bool) -> str | None:
        """Nothing came of a call or a tick: what is wrong with the run, if anything is.

        is_alone: nothing is due that would end the waiting, whatever the policy answers.
        """
        self._num_vain += 1
        if is_alone and self._num_vain > ALONE:
            return (
                f"Nothing has happened since {self._last_at:.9g} s, and nothing will: "
                f"{ALONE:,} looks in a row, until {now:.9g} s, let nothing run"
            )
        enough = PATIENCE + PER_REQUEST * num_requests
        if self._num_vain % enough:
            return None
        moved_s, self._looked_at = now - self._looked_at, now
        if moved_s >= enough * LEAST_S:
            return None
        return (
            f"Virtual time stands still at {now:.9g} s: {enough:,} looks in a row let nothing run"
        )
