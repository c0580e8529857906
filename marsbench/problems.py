"""Says in a few words which field of a file from outside is wrong, and how."""

from __future__ import annotations

import json
from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

_LONGEST = 200

_EXPECTED = {
    "int_type": "int",
    "int_parsing": "int",
    "int_from_float": "int",
    "float_type": "number",
    "float_parsing": "number",
    "finite_number": "finite number",
    "string_type": "string",
    "list_type": "list",
    "tuple_type": "list",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "bool_type": "bool",
}


class Strict(BaseModel):
    """A table of a file from outside: no fields but its own, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def first_problem(error: ValidationError, tags: Collection[str] = ()) -> str:
    """The first complaint as `field[3].name: what is wrong`.

    tags: names that pydantic adds to the path for the members of a union; they are no fields.
    """
    problem = error.errors(include_url=False)[0]
    where = field_path([part for part in problem["loc"] if part not in tags])
    return f"{where}: {_complaint(problem)}" if where else _complaint(problem)


def field_path(parts: Collection[str | int]) -> str:
    """`("requests", 3, "in")` as `requests[3].in`."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def json_problem(error: ValueError | RecursionError) -> str:
    """What is wrong with a text that is no JSON, as `is ...`: in a user's words, not a parser's."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "is not text but binary"
    if not isinstance(error, json.JSONDecodeError):  # an integer of thousands of digits
        return f"holds a number that is none ({str(error).partition(':')[0]})"
    rest, is_line = error.doc[error.pos :].strip(), "\n" not in error.doc.strip()
    place = f"column {error.colno}" if is_line else f"line {error.lineno}, column {error.colno}"
    if not error.doc.strip():
        return "is empty"
    if not rest or error.msg.startswith("Unterminated string"):
        return f"is cut short: what begins before {place} has no end"
    shown = f"{rest[:20]}…" if len(rest) > 20 else rest
    if error.msg == "Extra data":
        return f"goes on behind its end ({shown!r} at {place})"
    return f"is no JSON ({shown!r} at {place})"


def _complaint(problem: ErrorDetails) -> str:
    kind, given = problem["type"], problem["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "no such field; check the spelling"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {_named(given)}"
    if kind == "literal_error":  # a choice of names: what was typed instead is short
        return f"should be {problem['ctx']['expected']}, got {given!r:.40}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]} …"  # it quotes a tag
    return message if kind == "value_error" else f"{message}, got {_named(given)}"


def _named(given: object) -> str:
    """A number as it is; of anything else its type, for it may be long."""
    if isinstance(given, float) or (isinstance(given, int) and not isinstance(given, bool)):
        return repr(given)
    return "null" if given is None else type(given).__name__
