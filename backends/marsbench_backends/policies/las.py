"""Least attained service: the program that was served least of late goes next.

Source: llm-d-router, its flow control's program-aware fairness (README and strategy_las.go,
06aa34b). A program, named by a header, has attained service: prompt tokens plus twice the output
tokens of each request when that is complete, halved every `half_life_s`. Of the programs that
wait, the first request of the one with the highest score is next: `service_weight` for how little
it has attained and `wait_weight` for how long its first request has waited, both between the
lowest and the highest of those that wait (a half each where all are equal).
Differs: the router's queues are the engine's own here; equal scores go by arrival, where the
router leaves them to chance; a preempted round goes first, as vLLM has it. Not modelled: bands of
priority, the router's limit on what it passes on, forgetting programs after an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from marsbench_backends.exact import exp, log
from marsbench_backends.parameters import varied
from marsbench_backends.parts.outputs import OutputMeter
from marsbench_backends.parts.tenant_queues import Name, TenantQueues, WaitingRound
from marsbench_backends.policy import Key, Policy, Req, View
from marsbench_backends.signals import (
    RoundEnded,
    RoundStarted,
    RoundSubmitted,
    SessionEnded,
    Signal,
    StepEnded,
)

WAYS = ("tenant", "session")
HALF = log(0.5)


@dataclass(slots=True)
class Running:
    """A round that has begun: tokens of its prompt, and of its output so far."""

    prompt: int
    output: int = 0


@dataclass
class Las(Policy):
    """by: what a program is: a "tenant", or each "session" for itself.

    service_weight, wait_weight: of little service and of a long wait in a score.
    half_life_s: seconds in which attained service counts half. output_weight: of an output token.
    """

    by: str = varied(
        "tenant", "session", why="its header names tenants or workflows; agents' own ids sessions"
    )
    service_weight: float = varied(0.8, 1.0, 0.5, why="its default, a setting")
    wait_weight: float = varied(0.2, 0.0, 0.5, why="its default, a setting")
    half_life_s: float = varied(60.0, 600.0, 10.0, why="its default, for requests of seconds")
    output_weight: float = 2.0
    _attained: dict[str, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)
    _queues: TenantQueues = field(default_factory=TenantQueues, init=False, repr=False)
    _meter: OutputMeter = field(default_factory=OutputMeter, init=False, repr=False)
    _rounds: dict[str, RoundSubmitted] = field(default_factory=dict, init=False, repr=False)
    _running: dict[str, Running] = field(default_factory=dict, init=False, repr=False)
    _turns: dict[Name, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise ValueError(f'by must be "tenant" or "session", not "{self.by}"')
        if self.half_life_s <= 0:
            raise ValueError(f"half_life_s must be more than 0, not {self.half_life_s}")

    def waiting_key(self, req: Req, view: View) -> Key:
        turn = self._turns.get((req.session_id, req.round), 0)
        return (0, 0, req.position) if req.num_preemptions else (1, turn, req.position)

    def observe(self, signal: Signal) -> None:
        self._generate(signal.session_id, self._meter.observe(signal))
        match signal:
            case RoundSubmitted():
                self._rounds[signal.session_id] = signal
                name = (signal.session_id, signal.round)
                self._queues.join(self._program(signal), name, signal.at, 0.0)
            case RoundStarted() if signal.session_id in self._rounds:
                self._start(self._rounds[signal.session_id])
            case RoundEnded() | SessionEnded() if signal.session_id in self._rounds:
                self._end(signal, self._rounds[signal.session_id])
            case _:
                return
        self._renew(signal.at)

    def serve(self, step: StepEnded) -> None:
        for session_id, tokens in self._meter.generated(step):
            self._generate(session_id, tokens)

    def _program(self, asked: RoundSubmitted) -> str:
        return asked.tenant if self.by == "tenant" else asked.session_id

    def _generate(self, session_id: str, num_tokens: int) -> None:
        if session_id in self._running:
            self._running[session_id].output += num_tokens

    def _start(self, asked: RoundSubmitted) -> None:
        self._queues.leave(self._program(asked), (asked.session_id, asked.round))
        self._running.setdefault(asked.session_id, Running(asked.num_prompt_tokens))

    def _end(self, signal: Signal, asked: RoundSubmitted) -> None:
        """A round that began is complete, and its program has had its tokens."""
        program, session_id = self._program(asked), signal.session_id
        done = self._running.pop(session_id, None)
        if done is not None:
            cost = done.prompt + self.output_weight * done.output
            self._attained[program] = (self._service(program, signal.at) + cost, signal.at)
        if isinstance(signal, SessionEnded):
            del self._rounds[session_id]
            self._queues.forget(program, session_id)
            if self.by == "session":
                self._attained.pop(program, None)

    def _service(self, program: str, at: float) -> float:
        """What it has attained, as it counts at that time."""
        service, since = self._attained.get(program, (0.0, at))
        return service * exp(HALF * (at - since) / self.half_life_s)

    def _renew(self, at: float) -> None:
        """Everybody's turn anew. As all halve alike and wait on alike, time alone changes none."""
        self._turns = {one.name: turn for turn, one in enumerate(self._in_turn(at))}
        self.version += 1

    def _in_turn(self, at: float) -> Iterator[WaitingRound]:
        """One program after the other is picked, as if nothing happened in between."""
        queues = {program: queue[::-1] for program, queue in self._queues}
        services = {program: self._service(program, at) for program in queues}
        while queues:
            waits = {program: at - queue[-1].at for program, queue in queues.items()}
            little, long = _ranged({p: -services[p] for p in queues}), _ranged(waits)
            scores = {
                p: self.service_weight * little[p] + self.wait_weight * long[p] for p in queues
            }
            best = max(queues, key=lambda p: (scores[p], -queues[p][-1].place))
            yield queues[best].pop()
            if not queues[best]:
                del queues[best]


def _ranged(values: Mapping[str, float]) -> dict[str, float]:
    """From 0 for the lowest to 1 for the highest; a half for all where they are equal."""
    low, high = min(values.values()), max(values.values())
    return {p: (v - low) / (high - low) if high > low else 0.5 for p, v in values.items()}
