"""How many bytes a weight takes, from the `quantization_config` of a checkpoint."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, Field, PositiveInt

from marsbench.hardware.shape import Precision

BF16 = Precision(compute="bf16", expert_bytes=2, dense_bytes=2, other_bytes=2)
FP8 = Precision(compute="fp8", expert_bytes=1, dense_bytes=1, other_bytes=2)
MXFP4 = Precision(compute="bf16", expert_bytes=0.53125, dense_bytes=2, other_bytes=2)
SCALE_BITS = 16
"""Of a group of integers; its zero is as wide as a weight."""


class QuantizedWeights(BaseModel):
    num_bits: int | None = None
    type: str | None = None


class QuantizedGroup(BaseModel):
    weights: QuantizedWeights = QuantizedWeights()


class Quantization(BaseModel):
    """What is read of it. bits, group_size: of AWQ and GPTQ; -1 is one group a channel."""

    quant_method: str | None = None
    quant_algo: str | None = None
    kv_cache_quant_algo: str | None = None
    weight_block_size: list[PositiveInt] | None = None
    bits: int = Field(4, validation_alias=AliasChoices("bits", "w_bit"))
    group_size: int = Field(128, validation_alias=AliasChoices("group_size", "q_group_size"), ge=-1)
    config_groups: dict[str, QuantizedGroup] = Field(default_factory=dict)

    @property
    def is_fp8(self) -> bool:
        """Whether every weight is a float of 8 bits, by whichever tool made it."""
        if self.quant_method == "compressed-tensors":
            kinds = {(g.weights.num_bits, g.weights.type) for g in self.config_groups.values()}
            return kinds == {(8, "float")}
        return self.quant_method == "fp8" or (self.quant_method, self.quant_algo) == (
            "modelopt",
            "FP8",
        )


def precisions(config: Quantization | None) -> dict[str, Precision]:
    """By name. Raises ValueError for a method that is not known.

    Without one: bf16, and fp8 as vLLM's --quantization fp8 makes it of such weights.
    """
    if config is None:
        return {"bf16": BF16, "fp8": FP8}
    if config.is_fp8:
        return {"fp8": _fp8(config)}
    if config.quant_method == "mxfp4":
        return {"mxfp4": MXFP4}
    if config.quant_method in ("awq", "gptq") and config.bits in (4, 8) and config.group_size:
        return {f"int{config.bits}": _integers(config)}
    method = " ".join(filter(None, [config.quant_method, config.quant_algo]))
    raise ValueError(
        f"is quantized by '{method}', and known are fp8, mxfp4, awq and gptq in 4 or 8 bits, "
        "compressed-tensors in fp8 and modelopt in FP8"
    )


def _fp8(config: Quantization) -> Precision:
    """KV is fp8 where the checkpoint asks for it, as ModelOpt's do."""
    block = max(config.weight_block_size or [0])
    kv = 1.0 if config.kv_cache_quant_algo == "FP8" else 2.0
    return FP8.model_copy(update={"block": block, "kv_bytes": kv})


def _integers(config: Quantization) -> Precision:
    of_group = 0.0 if config.group_size == -1 else SCALE_BITS + config.bits
    weight = (config.bits + of_group / config.group_size) / 8
    return Precision(compute="bf16", expert_bytes=weight, dense_bytes=weight, other_bytes=2)
