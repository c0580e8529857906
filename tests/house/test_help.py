"""`import marsbench` and `--help` answer at once: they load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from house.sources import ROOT

HEAVY = ("torch", "vllm", "pandas", "scipy", "matplotlib", "pyarrow", "transformers")
REPORT = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
HAS_CLI = (ROOT / "marsbench" / "cli.py").exists() or (ROOT / "marsbench" / "cli").is_dir()
HELP = """
import sys
sys.argv = ["marsbench", *{arguments!r}]
from marsbench.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def loaded_by(code: str) -> list[str]:
    """The heavy modules that `code` has loaded by its end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.split()


def test_importing_marsbench_loads_nothing_heavy() -> None:
    assert loaded_by("import marsbench, marsbench.api, marsbench_backends") == []
    assert loaded_by("import marsbench; marsbench.run, marsbench.Run") == []
    assert (
        loaded_by("import marsbench; import sys; assert 'marsbench.api' not in sys.modules") == []
    )


@pytest.mark.skipif(not HAS_CLI, reason="no command line yet")
@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by(HELP.format(arguments=arguments)) == []
