"""Time the kernels that a vLLM step is made of on this GPU, and write a hardware profile.

One self-contained script: copy it to a machine that has only Python, PyTorch 2.8 or newer, numpy
and scipy.

    python vllm_calibrate.py -o h200.toml

It runs one transformer layer as a server's step would (norm, dense GEMMs, attention of decodes and
of a prefill's chunk on its prefix, grouped GEMMs of the experts) for the batches that matter, in a
CUDA graph so that launches do not count, and multiplies by the number of layers. The weights are
random; a kernel's time does not depend on their values. To the measured steps it fits

    step = overhead + experts x touched(n) + token x n + pair x chunk x (prefix + chunk/2)
           + request x decodes + kv_token x KV tokens of the decodes

with no negative coefficient, by least squares of relative errors, and writes points, fit and
residuals. What it cannot see is a server's host: its overhead is that of the GPU alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

COPIES = 4
"""Layers with weights of their own, run in turn, so that no weight stays in the L2 cache."""
SAMPLED = 64
"""Tokens of a step that the output head sees, at most."""
MIN_SPLIT = 256
MAX_SPLITS = 64
"""A decode's context is read in parallel by up to so many blocks of so many tokens at least."""
MEMORY_SHARE = 0.6
"""Of free GPU memory that the KV of one layer may take; batches with more are left out."""
POINT_S = 1.0
MIN_REPEATS = 3
MAX_REPEATS = 20


class NoGpuError(Exception):
    """PyTorch sees no GPU."""


@dataclass(frozen=True)
class Shape:
    """The numbers of marsbench/hardware/data/models.toml that a layer needs."""

    layers: int
    hidden: int
    query_heads: int
    kv_heads: int
    head_dim: int
    experts: int
    experts_per_token: int
    expert_hidden: int
    vocabulary: int
    max_model_len: int


SHAPES = {
    "qwen3-coder-30b": Shape(48, 2048, 32, 4, 128, 128, 8, 768, 151_936, 262_144),
    "tiny": Shape(2, 64, 4, 2, 16, 8, 2, 32, 512, 262_144),
}


