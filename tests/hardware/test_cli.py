"""`marsbench hardware` lists and shows what can be simulated."""

import json

import pytest
from typer.testing import CliRunner

from marsbench.cli.hardware import app
from marsbench.errors import UsageError
from marsbench.hardware.profile import load_hardware
from marsbench.show.hardware_plot import plot_hardware


def run(*arguments):
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_has_every_profile_and_what_its_steps_rest_on():
    out = run("list")
    for words in ("h100-nvl", "gpt-oss-120b", "cpu-tiny", "717,995", "derived", "fit"):
        assert words in out


def test_the_list_as_json_is_one_array_of_the_same_objects_as_show():
    listed = json.loads(run("list", "--json"))
    assert json.loads(run("show", "h200", "--json")) in listed


def test_show_prints_the_formula_the_steps_and_the_caution():
    out = " ".join(run("show", "h200").split())
    assert "(0.9 x 141.0 - 56.3 weights - 1.4 activations - 3.5 runtime) GiB / 98,304 B" in out
    assert "8 decodes at 131k 31.6" in out
    assert "caution Contexts of up to 262,144 tokens" in out


def test_show_takes_a_users_profile(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text(
        '[gpu]\nname = "A card"\nmemory = "96 GiB"\nbandwidth = "4 TB/s"\n'
        'compute.bf16 = "500 TFLOPS"\nhost_link = "64 GB/s"\n'
    )
    shown = json.loads(run("show", "--hardware", str(path), "--json"))
    assert shown["id"] == "card:qwen3-coder-30b:bf16"
    assert shown["measured_decode_tokens"] is None


def test_a_plot_is_written_in_the_format_of_its_ending(tmp_path):
    path = tmp_path / "h100.svg"
    run("show", "h100", "--plot", str(path))
    assert path.read_text().startswith("<?xml")


def test_a_plot_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"ends in .png, .svg or .pdf"):
        plot_hardware(load_hardware(), tmp_path / "h100.jpeg2")
    with pytest.raises(UsageError, match="no such file or directory"):
        plot_hardware(load_hardware(), tmp_path / "none" / "h100.svg")
