"""The parameters of a policy or an admission controller: the fields of its dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Union, get_args, get_origin

WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class OtherReadings:
    """Why a default is what it is, and the other values that a reader of the paper might choose.

    silent: the paper gives no value, so the default is ours; else it is published, and varied.
    """

    others: tuple[object, ...]
    why: str
    silent: bool = True


def ours(default: object, *others: object, why: str) -> Any:
    """A parameter whose value the paper does not give."""
    return field(default=default, metadata={"reading": OtherReadings(others, why)})


def varied(default: object, *others: object, why: str) -> Any:
    """A parameter whose value is published, by the paper or in its code, for another world."""
    return field(default=default, metadata={"reading": OtherReadings(others, why, silent=False)})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, its type as written, its default, and other readings of it."""

    name: str
    kind: str
    default: object
    reading: OtherReadings | None = None

    def parse(self, value: object) -> object:
        """The value as this type; text, as it comes from a command line, is read.

        Raises ValueError when it is of another type.
        """
        if isinstance(value, str):
            return _read(self.kind, value)
        return tuple(value) if isinstance(value, list) else value


def told(value: object) -> Any:
    """A value as JSON can hold it, and as text gives it: infinity, which JSON lacks, is a word."""
    if isinstance(value, tuple):
        return tuple(map(told, value))
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def values_of(one: object) -> dict[str, Any]:
    """The parameters of a policy, controller or router with their values, as JSON can hold them."""
    return {p.name: told(getattr(one, p.name)) for p in parameters_of(type(one))}


def parameters_of(cls: type) -> Iterator[Parameter]:
    """The parameters that a class takes; none when it is no dataclass."""
    for one in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if one.init:
            reading = one.metadata.get("reading")
            yield Parameter(one.name, _written(one.type), _default(one), reading)


def make(cls: type[Any], settings: Mapping[str, object]) -> Any:
    """An instance with those of the settings that are its parameters.

    Raises ValueError naming the parameter whose value is of another type.
    """
    values = {}
    for parameter in parameters_of(cls):
        if parameter.name in settings:
            value = settings[parameter.name]
            try:
                values[parameter.name] = parameter.parse(value)
            except ValueError as error:
                raise ValueError(
                    f"{parameter.name} must be of type {parameter.kind}, not '{value}'"
                ) from error
        elif parameter.default is dataclasses.MISSING:
            raise ValueError(f"{parameter.name} has no default: --set {parameter.name}=VALUE")
    return cls(**values)


def _written(annotation: Any) -> str:
    """An annotation as written, also where the module does not postpone annotations."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if get_origin(annotation) is Union:  # Optional[int]
        return " | ".join(_written(part) for part in get_args(annotation)).replace(
            "NoneType", "None"
        )
    return str(annotation)


def _default(one: dataclasses.Field[Any]) -> object:
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return one.default


def _read(kind: str, text: str) -> object:
    kind, optional, _ = kind.partition(" | None")
    if optional and text == "none":
        return None
    if kind.startswith("tuple["):
        item = _READERS[kind.removeprefix("tuple[").partition(",")[0]]
        return tuple(item(part) for part in text.split(","))
    return _READERS.get(kind, str)(text)


def _number(text: str) -> float:
    value = float(text)
    if math.isnan(value):
        raise ValueError(text)
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in WORDS:
        raise ValueError(text)
    return WORDS[text.lower()]


_READERS: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": _number,
    "bool": _boolean,
    "str": str,
}
