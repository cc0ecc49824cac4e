"""What the report draws of a descent: the loss around a path in the plane, and the fitted curve at some of its steps.

Numbers only, rounded to six digits; drawing is the report's job.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.case.schema import FitModel
from harness.converge.expressions import evaluate_text
from harness.converge.objective import Objective
from harness.converge.problem import Problem
from harness.errors import UsageError
from harness.records import Contour, Fit

GRID = 45
"""Points along each side of a contour."""
MARGIN = 0.15
"""Share of the box added on each side."""
REACH = 10.0
"""A path further from its start than this many times the way to the minimum is left out of the box (it blew up)."""
LEAST_MOVE = 1e-9
"""A parameter that moves by less than this share of the other's way stands still but for rounding."""
BATCH = 4_000_000
"""Numbers a batched evaluation of the grid may hold at once."""
FRAMES = 40
FIT_POINTS = 200


def contour_of(objective: Objective, path: Sequence[Tensor], minimum: Tensor | None) -> Contour | None:
    """Evaluate the loss on a grid around a path in the plane; None unless there are exactly two parameters.

    Args:
        objective: the loss.
        path: points (2,), from the start on.
        minimum: the minimiser (2,), which the box includes.
    """
    if objective.size != 2 or not path:
        return None
    points = torch.stack(_near(path, minimum) + ([] if minimum is None else [minimum]))
    low, high = points.amin(dim=0), points.amax(dim=0)
    span = _sides(low, high)
    centre = (low + high) / 2
    x, y = (
        torch.linspace(float(middle - (0.5 + MARGIN) * width), float(middle + (0.5 + MARGIN) * width), GRID).double()
        for middle, width in zip(centre, span, strict=True)
    )
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    losses = _losses(objective, torch.stack((columns.reshape(-1), rows.reshape(-1)), dim=1)).reshape(GRID, GRID)
    first, second = parameter_labels(objective)
    return Contour(labels=(first, second), x=_rounded(x), y=_rounded(y), values=tuple(_rounded(row) for row in losses))


def fit_of(problem: Problem, fit: FitModel, snapshots: Sequence[tuple[int, Tensor]]) -> Fit:
    """Evaluate data and prediction along `x` at up to 40 steps of a descent.

    Args:
        problem: data and names; its data (or held-out draw) is what is shown.
        fit: the expressions for x, y and prediction, each giving one number per row.
        snapshots: (step, parameters (n,)) at the kept steps.

    Raises:
        UsageError: the three do not have equally many numbers.
    """
    chosen = [snapshots[place] for place in _spread_out(len(snapshots), FRAMES)]
    objective = problem.objective()
    frames = [(step, objective.split(flat)) for step, flat in chosen]
    x, y = (evaluate_text(problem, text, frames[0][1]).double().reshape(-1) for text in (fit.x, fit.y))
    order = torch.argsort(x)[_spread_out(len(x), FIT_POINTS)] if len(x) else torch.arange(0)
    predictions = [evaluate_text(problem, fit.prediction, parameters).double().reshape(-1) for _, parameters in frames]
    if not len(x) == len(y) == len(predictions[0]) > 0:
        raise UsageError(
            f"Cannot show the fit: x has {len(x)} numbers, y {len(y)} and prediction {len(predictions[0])}. "
            "Give one number per row in each."
        )
    return Fit(
        x_label=fit.x,
        y_label=fit.y,
        x=_rounded(x[order]),
        y=_rounded(y[order]),
        steps=tuple(step for step, _ in frames),
        predictions=tuple(_rounded(prediction[order]) for prediction in predictions),
    )


def parameter_labels(objective: Objective) -> tuple[str, ...]:
    """Return a name for every entry of the flattened parameters: ``w[0]``, ``w[1]``, ``b``, ``M[0,1]``."""
    labels: list[str] = []
    for name, shape in objective.shapes.items():
        for place in range(math.prod(shape)):
            index = torch.unravel_index(torch.tensor(place), shape) if shape else ()
            labels.append(f"{name}[{','.join(str(int(part)) for part in index)}]" if shape else name)
    return tuple(labels)


def _losses(objective: Objective, points: Tensor) -> Tensor:
    """Return the loss at each of many points (k, n), batched; one by one where the function cannot be batched."""
    numbers = sum(tensor.numel() for tensor in objective.data.values()) + objective.size
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of slow batching rules, which do not matter here
        try:
            batched: Tensor = torch.func.vmap(objective, chunk_size=max(1, BATCH // numbers))(points)
        except (RuntimeError, ValueError, TypeError):
            return torch.stack([objective(point) for point in points])
    return batched


def _sides(low: Tensor, high: Tensor) -> Tensor:
    """Return the sides (2,) of a box that is no line: one a tenth of the other at least, or as large as its numbers.

    The latter keeps parameters of unlike size, such as 200 and 0.0005, both in the picture.
    """
    span = high - low
    widest = float(span.max())
    own = torch.maximum(low.abs(), high.abs())
    moves = span > LEAST_MOVE * widest
    return torch.maximum(span, torch.where(moves, own.clamp(max=widest / 10), widest / 10 or 1.0))


def _near(path: Sequence[Tensor], minimum: Tensor | None) -> list[Tensor]:
    """Return the points of a path that are not absurdly far from where it began."""
    start = path[0]
    way = 1.0 if minimum is None else max(float((minimum - start).abs().max()), 1e-6)
    return [point for point in path if float((point - start).abs().max()) <= REACH * way]


def _spread_out(count: int, most: int) -> list[int]:
    """Return up to `most` places among `count`, evenly spread, first and last included."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def _round(value: float) -> float:
    """Round to six significant digits, which is more than a picture shows."""
    return float(f"{value:.6g}")


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(_round(value) for value in values.tolist())
