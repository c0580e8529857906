"""What a class must be to be asked: looked at once, when a backend is loaded and when it is built.

A name that the base class does not have is asked by nobody, so `waitng_key` would be vLLM's own
order without a word. Hence every public name of a policy is one of Policy's or a dataclass's field.
Helpers begin with an underscore; constants and classes inside a class begin with a capital.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from marsbench_backends.admission import Admission
from marsbench_backends.answers.allowed import is_number, is_whole
from marsbench_backends.policy import Policy

BASES = {Policy: "a policy", Admission: "an admission controller"}
SHORTEST_TICK_S = 1e-6
"""Seconds; ticks that come faster would hold virtual time still."""
TICK = f"seconds, {SHORTEST_TICK_S:g} or more (inf: no ticks)"


def check_class(cls: type[Any]) -> None:
    """Raises ValueError, one sentence, for a subclass that would not be asked as it is written."""
    decisions = [n for base in _bases(cls) for n in decisions_of(base)]
    for name in decisions:
        _check_decision(cls, name)
    known = {name for base in _bases(cls) for name in _public(base)}
    for name, value in _own_names(cls):
        if name not in known:
            raise ValueError(_unasked(cls, name, value, known))
        if name not in decisions and inspect.isfunction(value):
            raise ValueError(
                f"{cls.__name__}.{name} is a method, and it is read as a value: write {name} = …"
            )


def check_values(built: Any) -> None:
    """Raises ValueError where an instance sets a decision, or a value to what it cannot be."""
    for base in _bases(type(built)):
        for name in decisions_of(base):
            if name in vars(built):
                raise ValueError(f"{name} is a decision of {BASES[base]}: write it as a method")
        for name, (allows, allowed) in _VALUES[base].items():
            value = getattr(built, name)
            if not allows(value):
                raise ValueError(f"{name} must be {allowed}, not {value!r}")


def decisions_of(base: type[Any]) -> list[str]:
    """The names of what Policy, or Admission, is asked and told."""
    return [name for name in _public(base) if inspect.isfunction(vars(base)[name])]


def _bases(cls: type[Any]) -> list[type[Any]]:
    return [base for base in BASES if issubclass(cls, base)]


def _public(cls: type[Any]) -> list[str]:
    return [name for name in vars(cls) if not name.startswith("_")]


def _own_names(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    """What the class and those below its base add; private names, capitals and fields aside."""
    names: dict[str, Any] = {}
    for one in cls.__mro__:
        if one not in (*BASES, object):
            names = {**vars(one), **names}
    for name, value in names.items():
        if not name.startswith("_") and not name[0].isupper() and name not in _fields(cls):
            yield name, value


def _fields(cls: type[Any]) -> set[str]:
    return {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()


def _unasked(cls: type[Any], name: str, value: object, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f": did you mean {close[0]}?" if close else "."
    what = BASES[_bases(cls)[0]]
    if callable(value) or isinstance(value, property | classmethod | staticmethod):
        rule = "Helpers begin with an underscore."
    else:
        rule = (
            f"Parameters are the fields of a dataclass (@dataclass above class {cls.__name__}); "
            "all else that is kept begins with an underscore."
        )
    return f"{cls.__name__} has {name}, which is no decision of {what}{hint} {rule}"


def _check_decision(cls: type[Any], name: str) -> None:
    found, asked = inspect.getattr_static(cls, name), _as_asked(cls, name)
    if name in _fields(cls):
        raise ValueError(
            f"{cls.__name__} has a field {name}, and {asked} is a decision: "
            "give the field another name."
        )
    if isinstance(found, property) or not callable(getattr(cls, name)):
        raise ValueError(f"{cls.__name__}.{name} is no method, and it is asked as {asked}.")
    method = found.__get__(object(), cls) if hasattr(found, "__get__") else found
    for is_so, what in _UNLIKE.items():
        if is_so(method):
            raise ValueError(f"{cls.__name__}.{name} is {what}; a decision is a plain method.")
    _check_signature(cls, name, inspect.signature(method))


def _check_signature(cls: type[Any], name: str, taken: inspect.Signature) -> None:
    try:
        taken.bind(*_given(cls, name))
    except TypeError as error:
        raise ValueError(
            f"{cls.__name__}.{name} takes {_words(taken)}, and it is asked as "
            f"{_as_asked(cls, name)}."
        ) from error


def _given(cls: type[Any], name: str) -> list[str]:
    """The names of what a decision is given."""
    base = next(base for base in _bases(cls) if name in vars(base))
    return list(inspect.signature(vars(base)[name]).parameters)[1:]


def _as_asked(cls: type[Any], name: str) -> str:
    return f"{name}({', '.join(_given(cls, name))})"


def _words(taken: inspect.Signature) -> str:
    return f"({', '.join(str(p.replace(annotation=p.empty)) for p in taken.parameters.values())})"


_UNLIKE: dict[Callable[[Any], bool], str] = {
    inspect.iscoroutinefunction: "a coroutine (async def)",
    inspect.isasyncgenfunction: "a generator (it has a yield)",
    inspect.isgeneratorfunction: "a generator (it has a yield)",
}
_BOOL = (lambda value: isinstance(value, bool), "True or False")
_VALUES: dict[type[Any], dict[str, tuple[Callable[[Any], bool], str]]] = {
    Policy: {
        "sorts_running": _BOOL,
        "clairvoyant": _BOOL,
        "host_tokens": (lambda n: is_whole(n) and n >= 0, "a whole number, 0 or more"),
        "max_running": (
            lambda n: n is None or (is_whole(n) and n >= 1),
            "None or a whole number, 1 or more",
        ),
        "version": (is_whole, "a whole number"),
    },
    Admission: {
        "clairvoyant": _BOOL,
        "tick_s": (lambda s: is_number(s) and s >= SHORTEST_TICK_S, TICK),
    },
}
