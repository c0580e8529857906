"""Folders that look like vLLM's, and small wheels: no download, and no copy of the real one."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from pathlib import Path

SCHEDULER = "vllm/v1/core/sched/scheduler.py"
FILES = {
    "vllm/__init__.py": "",
    "vllm/kernels.cu": "no Python",
    "vllm/other.py": "TEXT = 1\n",
    SCHEDULER: "class Scheduler:\n    kv_holding_waiting = None\n",
}


def written(root: Path) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def git(root: Path, *arguments: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(root)]
    done = subprocess.run(["git", *own, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(root: Path) -> str:
    """A checkout with one commit on main; the commit."""
    written(root)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return git(root, "rev-parse", "HEAD")


def wheel(path: Path, files: dict[str, bytes], wrong: str = "") -> Path:
    """wrong: the file that RECORD has another hash of."""
    rows = [
        f"{name},sha256={_hash(b'' if name == wrong else c)},{len(c)}" for name, c in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("vllm-0.40.0.dist-info/RECORD", "\n".join(rows))
    return path


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
