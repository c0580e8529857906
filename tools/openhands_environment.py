"""Sets up .venv-openhands: real agents, at locked versions, on a Python of their own.

    .venv/bin/python tools/openhands_environment.py          instant where nothing has changed
    .venv/bin/python tools/openhands_environment.py --ai     the same with the whole application
    … --lock                                                 resolve the versions anew

PYTHON312 names a Python 3.12 or 3.13 where none is found. Exit code 3: there is none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from environment import NO_PACKAGES, PYTHON, REQUIREMENTS, ROOT, uv_env

WANTED = ("3.12", "3.13")
VARIABLE = "PYTHON312"
NO_PYTHON_CODE = 3
NO_PYTHON = (
    "Real agents need Python 3.12 or 3.13, and none was found: install one, or say where it is, "
    "as in `make openhands PYTHON312=/path/to/python3.12`."
)


@dataclass(frozen=True)
class Environment:
    """A lock file and the folder that it is installed into."""

    lock: Path
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def done(self) -> Path:
        return self.folder / "marsbench-setup-done"

    def digest(self) -> str:
        """Changes whenever the environment has to."""
        parts = [self.lock.read_bytes(), str(self.folder).encode(), Path(__file__).read_bytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def is_done(self) -> bool:
        return (
            self.python.exists() and self.done.exists() and (self.done.read_text() == self.digest())
        )


PLAIN = Environment(REQUIREMENTS / "openhands.txt", ROOT / ".venv-openhands")
WHOLE = Environment(REQUIREMENTS / "openhands-ai.txt", ROOT / ".venv-openhands-ai")


def say(message: str) -> None:
    print(f"openhands: {message}", file=sys.stderr, flush=True)


def version(python: str) -> str:
    """Its "3.12"; empty where it does not run: pyenv's names run only where they are chosen."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def candidates() -> list[str]:
    """Where a Python may be: as named, on the path, what uv knows, in pyenv's folder."""
    named = os.environ.get(VARIABLE)
    if named:
        return [named]
    found = [sys.executable, *(shutil.which(f"python{v}") or "" for v in WANTED)]
    for wanted in WANTED:
        command = [str(PYTHON), "-m", "uv", "python", "find", "--no-python-downloads", wanted]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        found.append(asked.stdout.strip())
    pyenv = os.environ.get("PYENV_ROOT")
    if pyenv:
        for wanted in WANTED:
            found += map(str, sorted(Path(pyenv).glob(f"versions/{wanted}.*/bin/python")))
    return [python for python in found if python]


def find_python() -> str:
    """The first Python that will do. Exits with 3 where there is none."""
    for python in candidates():
        if version(python) in WANTED:
            return python
    print(NO_PYTHON, file=sys.stderr)
    sys.exit(NO_PYTHON_CODE)


def install(environment: Environment) -> None:
    """Makes the environment; byte code too, since an import costs 20 s of CPU without."""
    base = find_python()
    began = time.perf_counter()
    say(f"installing into {environment.folder.name} (half a minute, 700 MB)")
    uv = [str(PYTHON), "-m", "uv"]
    env = uv_env() | {"VIRTUAL_ENV": str(environment.folder)}
    make = [*uv, "venv", "--quiet", "--clear", "--python", base, str(environment.folder)]
    build = [*uv, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode"]
    build += ["--python", str(environment.python), "-r", str(environment.lock)]
    for command in (make, build):
        if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode:
            sys.exit(NO_PACKAGES)
    environment.done.write_text(environment.digest())
    say(f"done in {time.perf_counter() - began:.0f} s")


def resolve(environment: Environment) -> None:
    """Writes the lock, naming no path and no index."""
    name = f"requirements/{environment.lock.stem}"
    command = [str(PYTHON), "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--no-header"]
    command += ["--annotation-style", "line", "--python", find_python(), "--python-version", "3.12"]
    # The application pins versions that not every index has for every Python: for 3.12 alone.
    command += [] if environment is WHOLE else ["--universal", "--fork-strategy", "fewest"]
    command += ["--output-file", f"{name}.txt", f"{name}.in"]
    subprocess.run(command, cwd=ROOT, env=uv_env(), stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    environment = WHOLE if "--ai" in sys.argv else PLAIN
    with Path(__file__).open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if "--lock" in sys.argv:
            resolve(environment)
        if not environment.is_done():
            install(environment)


if __name__ == "__main__":
    main()