@dataclass(frozen=True)
class TimedBatch:
    """A step: decodes at a context each, and a chunk of prefill on its prefix."""

    decodes: int = 0
    context: int = 0
    chunk: int = 0
    prefix: int = 0

    @property
    def kv(self) -> int:
        return self.decodes * self.context

    @property
    def num_tokens(self) -> int:
        return self.decodes + self.chunk

    def shrunk(self, factor: int) -> TimedBatch:
        """The same batch with every length divided, for machines without a GPU."""
        return TimedBatch(
            self.decodes,
            -(-self.context // factor),
            -(-self.chunk // factor),
            -(-self.prefix // factor),
        )


PREFIXES = (0, 16_384, 65_536, 131_072, 250_000)
CONTEXTS = (1_024, 16_384, 65_536, 131_072, 250_000)
BATCHES = [
    *(
        TimedBatch(chunk=chunk, prefix=prefix)
        for chunk in (512, 2_048, 8_192)
        for prefix in PREFIXES
    ),
    *(TimedBatch(n, context) for n in (1, 4, 16, 64) for context in CONTEXTS),
    TimedBatch(8, 131_072, 8_192, 131_072),
    TimedBatch(8, 131_072, 512, 131_072),
    TimedBatch(16, 65_536, 2_048, 65_536),
    TimedBatch(32, 16_384, 8_192, 16_384),
    TimedBatch(4, 250_000, 2_048, 0),
    TimedBatch(64, 1_024, 2_048, 0),
]
TINY_FACTOR = 256


class Layer:
    """One transformer layer's kernels on a device, with COPIES sets of weights."""

    def __init__(self, torch: Any, shape: Shape, device: str, kv_tokens: int) -> None:
        self.torch = torch
        self.shape = shape
        self.device = device
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self._generator = torch.Generator(device).manual_seed(7)
        s = shape
        heads = (s.query_heads + 2 * s.kv_heads) * s.head_dim
        self._qkv = [self._random(s.hidden, heads) for _ in range(COPIES)]
        self._out = [self._random(s.query_heads * s.head_dim, s.hidden) for _ in range(COPIES)]
        self._router = self._random(s.hidden, s.experts)
        self._up = [self._random(s.experts, 2 * s.expert_hidden, s.hidden) for _ in range(COPIES)]
        self._down = [self._random(s.experts, s.hidden, s.expert_hidden) for _ in range(COPIES)]
        self._head = self._random(s.vocabulary, s.hidden)
        self._kv = self._random(2, kv_tokens, s.kv_heads, s.head_dim)
        self._grouped = self._grouped_gemm()

    def _random(self, *size: int) -> Any:
        options = {"generator": self._generator, "device": self.device, "dtype": self.dtype}
        return self.torch.randn(*size, **options).mul_(0.02)

    def prepare(self, batch: TimedBatch) -> Callable[[int], Any]:
        """The layer for a batch, as a function of which copy of the weights to use."""
        x = self._random(batch.num_tokens, self.shape.hidden)
        experts = self._routing(batch.num_tokens)
        attentions = []
        if batch.decodes:
            attentions.append(self._decode_attention(batch.decodes, batch.context))
        if batch.chunk:
            attentions.append(self._prefill_attention(batch.chunk, batch.prefix))

        def run(copy: int) -> Any:
            normed = self.torch.nn.functional.rms_norm(x, (x.shape[-1],))
            heads = (normed @ self._qkv[copy])[:, : self._out[copy].shape[0]]
            for attention in attentions:
                attention(copy)
            y = heads @ self._out[copy] + x
            self.torch.topk(y @ self._router, self.shape.experts_per_token)
            return y + self._experts(y, experts, copy)

        return run

    def head(self, num_tokens: int) -> Callable[[int], Any]:
        """The output head, for the tokens that are sampled."""
        x = self._random(min(num_tokens, SAMPLED), self.shape.hidden)
        return lambda copy: x @ self._head.T

    # --- attention

    def _decode_attention(self, decodes: int, context: int) -> Callable[[int], Any]:
        """Split over the context, as decode kernels do, so that one request fills the GPU.

        A group's query heads share a KV head, so they are rows of one query.
        """
        s = self.shape
        splits = max(1, min(MAX_SPLITS, context // MIN_SPLIT))
        part = context // splits
        group = s.query_heads // s.kv_heads
        query = self._random(decodes * splits, s.kv_heads, group, s.head_dim)

        def run(copy: int) -> Any:
            keys, values = self._cached(decodes * splits, part, copy)
            parts = self._attend(query, keys, values, causal=False)
            return parts.view(decodes, splits, -1).mean(1)  # as much work as the weighted sum

        return run

    def _prefill_attention(self, chunk: int, prefix: int) -> Callable[[int], Any]:
        """The chunk over itself (causal) and over its prefix (all of it), then their sum."""
        s = self.shape
        group = s.query_heads // s.kv_heads
        query = self._random(1, s.query_heads, chunk, s.head_dim)
        own = self._random(2, 1, s.query_heads, chunk, s.head_dim)
        rows = query.view(1, s.kv_heads, group * chunk, s.head_dim)

        def run(copy: int) -> Any:
            out = self._attend(query, own[0], own[1], causal=True)
            if prefix:
                keys, values = self._cached(1, prefix, copy)
                out = out + self._attend(rows, keys, values, causal=False).view(out.shape)
            return out

        return run

    def _cached(self, requests: int, length: int, copy: int) -> tuple[Any, Any]:
        """K and V of requests, from another part of the cache for each copy where it has room."""
        tokens = requests * length
        spare = self._kv.shape[1] - tokens
        start = copy * tokens if copy * tokens <= spare else 0
        cached = self._kv[:, start : start + tokens]
        size = (2, requests, length, self.shape.kv_heads, self.shape.head_dim)
        keys, values = cached.view(size).transpose(2, 3)
        return keys, values

    def _attend(self, query: Any, keys: Any, values: Any, *, causal: bool) -> Any:
        attention = self.torch.nn.attention
        backends = attention.SDPBackend
        order = [backends.CUDNN_ATTENTION, backends.FLASH_ATTENTION, backends.EFFICIENT_ATTENTION]
        if self.device != "cuda":  # on a GPU it would write out all scores, and time that
            order.append(backends.MATH)
        with attention.sdpa_kernel(order, set_priority=True):
            return self.torch.nn.functional.scaled_dot_product_attention(
                query, keys, values, is_causal=causal
            )

    # --- experts

    def _routing(self, num_tokens: int) -> tuple[Any, Any, list[int]]:
        """Rows of tokens sorted by their random experts, the experts' ends, and their counts."""
        s, torch = self.shape, self.torch
        scores = torch.rand(num_tokens, s.experts, generator=self._generator, device=self.device)
        chosen = scores.topk(s.experts_per_token).indices.flatten()
        order = chosen.argsort(stable=True) // s.experts_per_token
        counts = torch.bincount(chosen, minlength=s.experts)
        return order, counts.cumsum(0).to(torch.int32), counts.tolist()

    def _experts(self, x: Any, routing: tuple[Any, Any, list[int]], copy: int) -> Any:
        order, ends, counts = routing
        rows = x[order]
        up = self._grouped(rows, self._up[copy], ends, counts)
        gate, value = up.chunk(2, dim=-1)
        activated = self.torch.nn.functional.silu(gate) * value
        down = self._grouped(activated, self._down[copy], ends, counts)
        return self.torch.zeros_like(x).index_add_(0, order, down)

    def _grouped_gemm(self) -> Callable[[Any, Any, Any, list[int]], Any]:
        """PyTorch's grouped GEMM where it runs, else one GEMM for each expert with tokens."""
        functional = self.torch.nn.functional
        fused = getattr(functional, "grouped_mm", getattr(self.torch, "_grouped_mm", None))
        if fused is not None and self.device == "cuda":
            return lambda rows, weights, ends, counts: fused(
                rows, weights.transpose(-2, -1), offs=ends
            )
        return self._one_by_one

    def _one_by_one(self, rows: Any, weights: Any, ends: Any, counts: list[int]) -> Any:
        parts = rows.split(counts)
        return self.torch.cat([part @ w.T for part, w in zip(parts, weights, strict=True)])


class KernelTimer:
    """Times a function of the weights' copy, on the device."""

    def __init__(self, torch: Any, device: str) -> None:
        self._torch = torch
        self._cuda = device == "cuda"

    def seconds(self, run: Callable[[int], Any]) -> float:
        """Median over repeats of COPIES calls, for one call."""
        for copy in range(COPIES):
            run(copy)
        replay = self._captured(run) if self._cuda else lambda: [run(c) for c in range(COPIES)]
        replay()
        times: list[float] = []
        while len(times) < MIN_REPEATS or (len(times) < MAX_REPEATS and sum(times) < POINT_S):
            times.append(self._once(replay))
        return sorted(times)[len(times) // 2] / COPIES

    def _captured(self, run: Callable[[int], Any]) -> Callable[[], Any]:
        """All copies as one CUDA graph, so that launches overlap as in a server."""
        graph = self._torch.cuda.CUDAGraph()
        self._torch.cuda.synchronize()
        with self._torch.cuda.graph(graph):
            for copy in range(COPIES):
                run(copy)
        replay: Callable[[], Any] = graph.replay
        return replay

    def _once(self, replay: Callable[[], Any]) -> float:
        start = time.perf_counter()
        replay()
        if self._cuda:
            self._torch.cuda.synchronize()
        return time.perf_counter() - start


def measure(
    torch: Any, shape: Shape, device: str, batches: Sequence[TimedBatch], deadline_s: float
) -> list[tuple[TimedBatch, float]]:
    """Seconds of each batch's step, leaving out what memory or the deadline does not allow."""
    started = time.perf_counter()
    room = kv_room(torch, shape, device)
    fitting = [batch for batch in batches if max(batch.kv, batch.prefix) <= room]
    layer = Layer(torch, shape, device, max(max(b.kv, b.prefix) for b in fitting))
    clock = KernelTimer(torch, device)
    points: list[tuple[TimedBatch, float]] = []
    clock.seconds(layer.prepare(fitting[0]))  # the first kernels of a process are slow
    for batch in fitting:
        if time.perf_counter() - started > deadline_s:
            say(f"stopped after {len(points)} of {len(fitting)} batches: {deadline_s:.0f} s are up")
            break
        once = clock.seconds(layer.prepare(batch))
        seconds = shape.layers * once + clock.seconds(layer.head(batch.num_tokens))
        points.append((batch, seconds))
        say(f"{batch}  {seconds * 1e3:.3f} ms")
    return points


def kv_room(torch: Any, shape: Shape, device: str) -> int:
    """Tokens of one layer's KV that fit beside the weights."""
    if device != "cuda":
        return 1_000_000
    free, _ = torch.cuda.mem_get_info()
    experts = shape.experts * 3 * shape.hidden * shape.expert_hidden
    weights = 2 * (COPIES * experts + shape.vocabulary * shape.hidden)
    per_token = 2 * shape.kv_heads * shape.head_dim * 2
    return int((free - weights) * MEMORY_SHARE / per_token)


def features(shape: Shape, batch: TimedBatch) -> list[float]:
    """What each coefficient of the fit is multiplied by."""
    missed = 1 - shape.experts_per_token / shape.experts
    return [
        1.0,
        1.0 - missed**batch.num_tokens,
        batch.num_tokens,
        batch.chunk * (batch.prefix + batch.chunk / 2),
        batch.decodes,
        batch.kv,
    ]


COEFFICIENTS = ("overhead", "experts", "token", "pair", "request", "kv_token")
SMALLEST_S = 1e-18
"""Instead of zero where a profile needs a positive number."""


def fit(shape: Shape, points: Sequence[tuple[TimedBatch, float]]) -> dict[str, float]:
    """Coefficients, none negative, that minimize the squares of relative errors."""
    import numpy as np
    from scipy.optimize import nnls

    rows = np.array([features(shape, batch) for batch, _ in points])
    seconds = np.array([s for _, s in points])
    relative = rows / seconds[:, None]
    # Columns of like size, or the smallest coefficients would drown in rounding.
    size = np.linalg.norm(relative, axis=0)
    size[size == 0] = 1.0
    solution, _ = nnls(relative / size, np.ones(len(points)))
    return dict(zip(COEFFICIENTS, (float(c) for c in solution / size), strict=True))


def residual(
    shape: Shape, coefficients: dict[str, float], batch: TimedBatch, seconds: float
) -> float:
    """Fit over measured, minus 1."""
    values = zip(coefficients.values(), features(shape, batch), strict=True)
    return sum(c * f for c, f in values) / seconds - 1


def profile_toml(
    name: str,
    shape: Shape,
    gpu: dict[str, str],
    coefficients: dict[str, float],
    points: Sequence[tuple[TimedBatch, float]],
) -> str:
    """A profile that `marsbench hardware show --hardware` reads."""
    lines = [f'precision = "bf16"\nnote = "{gpu["note"]}"']
    lines.append(f'model = "{name}"\n' if name != "tiny" else model_toml(shape))
    lines.append(gpu_toml(shape, gpu, coefficients))
    lines.append("[fit]")
    for key, value in coefficients.items():
        needed = key in ("pair", "kv_token")
        lines.append(f'{key} = "{max(value, SMALLEST_S):.6g} s"' if value or needed else "")
    for batch, seconds in points:
        error = residual(shape, coefficients, batch, seconds)
        lines.append(
            f"\n[[points]]\ndecodes = {batch.decodes}\nkv = {batch.kv}\nchunk = {batch.chunk}\n"
            f"prefix = {batch.prefix}\ns = {seconds:.6g}\nresidual = {error:.4f}"
        )
    return "\n".join(line for line in lines if line) + "\n"


def model_toml(shape: Shape) -> str:
    numbers = "\n".join(f"{key} = {value}" for key, value in asdict(shape).items())
    precision = 'compute = "bf16"\n' + "\n".join(
        f"{tensor}_bytes = 2" for tensor in ("expert", "dense", "other", "kv")
    )
    model = f'[model]\nsource = "vllm_calibrate.py"\n{numbers}'
    return f"\n{model}\n\n[model.precisions.bf16]\n{precision}\n"


def gpu_toml(shape: Shape, gpu: dict[str, str], coefficients: dict[str, float]) -> str:
    """The GPU; its rates are those that attention reached, not the datasheet's."""
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim * 2
    per_pair = 4 * shape.layers * shape.query_heads * shape.head_dim
    bandwidth = per_token / max(coefficients["kv_token"], SMALLEST_S)
    compute = per_pair / max(coefficients["pair"], SMALLEST_S)
    return (
        f'[gpu]\nname = "{gpu["name"]}"\nmemory = "{gpu["memory"]}"\n'
        f'bandwidth = "{bandwidth / 1e9:.6g} GB/s"\ncompute.bf16 = "{compute / 1e9:.6g} GFLOPS"\n'
        f'host_link = "{gpu["host_link"]}"\n'
    )


def describe(torch: Any, device: str) -> dict[str, str]:
    """The device in words, its memory, and what a copy to it reaches."""
    note = f"vllm_calibrate.py, PyTorch {torch.__version__}"
    if device != "cuda":
        return {"name": "CPU", "memory": "16 GiB", "host_link": "10 GB/s", "note": note}
    properties = torch.cuda.get_device_properties(0)
    pinned = torch.empty(2**28, dtype=torch.uint8, pin_memory=True)
    pinned.to(device)
    torch.cuda.synchronize()
    start = time.perf_counter()
    pinned.to(device)
    torch.cuda.synchronize()
    rate = 2**28 / (time.perf_counter() - start) / 1e9
    # A profile's host_link is nominal, of which a swap is taken to reach 0.8.
    return {
        "name": properties.name,
        "memory": f"{properties.total_memory} B",
        "host_link": f"{rate / 0.8:.4g} GB/s",
        "note": f"{note}, CUDA {torch.version.cuda}",
    }


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def calibrate(output: Path, model: str, *, tiny: bool, deadline_s: float) -> str:
    """Measure, fit and write the profile; one line about how well the fit does."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not tiny:
        raise NoGpuError("calibrate needs a GPU that PyTorch sees; --tiny tries it on a CPU.")
    name = "tiny" if tiny else model
    shape = SHAPES[name]
    batches = [batch.shrunk(TINY_FACTOR) for batch in BATCHES] if tiny else BATCHES
    with torch.inference_mode():
        points = measure(torch, shape, device, batches, deadline_s)
    coefficients = fit(shape, points)
    text = profile_toml(name, shape, describe(torch, device), coefficients, points)
    output.write_text(text, encoding="utf-8")
    errors = [abs(residual(shape, coefficients, batch, s)) for batch, s in points]
    mean, worst = sum(errors) / len(errors), max(errors)
    return (
        f"{output}: {len(points)} steps measured; the fit is off by {mean:.1%} on average and "
        f"{worst:.1%} at worst"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the profile to write")
    known = [name for name in SHAPES if name != "tiny"]
    parser.add_argument("--model", choices=known, default=known[0])
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, to try the script")
    parser.add_argument("--seconds", type=float, default=420.0, help="stop measuring after so long")
    args = parser.parse_args(arguments)
    try:
        line = calibrate(args.output, args.model, tiny=args.tiny, deadline_s=args.seconds)
    except NoGpuError as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
