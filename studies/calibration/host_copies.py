"""What copies between a GPU and pinned host memory reach, and what they cost the GPU's kernels.

`python host_copies.py FILE.json`: needs torch with CUDA, and a driver (12.8 or later for batches);
neither marsbench nor vLLM. Prints JSON and writes it to the file. Under two minutes on an H100.

Pieces are those of vLLM's offloading: a layer's part of a block, 2048 B a token of a model with
48 layers and 98,304 B a token (32 KiB: 16 tokens; 128 KiB: 64), in a shuffled order on both sides.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

GIB, MIB, KIB = 2**30, 2**20, 2**10
PIECES = (32 * KIB, 128 * KIB, 512 * KIB, 2 * MIB)
WHOLE, CHUNK = GIB, 64 * MIB
REPEATS, WARM_UPS = 12, 3
REGION_S = 0.02  # of kernels in a row, timed as one
WAYS = {"in": ("in",), "out": ("out",), "both": ("in", "out")}
SMI = (
    "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.draw,"
    "temperature.gpu,pcie.link.gen.current,pcie.link.width.current"
)


class Attributes(ctypes.Structure):
    """CUmemcpyAttributes: the order of reads (1: the stream's, 3: any), two hints, flags."""

    _fields_ = (
        ("order", ctypes.c_uint),
        ("hints", ctypes.c_uint * 4),
        ("flags", ctypes.c_uint),
    )


class Side:
    """One way: its memory on both sides, its stream, and how pieces are copied on it."""

    def __init__(self, torch: Any, way: str) -> None:
        gpu = torch.zeros(WHOLE, dtype=torch.uint8, device="cuda")
        host = torch.zeros(WHOLE, dtype=torch.uint8).pin_memory()
        self.source, self.target = (host, gpu) if way == "in" else (gpu, host)
        self.order = 3 if way == "in" else 1  # as vLLM's worker
        self.stream = torch.cuda.Stream()
        self.driver = ctypes.CDLL("libcuda.so.1")
        address, size = ctypes.c_uint64, ctypes.c_size_t
        self.driver.cuMemcpyAsync.argtypes = [address, address, size, ctypes.c_void_p]

    def chunks(self, size: int) -> list[tuple[Any, Any, Any]]:
        """Sources, targets and sizes of all pieces of this size, cut to calls of 64 MiB."""
        dice, count = np.random.default_rng(size), WHOLE // size
        places = [dice.permutation(count).astype(np.uint64) * np.uint64(size) for _ in range(2)]
        source = places[0] + np.uint64(self.source.data_ptr())
        target = places[1] + np.uint64(self.target.data_ptr())
        each = max(1, CHUNK // size)
        cuts = [slice(begin, begin + each) for begin in range(0, count, each)]
        sizes = np.full(count, size, dtype=np.uint64)
        return [(source[cut], target[cut], sizes[cut]) for cut in cuts]

    def batch(self, source: Any, target: Any, sizes: Any) -> None:
        """One call for all of them, as `cudaMemcpyBatchAsync`."""
        attributes, first, failed = Attributes(self.order), ctypes.c_size_t(0), ctypes.c_size_t(0)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (target, source, sizes)]
        error = self.driver.cuMemcpyBatchAsync(
            *pointers,
            ctypes.c_size_t(len(sizes)),
            ctypes.byref(attributes),
            ctypes.byref(first),
            ctypes.c_size_t(1),
            ctypes.byref(failed),
            ctypes.c_void_p(self.stream.cuda_stream),
        )
        if error:
            raise RuntimeError(f"cuMemcpyBatchAsync gave {error} (piece {failed.value})")

    def singly(self, source: Any, target: Any, sizes: Any) -> None:
        """One call for each piece."""
        call, stream = self.driver.cuMemcpyAsync, self.stream.cuda_stream
        for to, begin, size in zip(target.tolist(), source.tolist(), sizes.tolist(), strict=True):
            error = call(to, begin, size, stream)
            if error:
                raise RuntimeError(f"cuMemcpyAsync gave {error}")


class Bench:
    """Timed regions that all begin at once: their streams wait for a gate that sleeps."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.sides = {way: Side(torch, way) for way in ("in", "out")}
        self.gate, self.main = torch.cuda.Stream(), torch.cuda.Stream()
        self.hz = 1e3 * (_attribute(13) or 1_980_000)

    def close_gate(self, seconds: float, *streams: Any) -> None:
        """Hold these streams for so long."""
        self.torch.cuda.synchronize()
        with self.torch.cuda.stream(self.gate):
            self.torch.cuda._sleep(int(seconds * self.hz))
        for stream in streams:
            stream.wait_stream(self.gate)

    def mark(self, stream: Any) -> Any:
        event = self.torch.cuda.Event(enable_timing=True)
        event.record(stream)
        return event

    def copy(self, ways: Sequence[str], size: int, how: str) -> tuple[dict[str, float], float]:
        """Copy all pieces: each way's bytes/s, and the seconds that it took to submit them."""
        sides = {way: self.sides[way] for way in ways}
        chunks = {way: side.chunks(size) for way, side in sides.items()}
        self.close_gate(0.01, *(side.stream for side in sides.values()))
        begins = {way: self.mark(side.stream) for way, side in sides.items()}
        began = time.perf_counter()
        for number in range(len(chunks[ways[0]])):
            for way, side in sides.items():
                getattr(side, how)(*chunks[way][number])
        submitted = time.perf_counter() - began
        ends = {way: self.mark(side.stream) for way, side in sides.items()}
        self.torch.cuda.synchronize()
        return {w: WHOLE / (begins[w].elapsed_time(ends[w]) / 1e3) for w in ways}, submitted

    def kernel(
        self, work: Callable[[], Any], ways: Sequence[str], size: int
    ) -> tuple[float, float]:
        """Seconds of the work while copies run, and the bytes copied in them."""
        sides = [self.sides[way] for way in ways]
        chunks = [side.chunks(size) * 2 for side in sides]
        self.close_gate(0.03, self.main, *(side.stream for side in sides))
        begin = self.mark(self.main)
        with self.torch.cuda.stream(self.main):
            work()
        end = self.mark(self.main)
        marks = [[self.mark(side.stream)] for side in sides]
        for number in range(len(chunks[0]) if chunks else 0):
            for side, own, mine in zip(sides, chunks, marks, strict=True):
                (side.batch if size < MIB else side.singly)(*own[number])
                mine.append(self.mark(side.stream))
        self.torch.cuda.synchronize()
        took = begin.elapsed_time(end)
        return took / 1e3, sum(_copied(begin, mine, took) for mine in marks)


def _copied(begin: Any, marks: Sequence[Any], took: float) -> float:
    """Bytes of one way between the beginning of the kernels and their end."""
    at = [begin.elapsed_time(mark) for mark in marks]
    if at[0] > took / 20 or at[-1] < took:
        raise RuntimeError(f"copies from {at[0]} to {at[-1]} ms beside kernels of {took} ms")
    early, late = np.interp([0, took], at, np.arange(len(at)) * float(CHUNK))
    return float(late - early)


def _attribute(number: int) -> int:
    """A CUdevice_attribute: 13 is the clock, 36 that of memory (both kHz), 37 its bus in bits."""
    value = ctypes.c_int()
    ctypes.CDLL("libcuda.so.1").cuDeviceGetAttribute(ctypes.byref(value), number, 0)
    return value.value


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """The median of repeats, their quartiles and extremes."""
    low, middle, high = statistics.quantiles(values, n=4)
    ends = {"min": min(values), "max": max(values)}
    return {"median": middle, "q1": low, "q3": high, **ends, "repeats": len(values)}


def bandwidth(bench: Bench) -> dict[str, Any]:
    """Bytes a second of each way, alone and both at once."""
    cases = [("one copy of 1 GiB", WHOLE, "singly")]
    cases += [(f"{n // KIB} KiB, {how}", n, how) for n in PIECES for how in ("batch", "singly")]
    return {
        f"{name}, {both}": attempt(partial(_copies, bench, ways, size, how))
        for name, size, how in cases
        for both, ways in WAYS.items()
    }


def _copies(bench: Bench, ways: Sequence[str], size: int, how: str) -> dict[str, Any]:
    runs = [bench.copy(ways, size, how) for _ in range(WARM_UPS + REPEATS)][WARM_UPS:]
    found: dict[str, Any] = {f"{w}_bytes_per_s": spread([run[w] for run, _ in runs]) for w in ways}
    return found | {"submit_s": spread([submitted for _, submitted in runs]), "bytes": WHOLE}


def costs(bench: Bench) -> dict[str, Any]:
    """How much longer kernels take while copies run beside them."""
    torch = bench.torch
    wide = torch.zeros(4, 32768, 32768, dtype=torch.bfloat16, device="cuda")
    line = torch.zeros(32768, dtype=torch.bfloat16, device="cuda")
    a, b = (torch.randn(8192, 8192, device="cuda").bfloat16() for _ in range(2))
    works: dict[str, tuple[float, Callable[[], Any]]] = {
        "matrix-vector, bytes": (wide.nbytes, lambda: [torch.mv(each, line) for each in wide]),
        "streaming copy, bytes": (wide.nbytes, lambda: wide[:2].copy_(wide[2:])),
        "GEMM 8192, FLOP": (2 * 8192**3, lambda: torch.mm(a, b)),
    }
    return {name: attempt(partial(_cost, bench, *own)) for name, own in works.items()}


def _cost(bench: Bench, amount: float, work: Callable[[], Any]) -> dict[str, Any]:
    one = min(bench.kernel(work, (), WHOLE)[0] for _ in range(WARM_UPS))
    times = max(1, round(REGION_S / one))

    def repeated() -> None:
        for _ in range(times):
            work()

    found: dict[str, Any] = {"kernel_s": one, "kernels_a_region": times}
    found["amount_per_s_alone"] = amount / one
    for size, name in ((CHUNK, "64 MiB"), (32 * KIB, "32 KiB")):
        for both, ways in WAYS.items():
            found[f"{name} pieces, {both}"] = attempt(partial(_beside, bench, repeated, ways, size))
    return found


def _beside(bench: Bench, work: Any, ways: Sequence[str], size: int) -> dict[str, Any]:
    """Alone and beside copies in turn, so that a clock that moves meets both alike.

    cost: the longer time, as a multiple of the bytes copied / peak memory bandwidth.
    """
    peak = _peak()
    runs = [(bench.kernel(work, (), size), bench.kernel(work, ways, size)) for _ in range(REPEATS)]
    slower = [busy / alone - 1 for (alone, _), (busy, _) in runs]
    rates = [copied / busy for _, (busy, copied) in runs]
    cost = [(busy - alone) / (copied / peak) for (alone, _), (busy, copied) in runs]
    found = {"slowdown": slower, "copied_bytes_per_s": rates, "cost": cost}
    alone_s = [alone for (alone, _), _ in runs]
    return {name: spread(values) for name, values in (found | {"alone_s": alone_s}).items()}


def _peak() -> float:
    """Bytes a second of the GPU's memory by its clock and bus; an H100 SXM's where untold."""
    return 2e3 * (_attribute(36) or 2_619_000) * (_attribute(37) or 5120) / 8


def attempt(part: Callable[[], Any]) -> Any:
    """The result, or why there is none: one part's failure leaves the others."""
    try:
        return part()
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def device(torch: Any) -> dict[str, Any]:
    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "peak_bytes_per_s": _peak()}
    return found | {"gpu": torch.cuda.get_device_name(0), "smi": attempt(_smi)}


def _smi() -> dict[str, str]:
    command = ["nvidia-smi", f"--query-gpu={SMI}", "--format=csv,noheader"]
    told = subprocess.run(  # noqa: S603  (nothing of it comes from outside)
        command, capture_output=True, text=True, check=True, timeout=20
    ).stdout
    names = SMI.split(",")
    return dict(zip(names, (v.strip() for v in told.splitlines()[0].split(",")), strict=True))


def main(path: str) -> None:
    """Everything, told and written, part by part."""
    import torch

    began = time.perf_counter()
    torch.cuda.synchronize()
    bench = Bench(torch)
    parts: dict[str, Callable[[], Any]] = {
        "device": lambda: device(torch),
        "bandwidth": lambda: bandwidth(bench),
        "smi_between": _smi,
        "cost": lambda: costs(bench),
        "smi_after": _smi,
        "seconds": lambda: time.perf_counter() - began,
    }
    found = {}
    for name, part in parts.items():
        found[name] = attempt(part)
        Path(path).write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(Path(path).read_text())


if __name__ == "__main__":
    main(sys.argv[1])
