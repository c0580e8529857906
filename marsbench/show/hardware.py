"""Hardware as a person reads it: what there is, and one profile's capacity and steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

from rich.console import Console
from rich.markup import escape

from marsbench.hardware.catalog import load_gpus, load_models, load_profiles
from marsbench.hardware.memory import GROUPS, DoesNotFitError
from marsbench.hardware.profile import Hardware, load_hardware
from marsbench.text.cautions import print_caution
from marsbench.text.console import drawn
from marsbench.text.numbers import fixed
from marsbench.text.tables import Table

GIB = 2**30
STEPS: tuple[tuple[str, int, int, tuple[tuple[int, int], ...]], ...] = (
    ("1 decode at 1k", 1, 1_024, ()),
    ("1 decode at 131k", 1, 131_072, ()),
    ("8 decodes at 131k", 8, 8 * 131_072, ()),
    ("prefill of 2,048", 0, 0, ((2_048, 0),)),
    ("prefill of 8,192", 0, 0, ((8_192, 0),)),
    ("prefill of 512 on 131k", 0, 0, ((512, 131_072),)),
    ("prefill of 8,192 on 131k", 0, 0, ((8_192, 131_072),)),
    ("the same with 8 decodes at 131k", 8, 8 * 131_072, ((8_192, 131_072),)),
)


def all_hardware(tp: int | None = None) -> Iterator[Hardware]:
    """Every model at every precision on every GPU, or group of them, and the whole profiles.

    tp: groups of so many GPUs alone; None: the smallest that holds the model.
    """
    for gpu in load_gpus():
        for model, shape in load_models().items():
            for precision in shape.precisions:
                groups = (load_group(model, gpu, precision, n) for n in ([tp] if tp else GROUPS))
                yield from islice(filter(None, groups), 1)
    if tp in (None, 1):
        for name in load_profiles():
            yield load_hardware(gpu=name)


def load_group(model: str, gpu: str, precision: str, tp: int) -> Hardware | None:
    """None where the model does not fit on so many."""
    try:
        return load_hardware(model, gpu, precision, tp=tp)
    except DoesNotFitError:
        return None


def print_list(console: Console, tp: int | None = None) -> None:
    head = (
        "GPU", "model", "weights/KV", "KV tokens", "decode\nat 1k ms", "8,192 on\n131k ms",
        "step times",
    )  # fmt: skip
    rows = [_line(hardware) for hardware in all_hardware(tp)]
    console.print(drawn(Table(head, rows, "LLLRRRL"), gap=0))


def _line(hardware: Hardware) -> tuple[str, ...]:
    seconds = hardware.step_time.seconds
    decode, prefill = seconds(1, 1_024), seconds(0, 0, ((8_192, 131_072),))
    return (
        hardware.group, hardware.model, f"{hardware.precision}/{hardware.kv_dtype}",
        fixed(hardware.kv_tokens()), fixed(decode * 1e3, 1), fixed(prefill * 1e3),
        hardware.source.split()[0],
    )  # fmt: skip


def print_hardware(hardware: Hardware, console: Console) -> None:
    console.print(f"[bold]{escape(hardware.id)}[/bold]  {hardware.hash}", highlight=False)
    console.print(f"step times: {escape(hardware.source)}", highlight=False)
    console.print(capacity_line(hardware), highlight=False)
    rows = [(label, fixed(seconds * 1e3, 1)) for label, seconds in steps(hardware)]
    console.print(drawn(Table(("step", "ms"), rows, "LR")))
    for caution in hardware.cautions_for(hardware.max_model_len):
        print_caution(console, caution)


def capacity_line(hardware: Hardware) -> str:
    """The capacity's formula with this hardware's numbers."""
    memory = hardware.memory
    return (
        f"KV: (0.9 x {memory.total_bytes / GIB:.1f} - {memory.weight_bytes / GIB:.1f} weights - "
        f"{memory.activation_bytes / GIB:.1f} activations - {memory.runtime_bytes / GIB:.1f} "
        f"runtime) GiB / {hardware.kv_bytes_per_token:,.0f} B ({hardware.kv_dtype}) = "
        f"{hardware.kv_tokens():,} tokens"
    )


def steps(hardware: Hardware) -> list[tuple[str, float]]:
    """Seconds of steps that tell hardware apart."""
    seconds = hardware.step_time.seconds
    return [(label, seconds(n, kv, prefills)) for label, n, kv, prefills in STEPS]


def hardware_json(hardware: Hardware) -> str:
    """One JSON object about a profile, ending in a newline."""
    facts = {
        **hardware.identity,
        "hash": hardware.hash,
        "tensor_parallel": hardware.tensor_parallel,
        "max_model_len": hardware.max_model_len,
        "kv_bytes_per_token": hardware.kv_bytes_per_token,
        "kv_tokens": hardware.kv_tokens(),
        "step_times": hardware.source,
        "measured_prefill_tokens": hardware.longest_prefill,
        "measured_decode_tokens": hardware.longest_decode,
        "steps_s": dict(steps(hardware)),
        "cautions": hardware.cautions_for(hardware.max_model_len),
    }
    return json.dumps(facts, indent=2) + "\n"
