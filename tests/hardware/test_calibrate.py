"""Calibration fits lines to measured steps and writes a profile that loads again."""

from math import inf

import pytest
import typer
from typer.testing import CliRunner

from marsbench.cli import hardware as cli
from marsbench.errors import UsageError
from marsbench.hardware.catalog import load_models
from marsbench.hardware.profile import load_hardware
from marsbench.serve.vllm_calibrate import (
    BATCHES,
    COEFFICIENTS,
    SHAPES,
    TINY_FACTOR,
    TimedBatch,
    features,
    fit,
    profile_toml,
    residual,
)

QWEN = SHAPES["qwen3-coder-30b"]
TRUE = dict(zip(COEFFICIENTS, (2e-3, 14e-3, 11e-6, 1.2e-9, 1e-6, 23e-9), strict=True))
GPU = {"name": "A card", "memory": "141 GiB", "host_link": "60 GB/s", "note": "a test"}


def steps(coefficients):
    made = []
    for batch in BATCHES:
        terms = zip(coefficients.values(), features(QWEN, batch), strict=True)
        made.append((batch, sum(c * f for c, f in terms)))
    return made


def test_it_times_the_batches_that_long_sessions_are_made_of():
    prefills = {(b.chunk, b.prefix) for b in BATCHES if b.chunk and not b.decodes}
    assert {chunk for chunk, _ in prefills} == {512, 2_048, 8_192}
    assert {min(p for _, p in prefills), max(p for _, p in prefills)} == {0, 250_000}
    decodes = {(b.decodes, b.context) for b in BATCHES if b.decodes and not b.chunk}
    assert {min(decodes), max(decodes)} == {(1, 1_024), (64, 250_000)}
    assert any(b.decodes and b.chunk for b in BATCHES)


def test_the_fit_finds_the_coefficients_that_made_the_steps():
    assert fit(QWEN, steps(TRUE)) == pytest.approx(TRUE, rel=1e-6)


def test_no_coefficient_is_negative_however_noisy_the_steps():
    noisy = [(b, s * (1.3 if i % 2 else 0.7)) for i, (b, s) in enumerate(steps(TRUE))]
    assert min(fit(QWEN, noisy).values()) >= 0


def test_a_residual_is_the_relative_error_of_the_fit():
    batch, seconds = steps(TRUE)[0]
    assert residual(QWEN, TRUE, batch, seconds) == pytest.approx(0.0)
    assert residual(QWEN, TRUE, batch, 2 * seconds) == pytest.approx(-0.5)


def test_the_profile_gives_back_the_steps_that_it_was_made_from(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text(profile_toml("qwen3-coder-30b", QWEN, GPU, TRUE, steps(TRUE)))
    hardware = load_hardware(profile=path)
    assert hardware.source == f"fit to {len(BATCHES)} measured steps"
    for batch, seconds in steps(TRUE):
        prefills = [(batch.chunk, batch.prefix)] if batch.chunk else []
        modelled = hardware.step_time.seconds(batch.decodes, batch.kv, prefills)
        assert modelled == pytest.approx(seconds, rel=1e-4)


def test_a_coefficient_that_was_not_seen_is_left_out_or_all_but_zero(tmp_path):
    path = tmp_path / "card.toml"
    unseen = TRUE | {"request": 0.0, "kv_token": 0.0}
    path.write_text(profile_toml("qwen3-coder-30b", QWEN, GPU, unseen, steps(TRUE)))
    seconds = load_hardware(profile=path).step_time.seconds
    assert seconds(8, 1_000_000) == pytest.approx(seconds(8, 0))


def test_the_script_has_the_shapes_of_the_models_that_ship():
    shape = load_models()["qwen3-coder-30b"]
    assert vars(QWEN).items() <= shape.model_dump().items()


def test_shrunk_batches_keep_what_they_have():
    assert TimedBatch(4, 1_024, 512, 0).shrunk(256) == TimedBatch(4, 4, 2, 0)
    assert TimedBatch(chunk=10, prefix=1).shrunk(256) == TimedBatch(chunk=1, prefix=1)


@pytest.mark.vllm
def test_the_script_runs_on_a_cpu_with_tiny_shapes(tmp_path):
    import torch

    from marsbench.serve.vllm_calibrate import measure

    batches = [batch.shrunk(TINY_FACTOR) for batch in (BATCHES[1], BATCHES[16], BATCHES[-2])]
    points = measure(torch, SHAPES["tiny"], "cpu", batches, deadline_s=inf)
    assert [batch for batch, _ in points] == batches
    path = tmp_path / "tiny.toml"
    coefficients = fit(SHAPES["tiny"], points)
    path.write_text(profile_toml("tiny", SHAPES["tiny"], GPU, coefficients, points))
    assert load_hardware(profile=path).step_time.seconds(1, 16) > 0


@pytest.mark.vllm
def test_the_experts_are_computed_as_a_mixture_of_experts_is():
    import torch

    from marsbench.serve.vllm_calibrate import Layer

    layer = Layer(torch, SHAPES["tiny"], "cpu", 64)
    x = torch.ones(3, 64)
    order, ends, counts = layer._routing(3)
    assert sorted(order.tolist()) == [0, 0, 1, 1, 2, 2]
    assert ends.tolist()[-1] == sum(counts) == 6
    one = layer._experts(x[:1], (torch.tensor([0]), ends, [0, 1, 0, 0, 0, 0, 0, 0]), 0)
    gate, value = (x[:1] @ layer._up[0][1].T).chunk(2, dim=-1)
    expected = (torch.nn.functional.silu(gate) * value) @ layer._down[0][1].T
    assert torch.allclose(one, expected)


def app():
    application = typer.Typer()
    application.command()(cli.calibrate)
    return application


def test_the_command_refuses_what_it_cannot_do(tmp_path):
    run = CliRunner().invoke
    with pytest.raises(UsageError, match="Unknown model to calibrate 'gpt-2'"):
        run(app(), ["-o", str(tmp_path / "x"), "--model", "gpt-2"], catch_exceptions=False)
    with pytest.raises(UsageError, match="exists"):
        run(app(), ["-o", str(tmp_path)], catch_exceptions=False)
