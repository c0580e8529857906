"""Tables are printed on our console alone: rich's own cuts them at 80 columns in a pipe."""

from __future__ import annotations

import re

from house.sources import ROOT

OWN = "marsbench/text/console.py"


def test_nobody_else_makes_a_console_of_standard_output() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {call}"
        for path in sorted((ROOT / "marsbench").rglob("*.py"))
        if str(path.relative_to(ROOT)) != OWN
        for call in re.findall(r"\bConsole\((?!stderr=True).*", path.read_text("utf-8"))
    ]
    assert not found
