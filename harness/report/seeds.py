"""Seeds of one entry taken together: the median of a descent, and between what most of its seeds lie.

A pure function of frames. It says how seeds spread at each step; it does not say that one seed stays where it is in the
band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

SEED = " · seed "
"""What parts a descent's name into run and seed."""
LOW, HIGH = 0.1, 0.9
"""Quantiles over seeds that bound a band."""

LARGEST, GONE = 1e300, 1e290
"""Stands for what is not finite, which cannot be interpolated; and what is above comes of it."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Quantiles over seeds, by step; infinite where the seeds that diverged reach into them."""

    steps: npt.NDArray[np.int64]
    low: Vector
    middle: Vector
    high: Vector


def run_of(descent: str) -> str:
    """Return a descent's name without its seed."""
    return str(descent).rsplit(SEED, 1)[0]


def seed_spread(rows: pd.DataFrame, quantity: str, *, most: int) -> Spread:
    """Return the quantiles of a quantity over the seeds of one run.

    Between the steps that were kept, a seed's curve is interpolated; after its last step it stays where it ended, so
    that seeds that arrive early do not leave the band to those that do not.

    Args:
        rows: of one run, as in `columns.TRAJECTORY`, some seeds.
        quantity: its column, such as `loss`.
        most: steps to keep, evenly spaced, the first and the last among them.
    """
    every = np.unique(rows["step"].to_numpy(dtype=np.int64))
    places = np.unique(np.linspace(0, len(every) - 1, min(max(most, 2), len(every))).round().astype(int))
    steps = every[places]
    curves = np.stack([_curve(mine, quantity, steps) for _, mine in rows.groupby("seed", sort=False)])
    low, middle, high = (
        np.where(found > GONE, np.inf, found) for found in np.quantile(curves, [LOW, 0.5, HIGH], axis=0)
    )
    return Spread(steps=steps, low=low, middle=middle, high=high)


def _curve(rows: pd.DataFrame, quantity: str, steps: npt.NDArray[np.int64]) -> Vector:
    ordered = rows.sort_values("step")
    values = ordered[quantity].to_numpy(dtype=np.float64, na_value=np.nan)
    finite = np.where(np.isfinite(values), values, LARGEST)
    curve: Vector = np.interp(steps, ordered["step"].to_numpy(dtype=np.float64), finite)
    return curve
