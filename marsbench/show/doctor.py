"""What is installed here, what is missing, and what to type for it."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from marsbench.core.code import ROOT
from marsbench.core.isolated import cache_folder
from marsbench.errors import UsageError
from marsbench.extras import SIM, missing_base_modules
from marsbench.runs.provenance import Provenance
from marsbench.text.console import drawn
from marsbench.text.tables import Styled, Table
from marsbench.trees.imported import imported
from marsbench.version import __version__
from marsbench.wall.agents.environment import agents_python

BLOCKS = "marsbench/shortcuts/blocks.c"


@dataclass(frozen=True, slots=True)
class DoctorRow:
    """One thing that was looked for.

    found: what there is; None where it is missing. cure: what to type then, or what does without.
    needed: whether `marsbench run` cannot do without.
    """

    what: str
    found: str | None
    cure: str = ""
    needed: bool = False


def examine() -> tuple[DoctorRow, ...]:
    """Everything, in the order in which a user needs it. Imports no vLLM and asks no network."""
    return tuple(check() for check in CHECKS)


def is_ready(checks: Sequence[DoctorRow]) -> bool:
    """Whether `marsbench run` has all that it needs."""
    return all(one.found is not None for one in checks if one.needed)


def show_checks(checks: Sequence[DoctorRow], console: Console) -> None:
    """A row each, and what to type for what is missing."""
    console.print(drawn(Table((), [_row(one) for one in checks], "Ll")))
    ready = (
        "`marsbench run` has all that it needs" if is_ready(checks) else "`marsbench run` cannot"
    )
    console.print(f"{ready}.", highlight=False)


def _row(one: DoctorRow) -> tuple[str, Styled, str]:
    if one.found is not None:
        return one.what, Styled(one.found, "green"), ""
    sign = Styled("missing", "red") if one.needed else Styled("none", "yellow")
    return one.what, sign, one.cure


def checks_json(checks: Sequence[DoctorRow]) -> str:
    """The same for machines: one JSON object on one line."""
    record = {"ready": is_ready(checks), "checks": [asdict(one) for one in checks]}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _own() -> DoctorRow:
    code = Provenance.here()
    commit = "" if code.commit is None else f" ({code.label})"
    return DoctorRow("marsbench", f"{__version__}{commit}")


def _python() -> DoctorRow:
    return DoctorRow("Python", platform.python_version(), needed=True)


def _base() -> DoctorRow:
    missing = sorted(missing_base_modules())
    cure = f"{', '.join(missing)}: `pip install marsbench` once more"
    return DoctorRow("base modules", None if missing else "all", cure, needed=True)


def _vllm() -> DoctorRow:
    tree = imported()
    if tree is None:
        return DoctorRow("vLLM", None, SIM.cure, needed=True)
    other = "" if tree.is_pinned else ", not the one that marsbench is pinned to"
    return DoctorRow("vLLM", f"{tree.label}{other}", needed=True)


def _compiled() -> DoctorRow:
    """Whether the block loops are built from the code that lies here, as `compiled.py` asks."""
    cure = "runs are the same and slower; `make setup` in a checkout with a C compiler builds them"
    try:
        built: Any = importlib.import_module("marsbench.shortcuts._blocks")
        is_ours = hashlib.sha256((ROOT / BLOCKS).read_bytes()).hexdigest() == built.SOURCE
    except (ImportError, OSError):
        return DoctorRow("compiled block loops", None, cure)
    return DoctorRow(
        "compiled block loops", "built" if is_ours else None, f"of another code: {cure}"
    )


def _gpu() -> DoctorRow:
    """As NVIDIA's own tool says; torch would take seconds to load."""
    cure = "simulated runs need none; `marsbench serve` can emulate one"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return DoctorRow("GPU", None, cure)
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return DoctorRow("GPU", None, cure)
    names = said.stdout.split("\n") if said.returncode == 0 else []
    return DoctorRow("GPU", ", ".join(filter(None, names)) or None, cure)


def _agents() -> DoctorRow:
    try:
        return DoctorRow("real agents (OpenHands)", _from_home(agents_python()))
    except UsageError as error:
        return DoctorRow("real agents (OpenHands)", None, str(error))


def _fonts() -> DoctorRow:
    """Reports are set with matplotlib's fonts, not the system's."""
    cure = "reports have no PDF: `pip install --force-reinstall matplotlib`"
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        return DoctorRow("fonts of reports", None, cure)
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return DoctorRow("fonts of reports", "DejaVu, matplotlib's" if font.is_file() else None, cure)


def _cache() -> DoctorRow:
    folder = cache_folder()
    cure = f"{folder} cannot be written, so times alone are computed anew; set XDG_CACHE_HOME"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return DoctorRow("cache of times alone", None, cure)
    return DoctorRow("cache of times alone", _from_home(folder))


def _from_home(path: Path) -> str:
    """ "~/.cache/…", which can be shown to others."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _workers() -> DoctorRow:
    """What a sweep plays on."""
    own = hasattr(os, "sched_getaffinity")
    return DoctorRow("CPUs", str(len(os.sched_getaffinity(0)) if own else os.cpu_count()))


CHECKS: Sequence[Callable[[], DoctorRow]] = (
    _own, _python, _base, _vllm, _compiled, _workers, _gpu, _agents, _fonts, _cache,
)  # fmt: skip
