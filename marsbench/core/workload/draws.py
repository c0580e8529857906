"""Random streams, one a purpose; normal, exponential and gamma numbers, alike on every machine.

A stream is named, so that a knob that turns one stream (the rate: arrivals) leaves every other
as it was (the session bodies). The numbers are alike on every machine:
The ziggurat method (Marsaglia and Tsang 2000, DOI 10.18637/jss.v005.i08) with 256 layers, and
their gamma method (2000, DOI 10.1145/358407.358414), in the order in which NumPy's Generator takes
integers from its stream: the numbers are NumPy's but for their last digits. NumPy's own ask the C
library for exp and log beside the layers, and may change from version to version (NEP 19); the
integers of PCG64 may not.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from itertools import chain, pairwise

import numpy as np

from marsbench.core.workload.exact import Floats
from marsbench_backends.exact import exp, log

Integers = Iterator[int]
"""64 random bits each."""

LAYERS = 256
NORMAL_BITS, EXPONENTIAL_BITS = 52, 53
"""Of an integer's bits those that say how far out in its layer a number lies."""

NORMAL_EDGE = Decimal("3.6541528853610087963519472518")
EXPONENTIAL_EDGE = Decimal("7.69711747013104972")
"""Where the tail begins: with 256 layers of equal area, the topmost ends at the density's top."""

NORMAL_AREA = Decimal("0.004928673233974654931")
EXPONENTIAL_AREA = Decimal("0.003949659822581557199")
"""Of a layer: that of the lowest is its rectangle, edge x density, and the tail beyond."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Per layer, from the lowest: seconds a unit of the integer, units inside of the next layer,
    and the density at its end."""

    unit: tuple[float, ...]
    inside: tuple[int, ...]
    density: tuple[float, ...]
    edge: float


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The generator of this purpose, for example of session `numbers[0]`'s tools."""
    # Python's own hash() of a string differs from process to process.
    key = zlib.crc32(purpose.encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, *numbers)))


def normals(rng: np.random.Generator, count: int) -> Floats:
    """Standard normal numbers."""
    integers, layers = _integers(rng, count), normal_layers()
    return np.array([_normal(integers, layers) for _ in range(count)])


def exponentials(rng: np.random.Generator, count: int) -> Floats:
    """Exponential numbers of mean 1."""
    integers, layers = _integers(rng, count), exponential_layers()
    return np.array([_exponential(integers, layers) for _ in range(count)])


def gammas(rng: np.random.Generator, shape: float, count: int) -> Floats:
    """Gamma numbers of this shape and scale 1: their mean is the shape."""
    if shape == 1:
        return exponentials(rng, count)
    integers, draw = _integers(rng, count), _narrow_gamma if shape > 1 else _wide_gamma
    return np.array([draw(integers, shape) for _ in range(count)])


@cache
def normal_layers() -> Layers:
    """Of the density exp(-x^2 / 2)."""
    return _layers(
        NORMAL_EDGE,
        NORMAL_AREA,
        NORMAL_BITS,
        lambda x: (-x * x / 2).exp(),
        lambda y: (-2 * y.ln()).sqrt(),
    )


@cache
def exponential_layers() -> Layers:
    """Of the density exp(-x)."""
    return _layers(
        EXPONENTIAL_EDGE,
        EXPONENTIAL_AREA,
        EXPONENTIAL_BITS,
        lambda x: (-x).exp(),
        lambda y: -y.ln(),
    )


_Curve = Callable[[Decimal], Decimal]


def _layers(edge: Decimal, area: Decimal, bits: int, density: _Curve, inverse: _Curve) -> Layers:
    with localcontext() as context:
        context.prec = 30
        ends, heights = [edge], [density(edge)]
        while len(ends) < LAYERS - 1:
            heights.append(heights[-1] + area / ends[-1])
            ends.append(inverse(heights[-1]))
        ends, heights = ends[::-1], heights[::-1]
        base = area / heights[-1]
        shares = [edge / base, Decimal(0), *(inner / end for inner, end in pairwise(ends))]
        return Layers(
            unit=tuple(float(end / 2**bits) for end in (base, *ends)),
            inside=tuple(int(share * 2**bits) for share in shares),
            density=(1.0, *map(float, heights)),
            edge=float(edge),
        )


def _integers(rng: np.random.Generator, count: int) -> Integers:
    """The stream's integers; the first `count`, which are needed in any case, are taken at once."""
    raw = rng.bit_generator.random_raw
    first: list[int] = raw(count).tolist()
    return chain(first, iter(raw, None))


def _uniform(integers: Integers) -> float:
    return (next(integers) >> 11) * 2.0**-53


def _normal(integers: Integers, layers: Layers) -> float:
    while True:
        whole = next(integers)
        layer, size = whole & 0xFF, whole >> 9 & 0xF_FFFF_FFFF_FFFF
        x = size * layers.unit[layer]
        if size < layers.inside[layer]:
            return -x if whole & 0x100 else x
        if layer == 0:
            x = layers.edge + _beyond(integers, layers.edge)
            return -x if size & 0x100 else x
        if _height(integers, layers, layer) < exp(-0.5 * x * x):
            return -x if whole & 0x100 else x


def _beyond(integers: Integers, edge: float) -> float:
    """How far beyond the edge a normal number of the tail lies."""
    while True:
        x = -log(1.0 - _uniform(integers)) / edge
        y = -log(1.0 - _uniform(integers))
        if y + y > x * x:
            return x


def _exponential(integers: Integers, layers: Layers) -> float:
    while True:
        whole = next(integers) >> 3
        layer, size = whole & 0xFF, whole >> 8
        x = size * layers.unit[layer]
        if size < layers.inside[layer]:
            return x
        if layer == 0:
            return layers.edge - log(1.0 - _uniform(integers))
        if _height(integers, layers, layer) < exp(-x):
            return x


def _height(integers: Integers, layers: Layers, layer: int) -> float:
    """A height drawn between a layer's bottom and its top."""
    top, bottom = layers.density[layer - 1], layers.density[layer]
    return (top - bottom) * _uniform(integers) + bottom


def _narrow_gamma(integers: Integers, shape: float) -> float:
    """For a shape above 1: the cube of a normal number, accepted or drawn again."""
    layers = normal_layers()
    b = shape - 1 / 3
    c = 1 / math.sqrt(9 * b)
    while True:
        x = _normal(integers, layers)
        root = 1.0 + c * x
        if root <= 0:
            continue
        cube, square, u = root * root * root, x * x, _uniform(integers)
        if u < 1.0 - 0.0331 * square * square:
            return b * cube
        if u == 0 or log(u) < 0.5 * square + b * (1.0 - cube + log(cube)):
            return b * cube


def _wide_gamma(integers: Integers, shape: float) -> float:
    """For a shape below 1 (Ahrens and Dieter 1974, DOI 10.1007/BF02293108)."""
    layers = exponential_layers()
    while True:
        u, limit = _uniform(integers), _exponential(integers, layers)
        if u <= 1.0 - shape:
            logarithm = log(u) if u > 0 else -math.inf
        else:
            y = -log((1.0 - u) / shape)
            logarithm, limit = log(1.0 - shape + shape * y), limit + y
        x = exp(logarithm / shape)
        if x <= limit:
            return x
