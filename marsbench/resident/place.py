"""Whether a command is for the resident process, and where that one listens.

Standard library only, and little of it: this runs before anything else does.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from marsbench.core.code import BACKENDS, ROOT, CodeFiles

VARIABLE = "MARSBENCH_RESIDENT"
"""`off`: never; `on`: in CI too."""

OPTION = "--no-resident"
OTHER_VLLM = ("--vllm", "--scheduler-cls")
"""What it has imported is the installed vLLM, and no class of a user's."""

VERBS = ("run", "capacity")
CODE = CodeFiles(("marsbench", BACKENDS))
READ_AT_IMPORT = ("VLLM_", "MARSBENCH_", "PYTHON", "HF_", "OMP_", "MKL_", "LD_")
"""A variable of these names may change what an import makes of itself."""


def is_wanted(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether this command plays in virtual time, and nobody said that it must do so alone."""
    if not hasattr(os, "fork") or not arguments or arguments[0] not in VERBS:
        return False
    switch = environment.get(VARIABLE, "")
    if switch == "off" or (switch != "on" and environment.get("CI")):
        return False
    alone = {OPTION, "--help", "--debug", *OTHER_VLLM} & {a.partition("=")[0] for a in arguments}
    return not alone and _engine(arguments) in (None, "sim") and has_vllm()


def has_vllm() -> bool:
    """Whether there is anything to import once; without, the command itself says what to type."""
    return find_spec("vllm") is not None


def _engine(arguments: Sequence[str]) -> str | None:
    for word, after in zip(arguments, [*arguments[1:], None], strict=True):
        if word == "--engine":
            return after
        if word.startswith("--engine="):
            return word.partition("=")[2]
    return None


def socket_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Of the process for this environment, this code and this user; its folder is the user's own.

    Raises OSError where the folder is somebody else's or cannot be made.
    """
    folder = Path(environment.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder /= f"marsbench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    stat = folder.stat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o077:
        raise PermissionError(f"{folder} can be entered by others")
    return folder / f"{_key(environment)}.sock"


def _key(environment: Mapping[str, str]) -> str:
    """Of all that a process that has imported everything would have to have imported anew: our
    code, vLLM's version, and what an import reads.
    """
    digest = hashlib.sha256(f"{sys.executable} {sys.version} {sys.path}".encode())
    for name in sorted(environment):
        if name.startswith(READ_AT_IMPORT):
            digest.update(f"{name}={environment[name]}\n".encode())
    digest.update(f"{ROOT} {CODE.hash_in(ROOT)}".encode())
    return digest.hexdigest()[:24]
