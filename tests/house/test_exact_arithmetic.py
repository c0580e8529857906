"""What moves a number computes with what IEEE 754 rounds in one way only.

exp, log, powers and the like differ in their last digit between processors, C libraries and
NumPy's instruction sets; sums of dot products between BLAS libraries.
`marsbench_backends/exact.py` and `marsbench/core/workload/exact.py` have what takes their place.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from house.sources import is_in, our_modules

ROOMS = (
    *("marsbench_backends", "marsbench.core", "marsbench.hardware", "marsbench.shortcuts"),
    *("marsbench.judge.intervals", "marsbench.judge.gate"),
)


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MATH = words(
    "ceil comb floor fsum frexp inf isfinite isinf isnan isqrt ldexp nan nextafter sqrt ulp"
)
NUMPY = words("""
    exp exp2 expm1 log log2 log10 log1p power float_power sin cos tan arctan sinh cosh tanh cbrt
    hypot interp dot vdot inner outer matmul einsum tensordot linalg convolve corrcoef cov polyfit
    geomspace logspace
""")
GENERATOR = words("""
    normal standard_normal lognormal exponential standard_exponential gamma standard_gamma beta
    uniform poisson binomial multinomial geometric pareto weibull
""")


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("math"), attr=name) if name not in MATH:
                yield f"{node.lineno}: math.{name}"
            case ast.Attribute(value=ast.Name("np"), attr=name) if name in NUMPY:
                yield f"{node.lineno}: np.{name}"
            case ast.Call(func=ast.Attribute(attr=name)) if name in GENERATOR:
                yield f"{node.lineno}: .{name}()"
            case ast.ImportFrom(module="math" | "statistics" | "cmath" | "numpy"):
                yield f"{node.lineno}: from {node.module} import"
            case ast.BinOp(op=ast.MatMult()):
                yield f"{node.lineno}: @"
            case ast.BinOp(left=left, op=ast.Pow()) if not _is_two(left):
                yield f"{node.lineno}: **, which the C library computes: multiply, or exact.power"


def _is_two(node: ast.expr) -> bool:
    """Powers of two are exact everywhere."""
    return isinstance(node, ast.Constant) and node.value == 2


def test_what_moves_a_number_asks_no_library_for_a_last_digit() -> None:
    wrong = [
        f"{name}:{fault}"
        for name, path in our_modules()
        if is_in(name, *ROOMS)
        for fault in faults(ast.parse(path.read_text()))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "is_wrong"),
    [
        ("math.exp(x)", True),
        ("math.sqrt(x)", False),
        ("np.log(x)", True),
        ("np.rint(x)", False),
        ("rng.standard_normal(3)", True),
        ("rng.random(3)", False),
        ("from math import exp", True),
        ("from statistics import NormalDist", True),
        ("a @ b", True),
        ("x**2", True),
        ("x ** -0.5", True),
        ("2**bits", False),
    ],
)
def test_the_rule_catches_what_it_names(code: str, is_wrong: bool) -> None:
    assert bool([*faults(ast.parse(code))]) == is_wrong


def test_every_room_that_is_named_is_there() -> None:
    modules = {name for name, _ in our_modules()}
    assert not [room for room in ROOMS if room not in modules]
