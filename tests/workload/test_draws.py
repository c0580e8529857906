"""Numbers drawn from a stream's integers: NumPy's but for the last digits, and as distributed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from marsbench.core.workload.draws import (
    LAYERS,
    Floats,
    exponential_layers,
    exponentials,
    gammas,
    normal_layers,
    normals,
)

COUNT = 200_000
SHAPES = (0.0004, 0.08, 0.99, 1.0, 1.7, 100.0)
Draw = Callable[[np.random.Generator], Floats]

TWINS: dict[str, tuple[Draw, Draw]] = {
    "normal": (lambda rng: normals(rng, COUNT), lambda rng: rng.standard_normal(COUNT)),
    "exponential": (
        lambda rng: exponentials(rng, COUNT),
        lambda rng: rng.standard_exponential(COUNT),
    ),
    **{
        f"gamma {shape}": (
            lambda rng, shape=shape: gammas(rng, shape, COUNT // 10),  # type: ignore[misc]
            lambda rng, shape=shape: rng.standard_gamma(shape, COUNT // 10),  # type: ignore[misc]
        )
        for shape in SHAPES
    },
}


@pytest.mark.parametrize("name", TWINS)
def test_they_are_numpys_and_leave_the_stream_where_numpy_does(name: str) -> None:
    """As of NumPy 2.4. Should NumPy draw otherwise one day, ours stay and this test goes."""
    rng, other = np.random.default_rng(11), np.random.default_rng(11)
    ours, theirs = (draw(g) for draw, g in zip(TWINS[name], (rng, other), strict=True))
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-300)
    assert rng.bit_generator.state == other.bit_generator.state


def test_every_layer_has_the_same_area_and_the_topmost_ends_at_the_top() -> None:
    for layers, bits in ((normal_layers(), 52), (exponential_layers(), 53)):
        width = np.array(layers.unit) * 2.0**bits
        rise = -np.diff([*layers.density])
        areas = width[1:] * rise
        assert len(width) == LAYERS
        assert areas == pytest.approx(np.full(LAYERS - 1, areas[0]), rel=1e-11)
        assert width[0] * layers.density[-1] == pytest.approx(areas[0], rel=1e-11)
        assert width[-1] == pytest.approx(layers.edge)


def test_fewer_draws_begin_more() -> None:
    few, many = (normals(np.random.default_rng(3), count) for count in (700, 9_000))
    assert many[:700].tolist() == few.tolist()
    assert normals(np.random.default_rng(3), 0).size == 0
