"""What pip is told about indexes on this machine, said to uv, which does not read pip's settings.

Read anew at every set-up and passed on through the environment: no path or host of a machine ends
up in a file.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit


def read_pip_config(python: Path) -> dict[str, str]:
    """pip's settings by option name; as in pip, the environment wins over its files."""
    shown = subprocess.run(  # noqa: S603
        [str(python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    return parse_pip_config(shown.stdout)


def parse_pip_config(text: str) -> dict[str, str]:
    # Lines look like global.index-url='…', install.find-links='…' and :env:.cert='…'.
    ranks = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        rank = ranks.get(section)
        if rank is not None and rank >= found.get(option, (-1, ""))[0]:
            found[option] = (rank, ast.literal_eval(value))
    return {option: value for option, (_, value) in found.items()}


def is_reachable(location: str) -> bool:
    """Whether a folder exists; of an address on the network nothing is known before it is used."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).exists()
    return bool(parts.scheme) or Path(location).expanduser().exists()


def existing(value: str) -> str:
    return " ".join(location for location in value.split() if is_reachable(location))


def first_word(value: str) -> str:
    return (value.split() or [""])[0]


def flag(value: str) -> str:
    return "1" if value.lower() in {"1", "true", "yes", "on"} else ""


TRANSLATION: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "index-url": ("UV_DEFAULT_INDEX", first_word),
    "extra-index-url": ("UV_INDEX", existing),
    "find-links": ("UV_FIND_LINKS", lambda value: existing(value).replace(" ", ",")),
    "no-index": ("UV_NO_INDEX", flag),
    "trusted-host": ("UV_INSECURE_HOST", str),
    "cert": ("SSL_CERT_FILE", existing),
    "proxy": ("ALL_PROXY", first_word),
    "timeout": ("UV_HTTP_TIMEOUT", first_word),
    "default-timeout": ("UV_HTTP_TIMEOUT", first_word),
}


def uv_environment(config: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: what is there already stays, pip's settings fill the gaps."""
    env = dict(environ)
    for option, (variable, translate) in TRANSLATION.items():
        value = translate(config.get(option, ""))
        if value:
            env.setdefault(variable, value)
    if "UV_INDEX" in env:
        # pip looks for a version on every index; uv would stop at the first that has the name.
        env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return env
