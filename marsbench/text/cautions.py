"""A caution on a screen, and what is said of a run that does not count: in one colour each."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape


def print_caution(console: Console, text: str, code: str = "") -> None:
    """What not to conclude: "caution SATURATED: The queue …"."""
    said = f"{code}: {text}" if code else text
    console.print(f"[yellow]caution[/yellow] {escape(said)}", highlight=False)


def print_invalid(console: Console, reason: str, backend: str = "") -> None:
    """Why a run does not count: "not valid: …", and of one among several "not valid mars: …"."""
    said = f" {backend}: {reason}" if backend else f": {reason}"
    console.print(f"[red]not valid[/red]{escape(said)}", highlight=False)
