"""From options that a dataclass declares to those of a command."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Optional, get_args, get_origin, get_type_hints

import typer

from marsbench.cli.completion import COMPLETERS
from marsbench.option import Option, hints_of, option_in, options_of

NOTHING: tuple[object, ...] = (None, [])
"""What typer hands over where nothing was typed and there is no default."""


def verb(function: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """The function as typer takes one: a parameter that is a dataclass becomes its options.

    The function is handed one instance, made of what was typed. Its other parameters become
    options too where their annotation holds one. without: options that the command has not.
    """
    hints = get_type_hints(function, include_extras=True)
    kinds: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    options = {name: options_of(kind).keys() - without for name, kind in kinds.items()}

    @functools.wraps(function)
    def called(**typed: Any) -> None:
        for name, kind in kinds.items():
            values = {option: typed.pop(option) for option in options[name]}
            typed[name] = kind(**{o: value for o, value in values.items() if value not in NOTHING})
        function(**typed)

    parameters: list[Parameter] = []
    for one in signature(function).parameters.values():
        if one.name in kinds:
            parameters += _parameters(kinds[one.name], without)
        else:
            parameters.append(_parameter(one.name, hints[one.name], one.default))
    called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {}
    return called


def explicit(context: typer.Context) -> frozenset[str]:
    """Names of the options that were typed, as against left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(n for n, source in sources.items() if source and source.name == "COMMANDLINE")


def _parameters(kind: Any, without: Collection[str]) -> Iterator[Parameter]:
    hints = hints_of(kind)
    defaults = {field.name: field.default for field in fields(kind)}
    for name in options_of(kind):
        if name not in without:
            default = Parameter.empty if defaults[name] is MISSING else defaults[name]
            yield _parameter(name, hints[name], default)


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    """As typer reads it: an option of ours becomes one of its own, all else stays."""
    option = option_in(hint)
    if option is not None:
        kind = option.typed or get_args(hint)[0]
        if get_origin(kind) is list and default is not Parameter.empty:
            default = None  # typer would add what is typed to any other
        optional = Optional[kind] if default is None else kind  # noqa: UP045 (kind is a value)
        hint = Annotated[optional, _typers(name, option, kind is bool)]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _typers(name: str, option: Option, is_flag: bool) -> Any:
    """typer's own option. A flag has one name, and no value that the help could show."""
    return typer.Option(
        *(option.names or ([f"--{name.replace('_', '-')}"] if is_flag else [])),
        metavar=" " if is_flag else option.metavar,
        help=option.about,
        rich_help_panel=option.panel,
        show_default=option.shows_default,
        min=option.least,
        max=option.most,
        autocompletion=COMPLETERS[option.completes] if option.completes else None,
    )
