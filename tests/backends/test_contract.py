"""What a class must be to be asked; no vLLM needed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import pytest

from marsbench_backends import registry
from marsbench_backends.admission import Admission
from marsbench_backends.policy import Policy, Release
from marsbench_backends.registry import BACKENDS, BackendError


def loaded(cls: type, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Any:
    """The class as a backend of a module of its own, built."""
    monkeypatch.setitem(sys.modules, "own", SimpleNamespace(Own=cls))
    built = registry.load("own:Own").build(settings)
    return built.policy, built.admission


def refusal(cls: type, monkeypatch: pytest.MonkeyPatch, **settings: object) -> str:
    with pytest.raises(BackendError) as refused:
        loaded(cls, monkeypatch, **settings)
    return str(refused.value)


class Misspelt(Policy):
    def waitng_key(self, req: Any, view: Any) -> Any: ...


class Victm(Policy):
    def victm(self, running: Any, view: Any) -> Any: ...


class Helping(Policy):
    def tokens_left(self, req: Any) -> Any: ...


class HelpingProperty(Policy):
    @property
    def horizon_s(self) -> float:
        return 1.0


class HelpingClass(Policy):
    @classmethod
    def made(cls) -> None: ...


class Sorting(Policy):
    sort_running = True


class NoDataclass(Policy):
    pin_s: float = 30.0


class TooFew(Policy):
    def retain(self, paused: Any) -> Any: ...


class TooMany(Policy):
    def victim(self, running: Any, view: Any, why: str) -> Any: ...


class Named(Policy):
    def chunk(self, req: Any, num_tokens: int, *, view: Any) -> Any: ...


class Waiting(Policy):
    async def retain(self, paused: Any, view: Any) -> Any: ...


class Yielding(Policy):
    def observe(self, signal: Any) -> Any:
        yield signal


class ByProperty(Policy):
    @property
    def changes_at(self) -> float:  # type: ignore[override]
        return 1.0


class ByValue(Policy):
    reclaim = None  # type: ignore[assignment]


class ByMethod(Policy):
    def sorts_running(self) -> bool:  # type: ignore[override]
        return True


@dataclass
class ByField(Policy):
    chunk: int = 512  # type: ignore[assignment]


class Controlled(Policy):
    controller = Release  # type: ignore[assignment]


class Admitting(Admission):
    def admits(self, waiting: Any, state: Any) -> Any: ...


class Admits(Policy):
    controller = Admitting


class Ticking(Admission):
    def tick(self) -> None:  # type: ignore[override]
        ...


class Ticks(Policy):
    controller = Ticking


UNASKED = {
    Misspelt: "Misspelt has waitng_key, which is no decision of a policy: did you mean "
    "waiting_key? Helpers begin with an underscore.",
    Victm: "Victm has victm, which is no decision of a policy: did you mean victim? Helpers",
    Helping: "Helping has tokens_left, which is no decision of a policy. Helpers begin with",
    HelpingProperty: "has horizon_s, which is no decision of a policy. Helpers begin with",
    HelpingClass: "has made, which is no decision of a policy",
    Sorting: "Sorting has sort_running, which is no decision of a policy: did you mean "
    "sorts_running? Parameters are the fields of a dataclass (@dataclass above class Sorting)",
    NoDataclass: "NoDataclass has pin_s, which is no decision of a policy. Parameters are the "
    "fields of a dataclass (@dataclass above class NoDataclass)",
    TooFew: "TooFew.retain takes (paused), and it is asked as retain(paused, view).",
    TooMany: "TooMany.victim takes (running, view, why), and it is asked as victim(running, view).",
    Named: "Named.chunk takes (req, num_tokens, view), and it is asked as chunk(req, num_tokens,",
    Waiting: "Waiting.retain is a coroutine (async def); a decision is a plain method.",
    Yielding: "Yielding.observe is a generator (it has a yield); a decision is a plain method.",
    ByProperty: "ByProperty.changes_at is no method, and it is asked as changes_at(view).",
    ByValue: "ByValue.reclaim is no method, and it is asked as reclaim(held, needs, view).",
    ByMethod: "ByMethod.sorts_running is a method, and it is read as a value: write sorts_running",
    ByField: "ByField has a field chunk, and chunk(req, num_tokens, view) is a decision",
    Controlled: "'own:Own.controller' is no subclass of Admission.",
    Admits: "Admitting has admits, which is no decision of an admission controller: did you mean "
    "admit? Helpers",
    Ticks: "Ticking.tick takes (), and it is asked as tick(state).",
    Admission: "'own:Own' is no subclass of Policy.",
}


@pytest.mark.parametrize("cls", UNASKED, ids=lambda cls: cls.__name__)
def test_a_class_that_would_not_be_asked_is_refused(
    cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(cls, monkeypatch)
    assert said.startswith("Backend 'own:Own': ")
    assert UNASKED[cls] in said


class SetsItself(Policy):
    def __init__(self) -> None:
        self.chunk = lambda *_: 16  # type: ignore[method-assign]


@dataclass
class Sized(Policy):
    max_running: int | None = None
    host_tokens: int = 0


@dataclass
class Demanding(Policy):
    pin_s: float


@pytest.mark.parametrize(
    ("cls", "settings", "said"),
    [
        (SetsItself, {}, "chunk is a decision of a policy: write it as a method."),
        (Sized, {"max_running": 0}, "max_running must be None or a whole number, 1 or more, not 0"),
        (Sized, {"host_tokens": -1}, "host_tokens must be a whole number, 0 or more, not -1."),
        (Demanding, {}, "pin_s has no default: --set pin_s=VALUE."),
    ],
)
def test_a_value_that_cannot_be_is_refused_when_it_is_built(
    cls: type, settings: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said in refusal(cls, monkeypatch, **settings)


def test_an_interval_that_would_stop_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fast(Admission):
        tick_s = 0.0

    class Own(Policy):
        controller = Fast

    assert "tick_s must be seconds, 1e-06 or more (inf: no ticks), not 0.0." in refusal(
        Own, monkeypatch
    )


@dataclass
class Whole(Policy):
    """Fields, state, constants, classes inside, private names, freer signatures: all allowed."""

    EDGES = (1, 2)
    pin_s: float = 1.0
    level: int = field(default=0, init=False)
    _seen: dict[str, int] = field(default_factory=dict, init=False)

    sorts_running = True

    class Rank: ...

    def retain(self, paused: Any, view: Any, *more: Any, **facts: Any) -> Any:
        return Release()

    def victim(self, running: Any, view: Any, why: str = "") -> Any:
        return running[0]

    @staticmethod
    def chunk(req: Any, num_tokens: int, view: Any) -> int:
        return num_tokens

    @lru_cache(maxsize=8)  # noqa: B019
    def shrink(self, req: Any, num_tokens: int, room_tokens: int, view: Any) -> int:
        return num_tokens

    def _helps(self) -> None: ...


class Below(Whole):
    def reclaim(self, held: Any, needs: Any, view: Any) -> Any:
        return None


class Both(Policy, Admission):
    """A policy that is its own admission controller."""

    def admit(self, waiting: Any, state: Any) -> Any:
        return [c.session_id for c in waiting]


Both.controller = Both


@pytest.mark.parametrize("cls", [Whole, Below, Both])
def test_a_class_that_is_asked_as_it_is_written_is_taken(
    cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, admission = loaded(cls, monkeypatch)
    assert type(policy) is cls
    assert isinstance(admission, Admission)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_of_ours_is_one(name: str) -> None:
    registry.load(name).build({})
