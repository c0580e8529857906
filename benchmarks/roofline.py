"""How far the roofline is from the shipped tables, for docs/models.md.

    python -m benchmarks.roofline

Each model at each precision, on every GPU and in every group for which a table ships and in which
it fits: the step times that its shape and the GPU's datasheet give, as for a config.json, against
those of the table.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import product

from marsbench.errors import UsageError
from marsbench.hardware.catalog import load_gpus, load_models
from marsbench.hardware.curves import from_shape
from marsbench.hardware.memory import GROUPS
from marsbench.hardware.profile import Hardware, load_hardware
from marsbench.hardware.served import Wish, served_model
from marsbench.hardware.steptime import Prefill, StepTime

Step = tuple[int, int, tuple[Prefill, ...]]
KINDS = ("decode alone", "decode", "prefill", "mixed")
CONTEXTS = (1_024, 16_384, 131_072)


def steps(kind: str) -> Iterator[Step]:
    """(decodes, KV tokens of all, prefills) of steps of that kind."""
    if kind == "decode alone":
        yield from ((1, context, ()) for context in CONTEXTS)
    elif kind == "decode":
        yield from ((n, n * context, ()) for n, context in product((8, 64), CONTEXTS))
    elif kind == "prefill":
        yield from ((0, 0, (one,)) for one in product((512, 2_048, 8_192), (0, *CONTEXTS)))
    else:
        yield from ((8, 8 * 16_384, (one,)) for one in product((512, 2_048), CONTEXTS))


def tabled() -> Iterator[tuple[str, Hardware]]:
    """Hardware whose step times were measured, by model and precision."""
    for model, shape in load_models().items():
        for precision, gpu, tp in product(shape.precisions, load_gpus(), GROUPS):
            try:
                found = load_hardware(model, gpu, precision, tp=tp)
            except UsageError:  # it does not fit
                continue
            if found.source.startswith("table"):
                yield f"{model} {precision}", found


def errors(hardware: Hardware, kind: str) -> list[float]:
    """Relative errors of the roofline's steps that fit in the KV cache."""
    shape = load_models()[hardware.model]
    wish = Wish(hardware.model, hardware.precision, None)
    served = served_model(hardware.model, shape, wish, hardware.tensor_parallel)
    roofline = StepTime(from_shape(load_gpus()[hardware.gpu], served).curves)
    return [
        roofline.seconds(*step) / hardware.step_time.seconds(*step) - 1
        for step in steps(kind)
        if step[1] + sum(map(sum, step[2])) <= hardware.kv_tokens()
    ]


def table() -> Iterator[str]:
    """Rows of Markdown: mean absolute error and, in brackets, the mean, in %."""
    found: defaultdict[tuple[str, str], list[Hardware]] = defaultdict(list)
    for name, hardware in tabled():
        found[name, "1, 2" if hardware.tensor_parallel < 4 else "4, 8"].append(hardware)
    yield "| weights | GPUs | " + " | ".join(KINDS) + " |"
    yield "|---|---|" + "--:|" * len(KINDS)
    for name, gpus in sorted(found):
        several = found[name, gpus]
        cells = (_cell([e for one in several for e in errors(one, kind)]) for kind in KINDS)
        yield f"| {name} | {gpus} | " + " | ".join(cells) + " |"


def _cell(values: list[float]) -> str:
    if not values:
        return "–"
    absolute = sum(map(abs, values)) / len(values)
    mean = sum(values) / len(values)
    return f"{100 * absolute:.0f} ({100 * mean:+.0f})"


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
