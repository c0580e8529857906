"""Options of a command as the words that one types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Words = tuple[str, ...]


def words_of(name: str, value: object) -> Iterator[str]:
    """An option's name before each of its values; of a flag that is set its name alone."""
    if value is True:
        yield name
    elif value is not False and value is not None:
        for each in value if isinstance(value, list | tuple) else (value,):
            yield from (name, str(each))


def options_in(words: Sequence[str]) -> Iterator[Words]:
    """Words as options with their values, for commands of which no value begins with "--"."""
    option: Words = ()
    for word in words:
        if word.startswith("--") and option:
            yield option
            option = ()
        option = (*option, word)
    yield option


def as_set(value: object) -> str:
    """A parameter's value as `--set` reads it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
