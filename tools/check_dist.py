"""Has twine look at a wheel and an sdist, in an environment of its own.

.venv/bin/python tools/check_dist.py dist
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from marsbench.setup.installer import Installer

UV = (sys.executable, "-m", "uv")
TWINE = (*UV, "tool", "run", "--quiet", "--isolated", "--from", "twine>=6", "twine")
NO_TWINE = "twine cannot be had here: no index that can be reached has it."


def check(folder: Path) -> subprocess.CompletedProcess[str] | None:
    """What twine says of every file there; None where twine cannot be had."""
    env = dict(Installer.of(UV, folder, Path(sys.executable)).env)
    if subprocess.run([*TWINE, "--version"], env=env, capture_output=True, check=False).returncode:
        return None
    command = [*TWINE, "check", "--strict", *map(str, sorted(folder.iterdir()))]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def main() -> None:
    folder = Path(sys.argv[1])
    done = check(folder)
    if done is None:
        sys.exit(NO_TWINE)
    print(done.stdout, end="")
    for path in sorted(folder.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
