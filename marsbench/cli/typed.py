"""The options of a command as they were typed, so that they can be typed again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from marsbench.text.options import words_of

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
        for word in words_of(option.opts[-1], _value(option.name, given[option.name]))
    )


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _value(name: str, value: Any) -> Any:
    """As typed; an absolute path as one from here, and an address as a word, for both name a
    machine."""
    if value and name in ADDRESSES:
        return ADDRESSES[name]
    if isinstance(value, list | tuple):
        return [_value(name, each) for each in value]
    is_absolute = not isinstance(value, bool) and Path(str(value)).is_absolute()
    return os.path.relpath(str(value)) if is_absolute else value
