"""`marsbench serve` before it starts anything."""

from __future__ import annotations

import json
import shlex
import socket
from pathlib import Path

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
        (("--backend", "mars", "m", "--plain", "folder"), "--plain is for an emulated GPU"),
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


def test_a_plain_line_is_printed_and_what_it_needs_is_there(
    marsbench: Marsbench,  # noqa: F811
    tmp_path: Path,
) -> None:
    """tests/gateway/test_before_vllm.py runs one."""
    model = tmp_path / "a model"
    typed = ("serve", "--backend", "mars", *EMULATE, "--port", "8123", "--plain", str(model))
    done = marsbench(*typed, "--", "--max-num-seqs", "7")
    words = shlex.split(done.out)
    assert words[:3] == ["vllm", "serve", str(model)]
    assert words[-2:] == ["--max-num-seqs", "7"]
    assert words[words.index("--port") + 1] == "8123"
    config = json.loads(words[words.index("--additional-config") + 1])["marsbench"]
    assert (config["backend"], config["emulate"]) == ("mars", EMULATE[1])
    assert (model / "tokenizer.json").exists()
    assert "give a new folder" in marsbench(*typed).sentence, "nothing is written over"


@pytest.mark.vllm
def test_a_port_that_is_taken_is_refused(marsbench: Marsbench) -> None:  # noqa: F811
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = marsbench("serve", "--backend", "mars", *EMULATE, "--port", port)
    assert done.code == 2
    assert f"Nothing can listen on 127.0.0.1:{port}" in done.sentence
