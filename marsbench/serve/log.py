"""What a server's log says about why it is not there."""

from __future__ import annotations

import re
from pathlib import Path

_PREFIX = re.compile(r"^\((?:APIServer|EngineCore|Worker)[^)]*\)\s*")
_REASON = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*|.*\berror: .*")
_POINTER = "See root cause above"  # vLLM's API server, of an engine that said more
LONGEST = 300
TAIL = 5


def reason(log: Path) -> str:
    """The line that says most: the last that names an error, else the last one."""
    lines = [_PREFIX.sub("", line).strip() for line in log.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if _REASON.match(line) and _POINTER not in line]
    found = next(reversed(errors or lines), "its log is empty")
    return found if len(found) <= LONGEST else found[:LONGEST] + "…"


def tail(log: Path) -> str:
    """Its last lines, each shortened."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    return "\n".join(f"  {line[:LONGEST]}" for line in lines) or "  it is empty"
