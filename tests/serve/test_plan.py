"""A request becomes the command line of vLLM, or is refused in one sentence."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.backends import choose
from marsbench.engine_options import EngineOptions
from marsbench.errors import UsageError
from marsbench.serve.emulated import emulated_hardware
from marsbench.serve.plan import ServeRequest, command, environment
from marsbench_backends import cost

EMULATED = "h200:qwen3-coder-30b"


def flags(request: ServeRequest) -> dict[str, str]:
    """The flags of the command with their values; "" where one has none."""
    words = [*command(request, 8123, "folder"), "--end"]
    pairs = pairwise(words)
    return {
        word: "" if value.startswith("--") else value
        for word, value in pairs
        if word.startswith("--")
    }


def test_a_backend_reaches_the_scheduler_with_its_parameters() -> None:
    found = flags(ServeRequest(choose("mars", ["mars.tick_s=0.5"]), model="some/model"))
    assert found["--scheduler-cls"] == "marsbench_backends.scheduler.MarsbenchScheduler"
    config = json.loads(found["--additional-config"])["marsbench"]
    assert config == {"backend": "mars", "settings": {"tick_s": "0.5"}}


def test_a_real_model_is_left_to_vllm() -> None:
    request = ServeRequest(choose("fcfs"), model="some/model", flags=("--max-num-seqs", "7"))
    words = command(request, 8123, "some/model")
    assert words[:4] == ["-m", "vllm.entrypoints.cli.main", "serve", "some/model"]
    assert words[-2:] == ["--max-num-seqs", "7"]
    assert not {"--load-format", "--block-size", "--num-gpu-blocks-override"} & set(words)


def test_what_serving_needs_is_on() -> None:
    found = flags(ServeRequest(choose("fcfs"), model="some/model"))
    assert (found["--host"], found["--port"]) == ("127.0.0.1", "8123")
    assert json.loads(found["--kv-events-config"])["enable_kv_cache_events"]
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details"} <= set(found)


def test_an_emulated_gpu_has_the_profiles_memory_and_the_engine_profiles_settings() -> None:
    request = ServeRequest(
        choose("fcfs"), emulate=EMULATED, settings=EngineOptions(engine_profile="paper").settings
    )
    found = flags(request)
    blocks = emulated_hardware(EMULATED).kv_blocks(16)
    assert int(found["--num-gpu-blocks-override"]) == blocks + 1
    assert found["--max-num-batched-tokens"] == "2048"
    assert found["--max-num-seqs"] == "128"
    assert "--no-scheduler-reserve-full-isl" in found
    assert found["--max-model-len"] == "262144"


def test_few_blocks_bound_the_context() -> None:
    settings = EngineOptions(kv_blocks=100).settings
    request = ServeRequest(choose("fcfs"), emulate=EMULATED, settings=settings)
    assert flags(request)["--max-model-len"] == "1600"


def test_policies_in_the_server_know_the_emulated_hardware() -> None:
    request = ServeRequest(choose("fcfs"), emulate=EMULATED, speed=10)
    config = request.marsbench_config()
    assert config["speed"] == 10
    known = cost.engine_cost(config, 8192)
    assert known.prefill_s(8192, 0) == emulated_hardware(EMULATED).step_time.seconds(
        0, 0, [(8192, 0)]
    )


def test_without_a_profile_they_know_a_fit() -> None:
    assert cost.engine_cost({}, 8192).prefill_s(8192, 0) == pytest.approx(0.179, rel=0.01)


def test_kv_events_bind_to_loopback_and_nothing_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_TARGET_DEVICE", "cpu")
    monkeypatch.setenv("PYTHONPATH", "theirs")
    env = environment(ServeRequest(choose("fcfs"), emulate=EMULATED), tmp_path)
    assert (env["VLLM_HOST_IP"], env["HF_HUB_OFFLINE"]) == ("127.0.0.1", "1")
    assert env["PYTHONPATH"].split(":") == [str(tmp_path), "theirs"]
    assert "VLLM_TARGET_DEVICE" not in env


def test_a_backend_of_this_folder_is_found_by_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("from marsbench_backends.policies.fcfs import FCFS as Mine\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    env = environment(ServeRequest(choose("mine:Mine"), model="m"), tmp_path / "plugin")
    assert str(tmp_path) in env["PYTHONPATH"].split(":")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "takes a MODEL .* or --emulate"),
        ({"model": "m", "emulate": EMULATED}, "takes a MODEL .* or --emulate"),
        ({"model": "m", "speed": 2.0}, "--speed is for an emulated GPU"),
        ({"emulate": EMULATED, "speed": 0.0}, "--speed must be above 0, not 0"),
        ({"emulate": "h200"}, "--emulate takes GPU:MODEL"),
        ({"emulate": "h201:qwen3-coder-30b"}, "Unknown GPU 'h201'. Did you mean 'h20"),
        ({"model": "m", "flags": ("--port=1",)}, "--port is set by marsbench serve; use --port"),
    ],
)
def test_what_cannot_be_served_is_refused(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        command(ServeRequest(choose("fcfs"), **asked), 8123, "m")
    assert "\n" not in str(refused.value)


def test_gpus_that_share_a_model_are_passed_on_to_vllm() -> None:
    request = ServeRequest(choose("fcfs"), model="some/model", tp=4)
    assert flags(request)["--tensor-parallel-size"] == "4"
    assert "--tensor-parallel-size" not in flags(ServeRequest(choose("fcfs"), model="some/model"))


@pytest.mark.parametrize("flag", ["--tensor-parallel-size=2", "--tensor_parallel_size", "-tp"])
def test_they_are_said_once(flag: str) -> None:
    with pytest.raises(UsageError, match="--tp 4 are one thing"):
        ServeRequest(choose("fcfs"), model="some/model", tp=4, flags=(flag,))


def test_an_emulated_group_has_the_memory_of_all_its_gpus() -> None:
    request = ServeRequest(choose("fcfs"), emulate="h100:llama-3.3-70b", tp=4)
    found = flags(request)
    assert found["--num-gpu-blocks-override"] == str(450_582 // 16 + 1)
    assert "--tensor-parallel-size" not in found
    told = json.loads(found["--additional-config"])["marsbench"]
    assert (told["emulate"], told["tp"]) == ("h100:llama-3.3-70b", 4)
    assert emulated_hardware("h100x4:llama-3.3-70b").hash == request.hardware.hash
