"""The options of a command as they were typed, so that they can be typed again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

NOT_OF_THE_RUN = ("output", "as_json")
"""Where its folder lies and what is printed of it."""

ADDRESSES = {"url": "URL", "kv_events": "ENDPOINT"}
"""Where somebody's server listened is nothing that a run folder tells: put one's own there."""


def typed(context: typer.Context) -> tuple[str, ...]:
    """The words of the options that were given, defaults left out: ("--rate", "0.2", …)."""
    given = {name: value for name, value in context.params.items() if _was_given(context, name)}
    return words(context.command, given)


def words(command: Any, given: Mapping[str, Any]) -> tuple[str, ...]:
    """How the command is told these values of its parameters, in the order of its options."""
    return tuple(
        word
        for option in command.params
        if option.name in given and option.name not in NOT_OF_THE_RUN
        for word in _words(option, given[option.name])
    )


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _words(option: Any, value: Any) -> Iterator[str]:
    """An option's name before each of its values; of a flag its name alone."""
    name = option.opts[-1]
    if isinstance(value, bool):
        if value:
            yield name
        return
    for each in value if isinstance(value, list | tuple) else [value]:
        yield from (name, ADDRESSES.get(option.name) or _value(each))


def _value(value: object) -> str:
    """As typed; an absolute path as one from here, for it names a machine."""
    text = str(value)
    return os.path.relpath(text) if Path(text).is_absolute() else text
