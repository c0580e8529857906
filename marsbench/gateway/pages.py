"""Metrics pages of several servers as one, each sample with its server's label."""

from __future__ import annotations

from collections.abc import Mapping

from marsbench.serve.metrics_page import UPSTREAM


def merged(pages: Mapping[str, bytes]) -> bytes:
    """The pages, by server. A family stands in one piece, as Prometheus wants it."""
    families: dict[str, list[str]] = {}
    for server, page in pages.items():
        name = ""
        for line in page.decode().splitlines():
            if line.startswith("#"):
                name = _family(line) or name
                about = families.setdefault(name, [])
                if line not in about:
                    about.append(line)
            elif line:
                families.setdefault(name, []).append(_labelled(line, server))
    return "".join(f"{line}\n" for lines in families.values() for line in lines).encode()


def _family(comment: str) -> str:
    """Of `# HELP name …` and `# TYPE name …`."""
    words = comment.split(maxsplit=3)
    return words[2] if len(words) > 2 and words[1] in ("HELP", "TYPE") else ""


def _labelled(sample: str, server: str) -> str:
    name, brace, rest = sample.partition("{")
    label = f'{UPSTREAM}="{server}"'
    if brace:
        comma = "" if rest.startswith("}") else ","
        return f"{name}{{{label}{comma}{rest}"
    name, _, value = sample.partition(" ")
    return f"{name}{{{label}}} {value}"
