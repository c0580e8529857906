"""Sets up .venv: everything that marsbench, its tests and its checks need, at locked versions.

    python3 tools/bootstrap.py          set up; instant where nothing has changed since
    python3 tools/bootstrap.py --lock   resolve the versions anew, write requirements/lock.txt

Standard library only, since it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # marsbench is not installed yet

from marsbench.errors import UsageError  # noqa: E402
from marsbench.setup.installer import NO_PACKAGES, Installer, install_uv, say, warm_up  # noqa: E402

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements"
LOCK = REQUIREMENTS / "lock.txt"
COMPILED = "marsbench/shortcuts/blocks.c"
DONE = VENV / "marsbench-setup-done"
UNFINISHED = VENV / "marsbench-setup-unfinished"

NO_VENV = (
    "This Python cannot make virtual environments: install its venv module "
    "(on Debian and Ubuntu: apt-get install python3-venv), then run make again."
)
# On top of what a run imports.
WARM_UP = "import typer.testing, hypothesis.strategies, pytest, xdist.plugin"


def digest() -> str:
    """Changes whenever the environment has to: with a version, an entry point, a moved clone,
    what is compiled.
    """
    files = [*sorted(REQUIREMENTS.glob("*.txt")), Path(__file__)]
    files += sorted((ROOT / "marsbench" / "setup").glob("*.py"))
    files += [ROOT / name for name in ("pyproject.toml", "hatch_build.py", COMPILED)]
    parts = [str(sys.version_info[:2]).encode(), str(ROOT).encode()]
    parts += [path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_done(wanted: str) -> bool:
    return PYTHON.exists() and DONE.exists() and DONE.read_text() == wanted


def works() -> bool:
    """Whether .venv is of this Python and this folder, and no earlier set-up stopped half-way."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    if str(VENV) not in (VENV / "pyvenv.cfg").read_text():
        return False
    ask = "import pip, sys; print(*sys.version_info[:2])"
    answer = subprocess.run([str(PYTHON), "-c", ask], capture_output=True, text=True, check=False)
    return answer.stdout.split() == [str(part) for part in sys.version_info[:2]]


def make_venv() -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        sys.exit(NO_VENV)
    if VENV.exists():
        say("starting over: .venv is unfinished, of another Python, or was moved")
    # The base interpreter, since .venv itself may be the active environment.
    base = getattr(sys, "_base_executable", "") or sys.executable
    if subprocess.run([base, "-m", "venv", "--clear", str(VENV)], check=False).returncode:
        sys.exit(NO_VENV)


def installer() -> Installer:
    return Installer.of((str(PYTHON), "-m", "uv"), VENV, PYTHON)


def install_rest(into: Installer) -> None:
    # No dependencies are looked up: the lock is complete, and vLLM's own list brings CUDA.
    into.must("--no-deps", "-r", str(LOCK), "-r", str(REQUIREMENTS / "vllm.txt"))
    # hatchling is installed by now, so that the build needs no network.
    if not into.install("--no-deps", "--no-build-isolation", "-e", str(ROOT)):
        sys.exit("marsbench itself could not be installed: see the message above.")


def set_up(wanted: str) -> None:
    began = time.perf_counter()
    if not works():
        make_venv()
    DONE.unlink(missing_ok=True)
    UNFINISHED.touch()
    say("installing into .venv (a minute or two, 3 GB)")
    if not install_uv(PYTHON):
        sys.exit(NO_PACKAGES)
    into = installer()
    into.install_torch(has_gpu=shutil.which("nvidia-smi") is not None)
    install_rest(into)
    say("importing vLLM's scheduler for the first time")
    if not warm_up(PYTHON, WARM_UP):
        sys.exit("The installed vLLM cannot be imported: see the message above.")
    DONE.write_text(wanted)
    UNFINISHED.unlink()
    say(f"done in {time.perf_counter() - began:.0f} s")


def resolve() -> None:
    """Writes the lock, for every Python and platform, naming no path and no index."""
    command = [str(PYTHON), "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal"]
    command += ["--python-version", "3.11", "--fork-strategy", "fewest", "--no-header"]
    command += ["--annotation-style", "line", "--output-file", "requirements/lock.txt"]
    command += ["pyproject.toml", "requirements/vllm.in", "requirements/dev.in"]
    subprocess.run(command, cwd=ROOT, env=installer().env, stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    with Path(__file__).open() as turn:
        # Two of us, as in `make run` beside `make test`, would write the same files.
        fcntl.flock(turn, fcntl.LOCK_EX)
        if "--lock" in sys.argv:
            resolve()
        wanted = digest()
        if not is_done(wanted):
            set_up(wanted)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; the next make starts over with what has been downloaded.")
