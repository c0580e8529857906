"""The table of backends: read it and you know them all.

A third party's package adds one through the entry point group "marsbench.backends"; an import
path ("my_module:MyPolicy") works without any installation.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from marsbench_backends.admission import Admission
from marsbench_backends.policy import Policy

BACKENDS = {
    "fcfs": "marsbench_backends.fcfs:FCFS",
    "fcfs-cap": "marsbench_backends.fcfs:FCFS+marsbench_backends.admission:FixedCap",
}
ENTRY_POINTS = "marsbench.backends"


class BackendError(ValueError):
    """A backend that does not exist or cannot be built: one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a backend, as `marsbench backends` lists it."""

    name: str
    default: object
    kind: str


@dataclass(frozen=True)
class Backend:
    """What a user names with --backend: a policy, an admission controller, their parameters."""

    name: str
    policy: type[Policy]
    admission: type[Admission]

    @property
    def about(self) -> str:
        """The header of the policy's file: the idea, the paper, what is not modelled."""
        source = self.admission if self.policy.__doc__ == Policy.__doc__ else self.policy
        return (importlib.import_module(source.__module__).__doc__ or "").strip()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The dataclass fields of the policy and of the admission controller."""
        return tuple(
            Parameter(f.name, _default(f), _kind(cls, f))
            for cls in (self.policy, self.admission)
            if dataclasses.is_dataclass(cls)
            for f in dataclasses.fields(cls)
            if f.init
        )

    def build(self, settings: Mapping[str, object]) -> tuple[Policy, Admission]:
        """A fresh policy and controller. Raises BackendError for a setting that is not one."""
        known = {p.name for p in self.parameters}
        for name in settings:
            if name not in known:
                raise BackendError(_unknown(f"parameter of {self.name}", name, known))
        return self._make(self.policy, settings), self._make(self.admission, settings)

    def _make(self, cls: type[Any], settings: Mapping[str, object]) -> Any:
        if not dataclasses.is_dataclass(cls):
            return cls()
        own = {f.name: _kind(cls, f) for f in dataclasses.fields(cls) if f.init}
        values = {n: _typed(self.name, n, own[n], v) for n, v in settings.items() if n in own}
        try:
            return cls(**values)
        except ValueError as error:
            raise BackendError(f"{self.name}: {error}.") from error


def load(name: str) -> Backend:
    """The backend of that name: from the table, an entry point, or an import path."""
    targets = installed()
    if name in targets:
        policy, _, admission = targets[name].partition("+")
    elif ":" in name:
        policy, admission = name, ""
    else:
        own = "For your own, give an import path: --backend my_module:MyPolicy"
        raise BackendError(f"{_unknown('backend', name, targets)} {own}")
    found = _import(name, policy)
    controller = _import(name, admission) if admission else getattr(found, "controller", Admission)
    return Backend(name, found, controller)


def installed() -> dict[str, str]:
    """Name to import path of every backend that can be named, our own first."""
    others = {e.name: e.value for e in entry_points(group=ENTRY_POINTS)}
    return {**BACKENDS, **{n: t for n, t in sorted(others.items()) if n not in BACKENDS}}


def _import(name: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BackendError(
            f"Backend '{name}' cannot be imported from '{target}': {error}. "
            "Check the spelling, and that its folder is on PYTHONPATH."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Policy | Admission)):
        raise BackendError(f"Backend '{name}': '{target}' is no subclass of Policy.")
    return found


def _unknown(kind: str, given: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(given, sorted(known), n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"Unknown {kind} '{given}'.{hint} Known: {', '.join(sorted(known)) or 'none'}."


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def _kind(cls: type, field: dataclasses.Field[Any]) -> str:
    return str(field.type)


def _typed(backend: str, name: str, kind: str, value: object) -> object:
    """The value as the field's type; text from the command line is parsed."""
    parsers = {"int": int, "float": float, "bool": _boolean, "str": str}
    parser = parsers.get(kind.removesuffix(" | None"))
    if value is None or (isinstance(value, str) and value == "none" and kind.endswith("None")):
        return None
    if parser is None:
        if isinstance(value, str) and kind.startswith("tuple["):
            item = parsers[kind.removeprefix("tuple[").partition(",")[0]]
            return tuple(item(v) for v in value.split(","))
        return tuple(value) if isinstance(value, list) else value
    try:
        return parser(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise BackendError(f"{backend}.{name} must be of type {kind}, not '{value}'.") from error


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError(value)
    return words[str(value).lower()]
