"""Prints the tables of `docs/history.md`: false and found change points in simulated series.

Stationary AR(1) noise, with and without one step of +10 %, and with a steady drift; seeded.
Run: python docs/history_power.py
"""

from __future__ import annotations

import math

import numpy as np

from harness.history.changes import change_points

SERIES = 400
LEAST = math.log(1.03)
STEP = math.log(1.1)
NEAR = 2
"""Runs by which the place may be missed."""


def noise(rng: np.random.Generator, count: int, spread: float, correlation: float) -> np.ndarray:
    """Return stationary AR(1) noise."""
    found = [rng.normal()]
    for shock in rng.normal(size=count - 1):
        found.append(correlation * found[-1] + math.sqrt(1 - correlation**2) * shock)
    return spread * np.array(found)


def false_share(count: int, spread: float, correlation: float) -> float:
    """Return the share of series without any step in which a change is found."""
    rng = np.random.default_rng([1, count, round(1000 * spread), round(10 * correlation)])
    found = [bool(change_points(noise(rng, count, spread, correlation), least=LEAST)) for _ in range(SERIES)]
    return float(np.mean(found))


def found_share(count: int, at: int, spread: float, correlation: float) -> float:
    """Return the share of series with a step in which it is found where it is."""
    rng = np.random.default_rng([2, count, at, round(1000 * spread), round(10 * correlation)])
    found = []
    for _ in range(SERIES):
        figures = noise(rng, count, spread, correlation)
        figures[at:] += STEP
        found.append(any(abs(place - at) <= NEAR for place in change_points(figures, least=LEAST)))
    return float(np.mean(found))


def drift_share(count: int, total: float) -> float:
    """Return the share of series that rise evenly by a share in all, with independent noise of 1 %, called changed."""
    rng = np.random.default_rng([3, count, round(100 * total)])
    rise = np.linspace(0.0, math.log1p(total), count)
    found = [bool(change_points(rise + noise(rng, count, 0.01, 0.0), least=LEAST)) for _ in range(SERIES)]
    return float(np.mean(found))


def main() -> None:
    """Print the tables as Markdown."""
    print("| σ | ρ | false: 16 runs | 30 | 60 | +10 % found: 8 + 8 runs | 8 + 22 | 30 + 30 |")
    print("|---|---|---|---|---|---|---|---|")
    for spread in (0.01, 0.02, 0.03):
        for correlation in (0.0, 0.3, 0.6):
            false = [false_share(count, spread, correlation) for count in (16, 30, 60)]
            found = [found_share(count, at, spread, correlation) for count, at in ((16, 8), (30, 8), (60, 30))]
            cells = [*(f"{share:.1%}" for share in false), *(f"{share:.0%}" for share in found)]
            print(
                f"| {spread:.0%} | {correlation:g} | {' | '.join(cells).replace('%', ' %')} |".replace("% |", " % |", 1)
            )
    print("\n| drift in all | 30 runs | 60 | 200 |")
    print("|---|---|---|---|")
    for total in (0.1, 0.2, 0.3, 0.6):
        cells = [f"{drift_share(count, total):.0%}".replace("%", " %") for count in (30, 60, 200)]
        print(f"| +{100 * total:.0f} % | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
