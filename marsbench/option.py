"""An option, declared where its owner stands: a field of a dataclass says what it is.

    seed: Annotated[int | None, Option("S", "Of the sessions", WORKLOAD)] = None

Plain values, so that rooms which know of no command line can declare theirs: `marsbench.cli` makes
a command's options of them, `marsbench.api` its keywords.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Part = TypeVar("Part", bound=DataclassInstance)


WORKLOAD = "Workload"
ENGINE = "Hardware and engine"
ADVANCED = "Advanced"
LIVE = "With --engine live or openhands"
LIMITS = "Limits"
VLLM = "Two vLLMs, in place of two folders"
PANELS = (None, WORKLOAD, ENGINE, ADVANCED, LIVE, LIMITS, VLLM)
"""Where the help shows options, in this order."""
Completes = Literal["backend", "router", "workload"]
"""What an option may name, so that a shell can complete it."""


@dataclass(frozen=True, slots=True)
class Option:
    """How a field is given on the command line.

    metavar: what stands for its value; None where the type says it, and for a flag.
    about: one line; it tells the default, unless shows_default has the help do so.
    names: where they are not the field's own, as "-o", "--output".
    typed: the type that is typed, where Python takes more than that.
    least, most: bounds of a number.
    completes: whose name it is.
    """

    metavar: str | None
    about: str
    panel: str | None = None
    names: tuple[str, ...] = ()
    typed: type | None = None
    least: int | None = None
    most: int | None = None
    shows_default: bool = False
    completes: Completes | None = None


BackendName = Annotated[str, Option("NAME", "Its name, or module:Class", completes="backend")]
Assignments = Annotated[
    Mapping[str, object] | Sequence[str],
    Option(
        "NAME.PARAM=VALUE",
        "A backend's parameter; repeatable",
        names=("--set",),
        typed=list[str],
    ),
]
Output = Annotated[
    str | Path | None,
    Option("DIR", "The run's folder (results/…)", names=("-o", "--output"), typed=Path),
]
WorkloadName = Annotated[
    str | Path,
    Option(
        "RECIPE|FILE", "A recipe, or sessions (ilr-1)", WORKLOAD, typed=str, completes="workload"
    ),
]
AsJson = Annotated[bool, Option(None, "Print one JSON object", names=("--json",))]


def option_in(hint: object) -> Option | None:
    """That of an annotation, if it has one."""
    return next((one for one in get_args(hint) if isinstance(one, Option)), None)


@cache  # every verb asks for those of a few dataclasses, each of many texts to be compiled
def hints_of(kind: type) -> Mapping[str, object]:
    """The annotations of a dataclass and its bases, evaluated, with what `Annotated` adds."""
    return get_type_hints(kind, include_extras=True)


def options_of(kind: type) -> dict[str, Option]:
    """By field of a dataclass: its own first, then each base's, a panel's beside each other."""
    hints = hints_of(kind)
    names = [name for owner in kind.__mro__ for name in inspect.get_annotations(owner)]
    found = {name: option for name in names if (option := option_in(hints[name]))}
    return dict(sorted(found.items(), key=lambda item: PANELS.index(item[1].panel)))


def like(kind: type, name: str) -> Option:
    """The option of another dataclass, for a field of that name which means the same."""
    return options_of(kind)[name]


def part(whole: Part, kind: type[Part]) -> Part:
    """The fields that a dataclass has of one of its bases, as one of that base alone."""
    make: Callable[..., Part] = kind
    return make(**{field.name: getattr(whole, field.name) for field in fields(kind)})


def assignments(parameters: Mapping[str, object] | Sequence[str]) -> tuple[str, ...]:
    """The parameters of a backend as they are typed: "cap=2"."""
    if isinstance(parameters, Mapping):
        return tuple(f"{name}={value}" for name, value in parameters.items())
    return tuple(parameters)
