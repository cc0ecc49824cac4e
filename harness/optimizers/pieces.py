"""The parameters and gradients that optimizers are driven with: drawn by seed, chosen so that faults show.

Entries of one gradient differ by up to eight orders of magnitude, so that ε counts at some and not at others; the first
steps' gradients are the largest, so that a maximum over time differs from the present; some entries are zero at times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from harness.optimizers.findings import Numbers
from harness.optimizers.needs import Needs
from harness.optimizers.walk import Piece

SCALES = (1.0, 0.3, 1e-1, 3.0, 1e-2, 1e-3, 1e-5, 1e-8, 1.0, 10.0, 1e-4, 0.5)
"""Size of each entry's gradients, over and over."""
EARLY = 20
"""Steps whose gradients are larger by `LARGER`."""
LARGER = 4.0
CONDITION = 100.0
"""Condition of the rotated quadratic."""


def ruled_pieces(needs: Needs, steps: int, seed: int, dtype: torch.dtype = torch.float64) -> list[Piece]:
    """Return what an update rule is checked on: fixed gradients, and a rotated quadratic as a closed loop.

    In low precision the fixed part starts near zero, where steps are large beside the rounding of the parameter.
    """
    noise = np.random.default_rng((seed, 1))
    shape = (2, 3) if needs.matrices or needs.sparse else (6,)
    fixed = Piece(
        name="fixed", start=noise.standard_normal((3, 4)) * (1.0 if dtype == torch.float64 else 1e-3),
        tilts=_tilts(noise, steps, (3, 4)), dtype=dtype,
        present=_present(noise, steps, 3) if needs.sparse else None,
    )  # fmt: skip
    return [fixed, quadratic(noise, shape, dtype, _present(noise, steps, 2) if needs.sparse else None)]


def generic_pieces(needs: Needs, seed: int, steps: int = 10, dtype: torch.dtype = torch.float64) -> list[Piece]:
    """Return three independent parameters with elementwise fields, in the shapes the optimizer can take."""
    noise = np.random.default_rng((seed, 2))
    between: tuple[int, ...] = (2, 3) if needs.matrices or needs.sparse else (5,)
    shapes: Sequence[tuple[int, ...]] = ((3, 4), between, (3, 4))  # two alike, so that what they share shows
    return [
        Piece(
            name=name,
            start=noise.standard_normal(shape),
            tilts=_tilts(noise, steps, shape),
            curvature=noise.uniform(0.2, 2.0, int(np.prod(shape))),
            present=_present(noise, steps, shape[0]) if needs.sparse else None,
            dtype=dtype,
        )
        for name, shape in zip("abc", shapes, strict=True)
    ]


def quadratic(
    noise: np.random.Generator, shape: tuple[int, ...], dtype: torch.dtype = torch.float64, present: object = None
) -> Piece:
    """Return ½·θᵀAθ + ⟨c, θ⟩ with randomly rotated eigenvalues from 0.05 to 5."""
    size = int(np.prod(shape))
    basis, _ = np.linalg.qr(noise.standard_normal((size, size)))
    eigenvalues = np.geomspace(5.0 / CONDITION, 5.0, size)
    return Piece(
        name="quadratic",
        start=noise.standard_normal(shape),
        tilts=noise.standard_normal((1, *shape)),
        curvature=(basis * eigenvalues) @ basis.T,
        present=present,
        dtype=dtype,
    )


def constant_piece(gradient: float, start: float = 1.0, shape: tuple[int, ...] = (1,)) -> Piece:
    """Return a parameter whose gradient is always the same number."""
    return Piece(name="constant", start=np.full(shape, start), tilts=np.full((1, *shape), gradient))


def _tilts(noise: np.random.Generator, steps: int, shape: tuple[int, ...]) -> Numbers:
    """Return gradients (steps, *shape)."""
    scales = np.resize(SCALES, shape)
    sizes = np.where(np.arange(steps) < EARLY, LARGER, 1.0).reshape(-1, *(1 for _ in shape))
    drawn: Numbers = noise.standard_normal((steps, *shape)) * scales * sizes
    drawn[noise.uniform(size=drawn.shape) < 0.02] = 0.0
    return drawn


def _present(noise: np.random.Generator, steps: int, rows: int) -> NDArray[np.bool_]:
    """Return which rows a sparse gradient holds, (steps, rows); at least one at every step."""
    present = noise.uniform(size=(steps, rows)) < 0.6
    present[np.arange(steps), noise.integers(0, rows, steps)] = True
    return present
