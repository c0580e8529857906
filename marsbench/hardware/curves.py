"""Which curves give the step time of a model on a GPU: measured, derived, fitted or datasheet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marsbench.hardware import roofline, tables
from marsbench.hardware.catalog import load_gpus
from marsbench.hardware.schema import Fit, Gpu
from marsbench.hardware.served import Served, group_name
from marsbench.hardware.shape import ModelShape, Precision
from marsbench.hardware.steptime import Curves

TABLE_OVERHEAD_S = 1e-4
"""What the host adds to a step beyond the GPU's kernels, most of it hidden by async scheduling.

With 0.1 ms the median error over measured serving is within 0.5 % (docs/hardware.md).
"""
TENSOR_PARALLEL_CAUTION = (
    "What {gpus} GPUs send each other in a step is not modelled, so its steps are too short; "
    "rerun at +20 % step time."
)
DATASHEET_CAUTION = (
    "Step times are a roofline from datasheet numbers, not measured; "
    "rerun at +-20 % step time to see whether the ranking holds."
)


@dataclass(frozen=True, slots=True)
class Grounded:
    """Curves, what they rest on, and how far they were measured (None: not by table)."""

    curves: Curves
    source: str
    longest_prefill: int | None = None
    longest_decode: int | None = None
    cautions: tuple[str, ...] = ()


def from_tables(gpu_name: str, served: Served) -> Grounded | None:
    """The measured curves that ship for this hardware, or those derived from another card.

    No other card's links are known, so of a group nothing is derived.
    """
    gpus = load_gpus()
    gpu, shape, bytes_per = gpus[gpu_name], served.shape, served.bytes_per
    base = gpu.derived_from or gpu_name
    name = f"{group_name(base, served.gpus)}-{served.model}"
    table = tables.load_table(f"{name}-{served.precision}")
    if table is None or (gpu.derived_from and served.gpus > 1):
        return None
    origin = f"{table.provenance.package} {table.provenance.version}"
    table, cautions = _with_kv(table, name, shape, bytes_per)
    if not gpu.derived_from:
        return _tabled(table, f"table {table.provenance.table_sha256[:12]} of {origin}", cautions)
    caution = (
        f"Step times of {gpu.name} are derived from those measured on {gpus[base].name} by the "
        "ratios of bandwidth and FLOP rate; rerun at +-20 % step time."
    )
    source = f"derived from {base}'s table {table.provenance.table_sha256[:12]} of {origin}"
    derived = _derived(table, gpus[base], gpu, shape, bytes_per)
    return _tabled(derived, source, (caution, *cautions))


def _with_kv(
    table: tables.StepTable, name: str, shape: ModelShape, bytes_per: Precision
) -> tuple[tables.StepTable, tuple[str, ...]]:
    """The table with attention over KV elements of the bytes that are served.

    Attention does not know what the weights are, so another precision's table serves where its KV
    was so; elsewhere the bytes that decodes read are scaled.
    """
    if bytes_per.kv_bytes == bytes_per.measured_kv_bytes:
        return table, ()
    for precision, other in shape.precisions.items():
        found = tables.load_table(f"{name}-{precision}")
        if found is not None and other.measured_kv_bytes == bytes_per.kv_bytes:
            return table.model_copy(update={"prefill": found.prefill, "decode": found.decode}), ()
    ratio = bytes_per.kv_bytes / bytes_per.measured_kv_bytes
    us = _above_floor(table.decode.us, lambda us: us * ratio)
    caution = (
        f"Decode attention over KV elements of {bytes_per.kv_bytes:g} B was not measured for "
        f"{name}: it takes {ratio:g} times that over {bytes_per.measured_kv_bytes:g} B; "
        "rerun at +-20 % step time."
    )
    decode = table.decode.model_copy(update={"us": us})
    return table.model_copy(update={"decode": decode}), (caution,)


def _tabled(table: tables.StepTable, source: str, cautions: tuple[str, ...]) -> Grounded:
    curves = Curves(
        overhead_s=TABLE_OVERHEAD_S,
        rest=tables.TableRest(table.rest),
        prefill=tables.TablePrefill(table.prefill),
        decode=tables.TableDecode(table.decode),
    )
    return Grounded(curves, source, table.longest_prefill, table.longest_decode, cautions)


def _derived(
    table: tables.StepTable, base: Gpu, gpu: Gpu, shape: ModelShape, precision: Precision
) -> tables.StepTable:
    """The table of another board: bytes take the ratio of bandwidths, FLOPs that of rates.

    Floors, which are launches, stay. Everything but attention is split as the roofline splits it.
    """
    bytes_ratio = base.bandwidth / gpu.bandwidth
    flops_ratio = base.compute["bf16"] / gpu.compute["bf16"]
    split = roofline.rest(shape, precision, base)

    def rest_ratio(num_tokens: int) -> float:
        flops = split.token_s * num_tokens / split.seconds(num_tokens)
        return flops * flops_ratio + (1 - flops) * bytes_ratio

    rest = [us * rest_ratio(n) for n, us in zip(table.rest.tokens, table.rest.us, strict=True)]
    return table.model_copy(
        update={
            "rest": tables.RestTable(tokens=table.rest.tokens, us=rest),
            "prefill": tables.PrefillTable(
                chunks=table.prefill.chunks,
                prefixes=table.prefill.prefixes,
                us=_above_floor(table.prefill.us, lambda us: us * flops_ratio),
            ),
            "decode": tables.DecodeTable(
                requests=table.decode.requests,
                contexts=table.decode.contexts,
                us=_above_floor(table.decode.us, lambda us: us * bytes_ratio),
            ),
        }
    )


def _above_floor(
    rows: list[list[float | None]], scaled: Callable[[float], float]
) -> list[list[float | None]]:
    floor = min(us for row in rows for us in row if us is not None)
    return [[None if us is None else floor + scaled(us - floor) for us in row] for row in rows]


def from_fit(fit: Fit, shape: ModelShape, source: str) -> Grounded:
    """The lines that were fitted to measured steps."""
    curves = Curves(
        overhead_s=fit.overhead,
        rest=roofline.RooflineRest(
            dense_s=fit.weights,
            experts_s=fit.experts,
            missed=1.0 - shape.experts_per_token / shape.experts,
            token_s=fit.token,
        ),
        prefill=roofline.RooflinePrefill(fit.pair),
        decode=roofline.RooflineDecode(fit.kv_token, fit.request),
    )
    return Grounded(curves, source)


def from_shape(gpu: Gpu, served: Served) -> Grounded:
    """The roofline of a model for which no table ships, with the shares of like kernels."""
    own = roofline.shares_of(served.shape, served.bytes_per)
    tuned = gpu.model_copy(update={"roofline": own})
    return from_datasheet(tuned, served.shape, served.bytes_per, served.gpus)


def from_datasheet(gpu: Gpu, shape: ModelShape, precision: Precision, gpus: int) -> Grounded:
    """The roofline. Tensor parallelism divides bytes and FLOPs, and sends over the GPUs' link."""
    group = gpu.model_copy(
        update={
            "bandwidth": gpu.bandwidth * gpus,
            "compute": {name: rate * gpus for name, rate in gpu.compute.items()},
        }
    )
    own = roofline.rest(shape, precision, group, gpus)
    linked = roofline.linked(own, shape, gpu, gpus) if gpus > 1 else None
    curves = Curves(
        overhead_s=gpu.roofline.overhead,
        rest=linked or own,
        prefill=roofline.prefill(shape, group),
        decode=roofline.decode(shape, precision, group, gpus),
    )
    unknown = gpus > 1 and linked is None
    sent = (TENSOR_PARALLEL_CAUTION.format(gpus=gpus),) if unknown else ()
    return Grounded(curves, "roofline of datasheet numbers", cautions=(DATASHEET_CAUTION, *sent))
