"""`marsbench serve` before it starts anything."""

from __future__ import annotations

import socket

import pytest

from cli.conftest import Marsbench, marsbench, xdg_cache  # noqa: F401  (two are fixtures)

EMULATE = ("--emulate", "h200:qwen3-coder-30b")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (("--backend", "mars"), "takes a MODEL"),
        (("--backend", "mras", *EMULATE), "Unknown backend 'mras'"),
        (("--backend", "mars", "--set", "mars.none=1", *EMULATE), "Unknown parameter of mars"),
        (("--backend", "mars", "--set", "fcfs.x=1", *EMULATE), "is for backend 'fcfs'"),
        (("--backend", "mars", "--kv-blocks", "0", *EMULATE), "--kv-blocks must be at least 1"),
        (("--backend", "mars", "m", "--", "--scheduler-cls", "x"), "use --backend before --"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    typed: tuple[str, ...],
    sentence: str,
    marsbench: Marsbench,  # noqa: F811
) -> None:
    done = marsbench("serve", *typed)
    assert done.code == 2
    assert sentence in done.sentence


def test_flags_of_vllm_may_follow_an_emulated_gpu(marsbench: Marsbench) -> None:  # noqa: F811
    """The first of them is no model."""
    done = marsbench("serve", "--backend", "mars", *EMULATE, "--", "--host", "::")
    assert "--host is set by marsbench serve" in done.sentence


@pytest.mark.vllm
def test_a_port_that_is_taken_is_refused(marsbench: Marsbench) -> None:  # noqa: F811
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = marsbench("serve", "--backend", "mars", *EMULATE, "--port", port)
    assert done.code == 2
    assert f"Nothing can listen on 127.0.0.1:{port}" in done.sentence
