"""What sessions are like, learned as they go: seconds in rounds and in pauses, growth, rounds."""

from __future__ import annotations

from dataclasses import dataclass

from marsbench_backends.parts.rolling import Ranked, Rolling
from marsbench_backends.signals import (
    RoundSubmitted,
    SessionEnded,
    Signal,
    ToolEnded,
    ToolStarted,
)


@dataclass(slots=True)
class _Life:
    """A live session; `round_at`, `pause_at`: since when it is in one, None where it is not.

    burnt_s: of this pause, seconds of tool calls that burn CPU.
    """

    first_tokens: int
    peak_tokens: int
    is_agent: bool
    round_at: float | None = None
    pause_at: float | None = None
    pauses_s: float = 0.0
    burnt_s: float = 0.0
    num_rounds: int = 0


class Duty:
    """Told what an admission controller is told, sub-agents included.

    fast: the quantile of rounds that is taken for one without contention: a controller is not told
        how much a round generates. Of sessions `whole` is needed before they are believed.
    """

    def __init__(self, fast: float, whole: int = 3, rounds: int = 256, sessions: int = 200) -> None:
        self._fast, self._whole = fast, whole
        self._lives: dict[str, _Life] = {}
        self._rounds_s, self._growth = Ranked(rounds), Rolling(sessions)
        self._pauses_s, self._burnt_s = Rolling(rounds), Rolling(rounds)
        self._num_rounds, self._away_s = Ranked(sessions), Ranked(sessions)

    def observe(self, signal: Signal) -> None:
        match signal:
            case RoundSubmitted():
                self._began(signal)
            case ToolStarted() if signal.session_id in self._lives:
                self._paused(self._lives[signal.session_id], signal.at)
            case ToolEnded() if signal.session_id in self._lives and signal.queued_s is not None:
                self._lives[signal.session_id].burnt_s += signal.seconds
            case SessionEnded() if signal.session_id in self._lives:
                self._ended(self._lives.pop(signal.session_id))

    @property
    def round_s(self) -> float | None:
        """Seconds of a round that nobody is in the way of."""
        return self._rounds_s.quantile(self._fast)

    @property
    def pause_s(self) -> float:
        """Seconds from a round's end to the session's next one; 0 until one was seen."""
        return self._pauses_s.mean

    @property
    def calls_each(self) -> float:
        """Tool calls that burn CPU, of a session at any instant; 0 until a pause was seen.

        At most 1, whatever is believed of pauses.
        """
        burnt_s, lived_s = self._burnt_s.mean, self._rounds_s.mean + self.pause_s
        return min(1.0, burnt_s / lived_s) if burnt_s else 0.0

    @property
    def alone_s(self) -> float | None:
        """Seconds of a typical session alone: the median's pauses and rounds."""
        away_s, rounds = self._away_s.quantile(0.5), self._num_rounds.quantile(0.5)
        if away_s is None or rounds is None or self.round_s is None:
            return None
        return away_s + rounds * self.round_s if len(self._away_s) >= self._whole else None

    def peak_tokens(self, session_id: str, num_prompt_tokens: int) -> float:
        """Of its context at its longest: the first prompt grown as those that ended had."""
        growth, life = self._growth.mean or 1.0, self._lives.get(session_id)
        if life is None:
            return num_prompt_tokens * growth
        return max(life.peak_tokens, life.first_tokens * growth)

    def _began(self, signal: RoundSubmitted) -> None:
        tokens, is_agent = signal.num_prompt_tokens, signal.parent_id is not None
        life = self._lives.setdefault(signal.session_id, _Life(tokens, tokens, is_agent))
        life.peak_tokens = max(life.peak_tokens, tokens)
        if life.pause_at is not None:
            self._pauses_s.add(signal.at - life.pause_at)
            self._burnt_s.add(life.burnt_s)
            life.pauses_s += signal.at - life.pause_at
        life.round_at, life.pause_at, life.burnt_s = signal.at, None, 0.0

    def _paused(self, life: _Life, at: float) -> None:
        """Its first tool call since the round; the others run beside it."""
        if life.round_at is not None:
            self._rounds_s.add(at - life.round_at)
            life.num_rounds += 1
            life.round_at, life.pause_at = None, at

    def _ended(self, life: _Life) -> None:
        if not life.is_agent:
            self._growth.add(life.peak_tokens / life.first_tokens)
            self._num_rounds.add(life.num_rounds + 1)
            self._away_s.add(life.pauses_s)
