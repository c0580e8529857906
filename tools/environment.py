"""Sets up .venv: everything that marsbench, its tests and its checks need, at locked versions.

    python3 tools/bootstrap.py          set up; instant where nothing has changed since
    python3 tools/bootstrap.py --lock   resolve the versions anew, write requirements/lock.txt

Standard library only, since it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from pip_settings import read_pip_config, uv_environment

ROOT = Path(__file__).resolve().parent.parent
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
NO_PACKAGES = (
    "A package could not be installed (see above). Without a network, or behind a proxy, name a "
    "reachable index in pip's settings (pip config set global.index-url …), then run make again: "
    "what has been downloaded is kept."
)
TORCH_WITH_CUDA = (
    "Note: no CPU build of torch is to be had here, so the default build and its CUDA libraries "
    "are installed, about 4 GB more."
)
# Imported once, so that their .pyc files exist: vLLM's first import takes 30 s without them.
# Compiling all that is installed would take longer and 250 MB more.
WARM_UP = (
    "import matplotlib.pyplot, pandas, pyarrow.parquet, rich.progress, scipy.stats, typer.testing;"
    "import hypothesis.strategies, pytest, xdist.plugin;"
    "import vllm.config, vllm.v1.core.sched.async_scheduler, vllm.v1.structured_output;"
    "import vllm.model_executor.models.registry, vllm.v1.kv_cache_interface;"
    # What building a VllmConfig imports along the way.
    "import vllm.model_executor.models.config, vllm.v1.attention.backends.mla.indexer;"
    "import vllm.v1.executor.abstract, transformers.models.qwen3.configuration_qwen3"
)
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_TARGET_DEVICE": "cpu",
}


def say(message: str) -> None:
    print(f"set-up: {message}", file=sys.stderr, flush=True)


def digest() -> str:
    """Changes whenever the environment has to: with a version, an entry point, a moved clone,
    what is compiled.
    """
    files = [*sorted(REQUIREMENTS.glob("*.txt")), Path(__file__)]
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


def install_uv() -> None:
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--no-deps", "-r", str(REQUIREMENTS / "uv.txt")]
    if subprocess.run(command, check=False).returncode:
        sys.exit(NO_PACKAGES)


def uv_env() -> dict[str, str]:
    env = uv_environment(read_pip_config(PYTHON), os.environ)
    return env | {"VIRTUAL_ENV": str(VENV), "UV_NO_PROGRESS": "1"}


def install(*arguments: str, env: dict[str, str], quiet: bool = False) -> bool:
    # Named, since uv would take the environment that it runs in for the one that is meant.
    into = ["--python", env["VIRTUAL_ENV"]]
    command = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", *into, *arguments]
    errors = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, cwd=ROOT, env=env, stderr=errors, check=False).returncode == 0


def locked_torch() -> str:
    lines = (REQUIREMENTS / "torch.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith("torch=="))


def install_torch(env: dict[str, str], has_gpu: bool) -> None:
    """Into $VIRTUAL_ENV, the CPU build where one is offered: beside the indexes, or by PyTorch."""
    torch = locked_torch()
    installed = f"lib/*/site-packages/{torch.replace('==', '-')}*.dist-info"
    if any(Path(env["VIRTUAL_ENV"]).glob(installed)):
        return
    if not has_gpu:
        if install("--no-deps", f"{torch}+cpu", env=env, quiet=True):
            return
        if install("--no-deps", "--torch-backend", "cpu", torch, env=env, quiet=True):
            return
        say(TORCH_WITH_CUDA)
    if not install("-c", str(LOCK), torch, env=env):
        sys.exit(NO_PACKAGES)


def install_rest(env: dict[str, str]) -> None:
    # No dependencies are looked up: the lock is complete, and vLLM's own list brings CUDA.
    build = ["--no-deps", "-r", str(LOCK), "-r", str(REQUIREMENTS / "vllm.txt")]
    if not install(*build, env=env):
        sys.exit(NO_PACKAGES)
    # hatchling is installed by now, so that the build needs no network.
    if not install("--no-deps", "--no-build-isolation", "-e", str(ROOT), env=env):
        sys.exit("marsbench itself could not be installed: see the message above.")


def warm_up() -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Away from the clone, so that no folder of it hides an installed package.
    done = subprocess.run([str(PYTHON), "-c", WARM_UP], cwd=VENV, env=env | QUIET, check=False)
    if done.returncode:
        sys.exit("The installed vLLM cannot be imported: see the message above.")


def set_up(wanted: str) -> None:
    began = time.perf_counter()
    if not works():
        make_venv()
    DONE.unlink(missing_ok=True)
    UNFINISHED.touch()
    say("installing into .venv (a minute or two, 3 GB)")
    install_uv()
    env = uv_env()
    install_torch(env, has_gpu=shutil.which("nvidia-smi") is not None)
    install_rest(env)
    say("importing vLLM's scheduler for the first time")
    warm_up()
    DONE.write_text(wanted)
    UNFINISHED.unlink()
    say(f"done in {time.perf_counter() - began:.0f} s")


def resolve() -> None:
    """Writes the lock, for every Python and platform, naming no path and no index."""
    command = [str(PYTHON), "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal"]
    command += ["--python-version", "3.11", "--fork-strategy", "fewest", "--no-header"]
    command += ["--annotation-style", "line", "--output-file", "requirements/lock.txt"]
    command += ["pyproject.toml", "requirements/vllm.in", "requirements/dev.in"]
    subprocess.run(command, cwd=ROOT, env=uv_env(), stdout=subprocess.DEVNULL, check=True)


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
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; the next make starts over with what has been downloaded.")
