"""How the site shows docstrings: a line that explains a name is an item of a list, and an option of
the command line says what its help says.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from griffe import Attribute, Docstring, ExprCall, ExprSubscript, ExprTuple, Extension, Object

EXPLAINED = re.compile(r"^(?P<names>[a-z_]\w*(?:, [a-z_]\w*)*): ")


def as_list(text: str) -> str:
    """Lines like `at: seconds since …` as items; what is indented below them stays theirs."""
    shown: list[str] = []
    for line in text.splitlines():
        item = EXPLAINED.sub(r"- `\g<names>`: ", line)
        if item != line or (_in_item(shown) and not line.startswith(" ")):
            shown.append("")
        shown.append(item)
    return "\n".join(shown)


def _in_item(shown: list[str]) -> bool:
    return next((line.startswith("- `") for line in reversed(shown) if line[:1] != " "), False)


class Lists(Extension):
    """Asked of every object that has been read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_list(obj.docstring.value)

    def on_attribute(self, *, attr: Attribute, **_: Any) -> None:
        """`Annotated[int | None, Option("N", "Tokens a block", …)]`: that type, those words."""
        hint = attr.annotation
        if not (isinstance(hint, ExprSubscript) and str(hint.left) == "Annotated"):
            return
        if isinstance(hint.slice, ExprTuple):
            type_, *notes = hint.slice.elements
            attr.annotation = type_
            about = next((_about(n) for n in notes if isinstance(n, ExprCall)), None)
            attr.docstring = attr.docstring or (about and Docstring(about, parent=attr))


def _about(call: ExprCall) -> str | None:
    """The second value of an Option; None where it is no plain text."""
    if str(call.function) != "Option":
        return None
    about = ast.parse(str(call.arguments[1]), mode="eval").body
    return str(about.value) if isinstance(about, ast.Constant) else None
