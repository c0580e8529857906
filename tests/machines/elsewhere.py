"""Other processors on this one: NumPy and the C library told to leave instructions unused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from numpy._core import _multiarray_umath as core

TESTS = Path(__file__).parents[1]
NUMPY = "NPY_DISABLE_CPU_FEATURES"
WIDE = ("AVX512", "X86_V4")  # as NumPy names them to 2.3, and from 2.4
C_LIBRARY = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"}


def _numpy_without(*names: str) -> dict[str, str]:
    """All that NumPy chooses at run time on this machine, of these names."""
    found = core.__cpu_features__
    chosen = [name for name in core.__cpu_dispatch__ if found[name] and name.startswith(names)]
    return {NUMPY: " ".join(chosen)} if chosen else {}


MACHINES: dict[str, dict[str, str]] = {
    "this": {},
    "without AVX-512": _numpy_without(*WIDE),
    "with the oldest instructions alone": _numpy_without(""),
    "with the oldest instructions in NumPy and the C library": _numpy_without("") | C_LIBRARY,
}


def told(script: str, machine: str) -> dict[str, str]:
    """What a script of this folder prints, as JSON, on such a machine."""
    ours = {name: value for name, value in os.environ.items() if name != NUMPY}
    done = subprocess.run(
        [sys.executable, "-m", f"machines.{script}"],
        cwd=TESTS,
        env=ours | MACHINES[machine],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found
