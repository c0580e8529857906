"""What `--host-kv` takes, what vLLM makes of it, and a vLLM that lacks it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.backends import choose
from marsbench.core.settings import EngineSettings
from marsbench.errors import UsageError
from marsbench.offload.host_kv import HostKv, host_kv
from marsbench.serve.plan import ServeRequest, command, environment
from marsbench.serve.server import serving


def test_off_is_the_default_and_can_be_said() -> None:
    assert host_kv(None) is host_kv("off") is None
    assert host_kv("256") == HostKv(256.0)


def test_vllm_is_told_as_its_own_flags_would() -> None:
    eager = HostKv(2.0, eviction="mine.Policy", store="threshold:3").extra_config
    assert eager == {
        "cpu_bytes_to_use": 2 * 2**30,
        "eviction_policy": "Policy",
        "cache_policy_module_path": "mine",
        "store_threshold": 3,
    }
    lazy = HostKv(2.0, store="lazy")
    assert lazy.connector == "SimpleCPUOffloadConnector"
    assert lazy.extra_config == {"cpu_bytes_to_use": 2 * 2**30, "lazy_offload": True}


def served(store: str) -> ServeRequest:
    settings = EngineSettings(host_kv=HostKv(64.0, store=store))
    return ServeRequest(choose("fcfs", ()), model="some/model", settings=settings)


def test_a_real_server_gets_the_same_settings(tmp_path) -> None:  # type: ignore[no-untyped-def]
    request = served("threshold:2")
    words = command(request, 8000, "some/model")
    assert words[words.index("--kv-offloading-size") + 1] == "64"
    extra = json.loads(words[words.index("--kv-transfer-config") + 1])
    assert extra["kv_connector_extra_config"] == {"eviction_policy": "lru", "store_threshold": 2}
    assert "VLLM_USE_SIMPLE_KV_OFFLOAD" not in environment(request, tmp_path)
    assert environment(served("lazy"), tmp_path)["VLLM_USE_SIMPLE_KV_OFFLOAD"] == "1"
    plain = replace(request, settings=EngineSettings())
    assert "--kv-offloading-size" not in command(plain, 8000, "some/model")


def test_an_emulated_gpu_gets_them_too_and_what_a_copy_costs() -> None:
    request = replace(served("lazy"), model=None, emulate="h200:qwen3-coder-30b")
    assert "--kv-offloading-size" in command(request, 8000, "folder")
    assert request.marsbench_config()["host_kv_cost"] == 1.0


def test_a_size_reaches_vllm_to_the_byte() -> None:
    request = replace(served("eager"), settings=EngineSettings(host_kv=HostKv(1 / 3)))
    words = command(request, 8000, "some/model")
    assert float(words[words.index("--kv-offloading-size") + 1]) == 1 / 3


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"settings": EngineSettings(host_kv=HostKv(1.0, cost=2.0))}, "cost is for an emulated"),
        (
            {
                "model": None,
                "emulate": "h200:qwen3-coder-30b",
                "settings": EngineSettings(host_kv=HostKv(1e-3)),
            },
            r"hold no KV block of 1\.57 MB",
        ),
        ({"model": None, "emulate": "cpu-tiny:tiny", "kernels": Path("python")}, "needs a GPU"),
    ],
)
def test_what_a_server_cannot_do_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        replace(served("eager"), **changed)


@pytest.mark.vllm
def test_a_vllm_without_the_connector_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory

    from marsbench.offload.worker import check_offload

    check_offload(HostKv(1.0), 2**20)
    monkeypatch.setattr(KVConnectorFactory, "_registry", {})
    with pytest.raises(UsageError, match="has no OffloadingConnector"):
        check_offload(HostKv(1.0), 2**20)


@pytest.mark.vllm
@pytest.mark.parametrize(
    ("eviction", "why"),
    [
        ("os.path", "is no class"),
        ("os.nothing", "is no class"),
        ("collections.Counter", "is no class"),
        ("no_module.Policy", "is no class"),
        ("vllm.v1.kv_offload.cpu.policies.base.CachePolicy", "is no class"),
        ("broken_eviction.Policy", r"cannot be imported \(SyntaxError"),
    ],
)
def test_what_is_no_eviction_is_refused_in_a_sentence(
    eviction: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marsbench.offload.worker import check_offload

    (tmp_path / "broken_eviction.py").write_text("class Policy(:")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=why):
        check_offload(HostKv(1.0, eviction), 2**20)


@pytest.mark.vllm
def test_a_class_of_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the command's own folder is the first that Python looks in."""
    from marsbench.offload.worker import check_offload

    text = "from vllm.v1.kv_offload.cpu.policies.lru import LRUCachePolicy as Mine\n"
    (tmp_path / "eviction_of_mine.py").write_text(text)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    check_offload(HostKv(1.0, "eviction_of_mine.Mine"), 2**20)


@pytest.mark.vllm
def test_a_server_is_not_started_with_a_class_that_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    settings = EngineSettings(host_kv=HostKv(64.0, "collections.Counter"))
    request = replace(served("eager"), settings=settings)
    with pytest.raises(UsageError, match="is no class of vLLM's CachePolicy"), serving(request):
        pass


@pytest.mark.vllm
def test_memory_for_no_block_is_refused() -> None:
    from marsbench.offload.worker import check_offload

    with pytest.raises(UsageError, match=r"hold no KV block of 1\.57 MB"):
        check_offload(HostKv(1e-3), 16 * 98_304)
