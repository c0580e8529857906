"""What is installed, and by what: uv, told what pip is told, at the versions that ship with us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.setup.pip_settings import read_pip_config, uv_environment

NO_PACKAGES = (
    "A package could not be installed (see above). Without a network, or behind a proxy, name a "
    "reachable index in pip's settings (pip config set global.index-url …), then type the same "
    "again: what has been downloaded is kept."
)
TORCH_WITH_CUDA = (
    "Note: no CPU build of torch is to be had here, so the default build and its CUDA libraries "
    "are installed, about 4 GB more."
)
# Imported once, so that their .pyc files exist: vLLM's first import takes 30 s without them.
# Compiling all that is installed would take longer and 250 MB more.
WARM_UP = (
    "import matplotlib.pyplot, pandas, pyarrow.parquet, rich.progress, scipy.stats;"
    "import vllm.config, vllm.v1.core.sched.async_scheduler, vllm.v1.structured_output;"
    "import vllm.model_executor.models.registry, vllm.v1.kv_cache_interface;"
    # What building a VllmConfig imports along the way.
    "import vllm.model_executor.models.config, vllm.v1.attention.backends.mla.indexer;"
    "import vllm.v1.executor.abstract, transformers.models.qwen3.configuration_qwen3;"
)
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_TARGET_DEVICE": "cpu",
}


def say(message: str) -> None:
    """On standard error, which nobody reads as a result."""
    sys.stderr.write(f"set-up: {message}\n")
    sys.stderr.flush()


def requirements() -> Path:
    """Where the locked versions are: in the installed package, or in the repository."""
    installed = Path(__file__).parent / "requirements"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "requirements"


@dataclass(frozen=True, slots=True)
class Installer:
    """uv as a command, the environment that it installs into, and what it is told."""

    uv: tuple[str, ...]
    into: Path
    env: Mapping[str, str]

    @classmethod
    def of(cls, uv: tuple[str, ...], into: Path, pip: Path | None) -> Installer:
        """pip: the Python whose pip says which indexes there are; None where there is no pip."""
        told = uv_environment(read_pip_config(pip), os.environ) if pip else dict(os.environ)
        return cls(uv, into, told | {"VIRTUAL_ENV": str(into), "UV_NO_PROGRESS": "1"})

    def install(self, *arguments: str, quiet: bool = False) -> bool:
        """Whether it could be installed; unless `quiet`, uv has said why not."""
        # Named, since uv would take the environment that it runs in for the one that is meant;
        # away from the user's folder, whose project may have settings of its own.
        command = [*self.uv, "pip", "install", "--quiet", "--python", str(self.into), *arguments]
        errors = subprocess.DEVNULL if quiet else None
        done = subprocess.run(command, cwd=self.into, env=self.env, stderr=errors, check=False)  # noqa: S603
        return done.returncode == 0

    def must(self, *arguments: str) -> None:
        """Raises UsageError where it cannot be installed."""
        if not self.install(*arguments):
            raise UsageError(NO_PACKAGES)

    def install_torch(self, has_gpu: bool) -> None:
        """The CPU build where one is offered: beside the indexes, or by PyTorch.

        Raises UsageError where there is none at all.
        """
        torch = locked_torch()
        if any(self.into.glob(f"lib/*/site-packages/{torch.replace('==', '-')}*.dist-info")):
            return
        if not has_gpu:
            if self.install("--no-deps", f"{torch}+cpu", quiet=True):
                return
            if self.install("--no-deps", "--torch-backend", "cpu", torch, quiet=True):
                return
            say(TORCH_WITH_CUDA)
        self.must("-c", str(requirements() / "lock.txt"), torch)


def install_uv(python: Path) -> bool:
    """The uv that is locked, by the pip of that Python; False where that cannot be."""
    command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--no-deps", "-r", str(requirements() / "uv.txt")]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603


def locked_torch() -> str:
    """ "torch==2.13.0" """
    lines = (requirements() / "torch.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("torch=="))


def warm_up(python: Path, more: str = "") -> bool:
    """Whether vLLM's scheduler can be imported; what that compiles is kept for the first run."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Away from the user's folder, so that nothing of it hides an installed package.
    command, away = [str(python), "-c", WARM_UP + more], python.parent.parent
    return subprocess.run(command, cwd=away, env=env | QUIET, check=False).returncode == 0  # noqa: S603
