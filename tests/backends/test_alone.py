"""A serving machine has the wheel without extras, and vLLM: nothing else is needed there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from house.sources import is_in, our_imports, our_modules

HARNESS = (
    *("marsbench", "numpy", "pandas", "pyarrow", "scipy", "pydantic", "typer", "rich", "httpx"),
    *("aiohttp", "msgspec", "zmq", "matplotlib", "seaborn", "jinja2", "typst", "datasets"),
    *("prometheus_client", "ray", "httpx_aiohttp"),
)
REPORT = """
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
print(*[name for name in {absent!r} if name in sys.modules])
"""


def needs_vllm(name: str) -> bool:
    """Whether it imports vLLM, itself or through another module of ours."""
    targets = [found.target for found in our_imports() if found.importer == name]
    if any(is_in(target, "vllm") for target in targets):
        return True
    ours = {m for m, _ in our_modules() if any(is_in(target, m) for target in targets)}
    return any(needs_vllm(m) for m in ours if is_in(m, "marsbench_backends"))


MODULES = [name for name, _ in our_modules() if name.split(".")[0] == "marsbench_backends"]
PURE = [name for name in MODULES if not needs_vllm(name)]


def loaded(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_policies_load_nothing_of_the_harness_nor_vllm() -> None:
    absent = (*HARNESS, "vllm", "torch")
    assert loaded(REPORT.format(modules=PURE, absent=absent)) == []


def test_the_list_is_of_all_modules() -> None:
    pure = {"marsbench_backends.policies.mars", "marsbench_backends.vllm.session_table"}
    assert pure <= set(PURE)
    assert "marsbench_backends.vllm.server" in set(MODULES) - set(PURE)


@pytest.mark.vllm
def test_the_scheduler_loads_no_more_than_vllm_does() -> None:
    """What our modules load of the harness's libraries, vLLM's own have loaded already."""
    vllms = ("v1.core.sched.async_scheduler", "distributed.kv_transfer.kv_connector.v1.base")
    first = "".join(f"import vllm.{name}\n" for name in vllms)
    first += f"import sys\nabsent = [n for n in {HARNESS!r} if n not in sys.modules]\n"
    code = first + REPORT.format(modules=MODULES, absent=()).replace("()", "absent")
    assert loaded(code) == []
