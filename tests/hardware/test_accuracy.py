"""How far the step times are from what they stand for; docs/hardware.md prints these numbers.

An edit that moves an error by more than 1 % of the step time fails here: find out why, and write
the new number into the document in the same commit.
"""

import json
import re
from pathlib import Path

import pytest

from benchmarks.roofline import table
from marsbench.hardware.catalog import load_gpus, load_models
from marsbench.hardware.curves import from_datasheet
from marsbench.hardware.profile import load_hardware
from marsbench.hardware.steptime import StepTime

CHECKS = json.loads((Path(__file__).parent / "data" / "steps.json").read_text("utf-8"))
DOCS = Path(__file__).parents[2] / "docs"
DOC = "".join((DOCS / name).read_text("utf-8") for name in ("hardware.md", "models.md"))
PROFILES = [name for name in CHECKS if ":" in name]
MEASURED = sorted({row["profile"] for row in CHECKS["silicon"]})
KINDS = ("decode", "prefill", "mixed")
MAX_MOVE = 1.0
"""Percentage points."""


def hardware(name):
    return load_hardware(gpu=name)


def kind(row):
    if not row["chunk"]:
        return "decode"
    return "mixed" if row["decodes"] else "prefill"


def mape(errors):
    return 100 * sum(abs(error) for error in errors) / len(errors)


def against_package(name):
    """MAPE by kind of step, of the kernels alone, which is what the package predicts."""
    step_time = hardware(name).step_time.with_scale(overhead=1e-9)
    errors = {kind: [] for kind in KINDS}
    for row in CHECKS[name]:
        prefills = [(row["chunk"], row["prefix"])] if row["chunk"] else []
        seconds = step_time.seconds(row["decodes"], row["kv"], prefills)
        errors[kind(row)].append(seconds / row["s"] - 1)
    return {kind: mape(values) for kind, values in errors.items()}


def tpot_s(step_time, isl, osl, concurrency, budget=8192):
    """Seconds per output token of a closed loop of requests of fixed lengths.

    While a request decodes its osl tokens, each of the others is replaced once: its chunks of
    prefill lengthen the steps that they are in.
    """
    kv = int(concurrency * (isl + osl / 2))
    decode = step_time.seconds(concurrency, kv)
    longer, prefix = 0.0, 0
    while prefix < isl:
        chunk = min(budget - concurrency, isl - prefix)
        longer += step_time.seconds(concurrency, kv, [(chunk, prefix)]) - decode
        prefix += chunk
    return decode + longer * (concurrency - 1) / osl


def against_silicon(profile):
    """Relative errors in TPOT against serving runs measured on such GPUs."""
    step_time = hardware(profile).step_time
    return [
        1e3 * tpot_s(step_time, row["isl"], row["osl"], row["concurrency"]) / row["tpot_ms"] - 1
        for row in CHECKS["silicon"]
        if row["profile"] == profile
    ]


def documented(label):
    """The numbers of the documents' table row with this label."""
    row = re.search(rf"^\| `{re.escape(label)}` \|(.*)\|$", DOC, re.M)
    assert row, f"neither docs/hardware.md nor docs/models.md has a row `{label}`"
    return [float(cell) for cell in re.findall(r"-?[0-9.]+", row[1].replace("−", "-"))]


@pytest.mark.parametrize("name", PROFILES)
def test_the_document_states_the_error_against_the_package(name):
    measured = against_package(name)
    assert [measured[kind] for kind in KINDS] == pytest.approx(documented(name), abs=MAX_MOVE)


@pytest.mark.parametrize("profile", MEASURED)
def test_the_document_states_the_error_against_measured_serving(profile):
    errors = against_silicon(profile)
    median = 100 * sorted(errors)[len(errors) // 2]
    found = [len(errors), mape(errors), median]
    assert found == pytest.approx(documented(f"TPOT, {profile}"), abs=MAX_MOVE)


ANCHORS_MS = {
    "h100": (4.7, 9.5, 13.3, 43.6, 46, 153, 804, 1457, 2681, 109, 1491),
    "h200": (4.0, 7.7, 10.6, 31.8, 40, 138, 803, 1471, 2721, 105, 1495),
}


def anchors_ms(step_time):
    seconds = step_time.seconds
    steps = [seconds(1, context) for context in (1_024, 131_072, 250_000)]
    steps.append(seconds(8, 8 * 131_072))
    steps += [seconds(0, 0, [(chunk, 0)]) for chunk in (2048, 8192)]
    steps += [seconds(0, 0, [(8192, prefix)]) for prefix in (65_536, 131_072, 254_000)]
    steps += [seconds(0, 0, [(512, 131_072)]), seconds(8, 1_048_000, [(8192, 131_072)])]
    return [1e3 * step for step in steps]


@pytest.mark.parametrize("gpu", ANCHORS_MS)
def test_steps_of_qwen3_coder_are_near_the_anchors(gpu):
    assert anchors_ms(load_hardware(gpu=gpu).step_time) == pytest.approx(ANCHORS_MS[gpu], rel=0.05)


@pytest.mark.parametrize("gpu", ANCHORS_MS)
def test_the_roofline_of_the_datasheet_is_within_a_tenth_of_them(gpu):
    shape = load_models()["qwen3-coder-30b"]
    grounded = from_datasheet(load_gpus()[gpu], shape, shape.precisions["bf16"], 1)
    assert anchors_ms(StepTime(grounded.curves)) == pytest.approx(ANCHORS_MS[gpu], rel=0.1)


@pytest.mark.parametrize(("gpu", "low", "high"), [("h100", 31.0, 38.7), ("h200", 22.2, 29.8)])
def test_a_million_kv_tokens_cost_what_the_memory_takes_to_read_them(gpu, low, high):
    """98,304 B a token at 3.1 TB/s on an H100 and 4.4 on an H200."""
    step_time = load_hardware(gpu=gpu).step_time
    for requests in (1, 8, 64):
        extra = step_time.seconds(requests, 2_000_000) - step_time.seconds(requests, 1_000_000)
        assert low <= 1e3 * extra <= high


def test_the_document_has_the_errors_of_the_roofline_as_they_are():
    """`python -m benchmarks.roofline` prints them."""
    assert "\n".join(table()) in DOC
