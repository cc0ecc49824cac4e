"""Synthetic descents and sweeps of learning rates. All figures in them are invented."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from harness.records import (
    Basin,
    Contour,
    ConvergeRecord,
    Fit,
    Outcome,
    SweepRecord,
    SweptRate,
    Target,
    TrajectoryPoint,
)


def sweep(case: str, **changes: object) -> SweepRecord:
    """Return a sweep of five rates from two seeds of which three in a row work, changed as asked."""
    tried = ((0.001, None, None), (0.01, 400, 500), (0.1, 50, 40), (1.0, 90, 60), (10.0, None, None))
    statuses = ("censored", "works", "works", "works", "diverges")
    base = SweepRecord(
        job=f"sweep {case}[0]",
        case=case,
        title=case.replace("-", " ").capitalize(),
        source="An invented source, chapter 4",
        path=f"cases/regression/{case}.yaml",
        tags=("regression",),
        outcome=Outcome.PASS,
        message="works from 0.01 to 1 (2 decades, 3 of 5 rates) from every one of 2 seeds",
        run="SGD(momentum=0.9), autograd",
        optimizer="SGD",
        seeds=(7, 8),
        budget=500,
        goal="within 1e-06 of a minimum",
        rates=tuple(
            SweptRate(
                rate=rate,
                status=status,  # type: ignore[arg-type]
                steps=(first, second),
                losses=(None, None) if status == "diverges" else (0.1, 0.2),
                diverged=2 * (status == "diverges"),
            )
            for (rate, first, second), status in zip(tried, statuses, strict=True)
        ),
        basin=Basin(
            low=0.01, high=1.0, decades=2.0, count=3, open_low=False, open_high=False, best_rate=0.1, best_steps=45.0
        ),
        declared_rate=0.1,
        duration_s=0.5,
        command=f"harness converge cases/regression/{case}.yaml -k {case} --seed 7 --sweep lr",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def descent(case: str, **changes: object) -> ConvergeRecord:
    """Return a gradient descent on a bowl that arrives, with its path and contours, changed as asked."""
    xs = [1.8 * 0.93**k for k in range(160)]
    ys = [-1.2 * 0.97**k for k in range(160)]
    trajectory = tuple(
        TrajectoryPoint(
            step=k,
            loss=x * x + 0.4 * y * y,
            error=max(abs(x), abs(y)),
            gradient_norm=math.hypot(2 * x, 0.8 * y),
            parameters=(x, y),
        )
        for k, (x, y) in enumerate(zip(xs, ys, strict=True))
    )
    grid_x = tuple(-2 + 4 * k / 40 for k in range(41))
    grid_y = tuple(-1.5 + 3 * k / 40 for k in range(41))
    base = ConvergeRecord(
        job=f"converge {case}[0]",
        case=case,
        title=case.replace("-", " ").capitalize(),
        source="An invented source, chapter 4",
        path=f"cases/regression/{case}.yaml",
        tags=("regression",),
        outcome=Outcome.PASS,
        message="Arrived within 1e-06 of the minimum after 121 steps.",
        run="GD(lr=0.1), analytic gradient",
        optimizer="GD",
        options=(("lr", "0.1"),),
        gradient_source="analytic",
        seed=7,
        status="hit",
        steps=159,
        gradient_evaluations=160,
        steps_to_tolerance=121,
        tolerance=1e-6,
        final_loss=3.1e-14,
        final_error=4.4e-8,
        best_error=4.4e-8,
        minimum_source="closed form (least squares)",
        minimum=(("w", (0.0, 0.0)),),
        final=(("w", (1.2e-8, -4.4e-8)),),
        observed_rate=0.9701,
        theoretical_rate=0.97,
        learning_rate_bound=1.0,
        trajectory=trajectory,
        contour=Contour(
            labels=("w[0]", "w[1]"),
            x=grid_x,
            y=grid_y,
            values=tuple(tuple(x * x + 0.4 * y * y for x in grid_x) for y in grid_y),
        ),
        duration_s=0.31,
        command=f"harness converge cases/regression/{case}.yaml -k {case} --seed 7",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def compared() -> tuple[ConvergeRecord, ...]:
    """Return two optimizers on two problems, a third on one of them, and what must not be compared with them.

    On "valley", SGD takes 10 evaluations to τ = 0.1 and never comes to 10⁻³, a declared miss; Newton takes 2 and 4. On
    "plain", of SGD's three seeds two come to 10⁻³, at the cost of 8 and 16 evaluations where Newton's seeds take 4.
    """

    def tried(case: str, entry: int, name: str, costs: tuple[int | None, ...], **changes: object) -> ConvergeRecord:
        ladder = tuple(
            Target(tau=tau, loss=100.0 * tau, step=cost, evaluations=cost)
            for tau, cost in zip((0.1, 1e-3), costs, strict=True)
        )
        given = {"first_loss": 100.0, "minimum_loss": 0.0, "contour": None, "trajectory": (), "seed": 0, "entry": entry}
        named = {"optimizer": name, "run": f"{name}(), autograd", "job": f"converge {case}[{entry}]", "targets": ladder}
        return descent(case, **(given | named | {"evaluations_to_tolerance": costs[-1]} | changes))

    why = {"expect": "misses", "reason": "the valley is <b>long</b>", "status": "budget"}
    return (
        tried("valley", 0, "SGD", (10, None), **why),
        tried("valley", 1, "Newton", (2, 4)),
        tried("valley", 2, "SGD", (None, None), expect="diverges", status="diverged"),
        tried("valley", 3, "Rprop", (1, 1), first_loss=5.0),
        *(tried("plain", 0, "SGD", (2, cost), seed=seed) for seed, cost in enumerate((8, 16, None))),
        *(tried("plain", 1, "Newton", (2, 4), seed=seed) for seed in range(3)),
    )


def fit() -> Fit:
    """Return the fit of a parabola to noisy data at twelve steps."""
    rng = random.Random(3)
    x = tuple(-1 + 2 * k / 49 for k in range(50))
    y = tuple(5 * v * v + 3 + rng.gauss(0, 0.3) for v in x)
    steps = tuple(round(1000 * (k / 11) ** 2) for k in range(12))
    shares = [1 - math.exp(-step / 150) for step in steps]
    predictions = tuple(tuple(share * (5 * v * v + 3) for v in x) for share in shares)
    return Fit(x_label="x", y_label="y", x=x, y=y, steps=steps, predictions=predictions)
