"""The problem sets with known answers, computed again in NumPy: residuals, starts, minima and data files.

The residuals below are written from the published formulas, apart from the case files: a slip in a case file shows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.load import load_cases
from harness.case.points import case_points, parse_value
from harness.case.schema import Claims, ConvergeModel
from harness.case.subject import Point, Subject
from harness.case.trust import Trust
from harness.converge.run import converge_case
from harness.records import Outcome

Vector = NDArray[np.float64]
CASES = Path(__file__).resolve().parent.parent / "cases"
BARD = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)
MEYER = (34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872)


def rosenbrock(x: Vector) -> Vector:
    return np.concatenate([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]])


def freudenstein_roth(x: Vector) -> Vector:
    a, b = x
    return np.array([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def powell_badly_scaled(x: Vector) -> Vector:
    return np.array([1e4 * x[0] * x[1] - 1, np.exp(-x).sum() - 1.0001])


def brown_badly_scaled(x: Vector) -> Vector:
    return np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x: Vector) -> Vector:
    powers = np.arange(1, 4)
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** powers)


def jennrich_sampson(x: Vector) -> Vector:
    i = np.arange(1, 11)
    return 2 + 2 * i - np.exp(np.outer(i, x)).sum(axis=1)


def bard(x: Vector) -> Vector:
    u = np.arange(1.0, 16.0)
    v = u[::-1]
    return np.array(BARD) - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


def meyer(x: Vector) -> Vector:
    return np.array(MEYER) - x[0] * np.exp(x[1] / (45 + 5 * np.arange(1, 17) + x[2]))


def box(x: Vector) -> Vector:
    t = np.arange(1, 11) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x: Vector) -> Vector:
    a, b, c, d = x.reshape(-1, 4).T
    return np.concatenate([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])


def wood(x: Vector) -> Vector:
    a, b, c, d = x
    return np.array([10 * (b - a**2), 1 - a, 90**0.5 * (d - c**2), 1 - c, 10**0.5 * (b + d - 2), (b - d) / 10**0.5])


def biggs(x: Vector) -> Vector:
    t = np.arange(1, 14) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


def watson(x: Vector) -> Vector:
    solution = np.polynomial.Polynomial(x)
    t = np.arange(1, 30) / 29
    return np.concatenate([solution.deriv()(t) - solution(t) ** 2 - 1, [x[0], x[1] - x[0] ** 2 - 1]])


def penalty(x: Vector) -> Vector:
    return np.concatenate([np.sqrt(1e-5) * (x - 1), [x @ x - 0.25]])


def variably_dimensioned(x: Vector) -> Vector:
    s = np.arange(1, len(x) + 1) @ (x - 1)
    return np.concatenate([x - 1, [s, s**2]])


def trigonometric(x: Vector) -> Vector:
    i = np.arange(1, len(x) + 1)
    return len(x) - np.cos(x).sum() + i * (1 - np.cos(x)) - np.sin(x)


def broyden_tridiagonal(x: Vector) -> Vector:
    padded = np.pad(x, 1)
    return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1


def broyden_banded(x: Vector) -> Vector:
    beside = [[j for j in range(max(0, i - 5), min(len(x), i + 2)) if j != i] for i in range(len(x))]
    return x * (2 + 5 * x**2) + 1 - np.array([sum(x[j] * (1 + x[j]) for j in around) for around in beside])


def linear_full_rank(x: Vector) -> Vector:
    return np.concatenate([x, np.zeros(20 - len(x))]) - 2 / 20 * x.sum() - 1


def linear_rank_1(x: Vector) -> Vector:
    return np.arange(1, 21) * (np.arange(1, len(x) + 1) @ x) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A published problem: `value` is the sum of squares at `start`, `minima` those at its minima, as printed."""

    residuals: Callable[[Vector], Vector]
    start: tuple[float, ...]
    value: float
    minima: tuple[float, ...]


TABLE: Mapping[str, Row] = {
    "rosenbrock": Row(residuals=rosenbrock, start=(-1.2, 1), value=24.2, minima=(0,)),
    "freudenstein-roth": Row(residuals=freudenstein_roth, start=(0.5, -2), value=400.5, minima=(0, 48.98425)),
    "powell-badly-scaled": Row(residuals=powell_badly_scaled, start=(0, 1), value=1.13526, minima=(0,)),
    "brown-badly-scaled": Row(residuals=brown_badly_scaled, start=(1, 1), value=9.99998e11, minima=(0,)),
    "beale": Row(residuals=beale, start=(1, 1), value=14.2031, minima=(0,)),
    "jennrich-sampson": Row(residuals=jennrich_sampson, start=(0.3, 0.4), value=4171.31, minima=(124.36218,)),
    "bard": Row(residuals=bard, start=(1, 1, 1), value=41.6817, minima=(8.21487731e-3,)),
    "meyer": Row(residuals=meyer, start=(0.02, 4000, 250), value=1.69361e9, minima=(87.94586,)),
    "box-three-dimensional": Row(residuals=box, start=(0, 10, 20), value=1031.15, minima=(0, 0, 0)),
    "powell-singular": Row(residuals=powell_singular, start=(3, -1, 0, 1), value=215, minima=(0,)),
    "wood": Row(residuals=wood, start=(-3, -1, -3, -1), value=19192, minima=(0,)),
    "biggs-exp6": Row(residuals=biggs, start=(1, 2, 1, 1, 1, 1), value=0.77907, minima=(0, 0, 5.65565e-3, 5.65565e-3)),
    "watson": Row(residuals=watson, start=(0,) * 6, value=30, minima=(2.28767e-3, 1.39976e-6, 4.72238e-10)),
    "extended-rosenbrock": Row(residuals=rosenbrock, start=(-1.2, 1) * 5, value=12.1 * 10, minima=(0,)),
    "extended-powell": Row(residuals=powell_singular, start=(3, -1, 0, 1) * 3, value=53.75 * 12, minima=(0,)),
    "penalty-1": Row(residuals=penalty, start=(1, 2, 3, 4), value=885.063, minima=(2.24998e-5, 7.08765e-5)),
    "variably-dimensioned": Row(
        residuals=variably_dimensioned, start=tuple(1 - j / 10 for j in range(1, 11)), value=2.19855e6, minima=(0,)
    ),
    "trigonometric": Row(residuals=trigonometric, start=(0.1,) * 10, value=7.07576e-3, minima=(0, 2.79506e-5)),
    "broyden-tridiagonal": Row(residuals=broyden_tridiagonal, start=(-1,) * 10, value=21, minima=(0,)),
    "broyden-banded": Row(residuals=broyden_banded, start=(-1,) * 10, value=360, minima=(0,)),
    "linear-full-rank": Row(residuals=linear_full_rank, start=(1,) * 10, value=50, minima=(10,)),
    "linear-rank-1": Row(residuals=linear_rank_1, start=(1,) * 10, value=8.65867e6, minima=(4.634146, 4.634146)),
}

SHIPPED = {case.id: case for case in load_cases([CASES / "more-garbow-hillstrom", CASES / "nist"])}
TRUST = Trust(folders=(CASES,))


def subject_of(case: Case) -> Subject:
    return build_subject(case, trust=TRUST)


def own_points(case: Case, subject: Subject) -> list[Point]:
    """The points the case file itself gives, those of a NIST data file left out."""
    points = case_points(case, subject, seed=0)
    return [point for point in points if not point.name.startswith(("start ", "certified", "random"))]


def flat(point: Point, subject: Subject) -> Vector:
    """The parameters at a point as one vector."""
    return torch.cat([point.values[name].reshape(-1) for name in subject.differentiable]).numpy()


def square(residuals: Vector) -> float:
    return float(residuals @ residuals)


def jacobian(residuals: Callable[[Vector], Vector], x: Vector) -> Vector:
    """Central differences with a step for each entry."""
    columns = []
    for j, entry in enumerate(x):
        step = np.zeros_like(x)
        step[j] = 6e-6 * max(abs(entry), 1e-3 if abs(x).max() < 1e3 else abs(entry))
        columns.append((residuals(x + step) - residuals(x - step)) / (2 * step[j]))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", TABLE)
def test_case_computes_the_published_residuals(name: str) -> None:
    """At two drawn points of each size, the case's sum of squares is that of the formulas above."""
    case = SHIPPED[f"mgh-{name}"]
    subject = subject_of(case)
    points = case_points(case, subject, seed=1)
    for point in points:
        (value,) = subject.function(point.values)
        ours = square(TABLE[name].residuals(flat(point, subject)))
        assert float(value) == pytest.approx(ours, rel=1e-9, abs=1e-18), point.name


@pytest.mark.parametrize("name", TABLE)
def test_standard_start_is_the_published_one(name: str) -> None:
    """The start is as published, its sum of squares claimed as printed, and NumPy finds that sum."""
    case, row = SHIPPED[f"mgh-{name}"], TABLE[name]
    subject = subject_of(case)
    start = own_points(case, subject)[0]
    assert start.name == "standard start"
    assert flat(start, subject) == pytest.approx(row.start, abs=1e-15)
    claims = case.model.points[0].claims
    assert isinstance(claims, Claims)
    assert float(claims.value) == pytest.approx(row.value, rel=1e-15)
    assert square(row.residuals(np.array(row.start, dtype=np.float64))) == pytest.approx(row.value, rel=6e-6)


@pytest.mark.parametrize("name", TABLE)
def test_minima_are_the_published_ones(name: str) -> None:
    """All published minima are points, claimed stationary: the sum is as printed, the residuals normal to J."""
    case, row = SHIPPED[f"mgh-{name}"], TABLE[name]
    subject = subject_of(case)
    minima = own_points(case, subject)[1:]
    assert all(point.stationary for point in minima)
    assert len(minima) == len(row.minima)
    for point, published in zip(minima, row.minima, strict=True):
        x = flat(point, subject)
        residuals = row.residuals(x)
        assert square(residuals) == pytest.approx(published, rel=6e-6, abs=1e-25), point.name
        columns = jacobian(row.residuals, x)
        lengths = np.linalg.norm(columns, axis=0) * np.linalg.norm(residuals)
        assert published == 0 or np.abs(columns.T @ residuals / lengths).max() <= 1e-5, point.name


@pytest.mark.parametrize("name", TABLE)
def test_every_way_starts_at_the_standard_start(name: str) -> None:
    """Least squares and LBFGS start at the standard start, least squares also at ten times it where that differs."""
    case, row = SHIPPED[f"mgh-{name}"], TABLE[name]
    subject = subject_of(case)
    seen = {(entry.optimizer_name, *multiple(entry, subject, row)) for entry in case.model.converge}
    assert {("LeastSquares", 1.0), ("LBFGS", 1.0)} <= seen
    assert ("LeastSquares", 10.0) in seen or not any(row.start)


def multiple(entry: ConvergeModel, subject: Subject, row: Row) -> tuple[float, ...]:
    """How many times the standard start a descent begins at; nothing where it is no multiple."""
    sizes = {"n": entry.dims.get("n", len(row.start))}
    parts = []
    for name in subject.differentiable:
        shape = [sizes.get(str(size), size) for size in subject.inputs[name].shape]
        parts.append(parse_value(entry.start[name], sizes, shape=shape).reshape(-1))
    start = torch.cat(parts).numpy()
    if not any(row.start):
        return (1.0,) if not start.any() else ()
    if len(start) != len(row.start):
        return ()
    place = int(np.abs(row.start).argmax())
    factor = start[place] / row.start[place]
    return (round(float(factor), 9),) if np.allclose(start, factor * np.array(row.start), rtol=1e-12) else ()


@pytest.mark.parametrize("name", [case for case in SHIPPED if case.startswith("mgh-")])
def test_misses_say_why(name: str) -> None:
    """A descent that is declared to miss gives its reason in a sentence, not in a word."""
    misses = [entry for entry in SHIPPED[name].model.converge if entry.expect == "misses"]
    assert all(entry.reason is not None and len(entry.reason.split()) >= 6 for entry in misses)


def test_table_is_shipped_whole() -> None:
    """There is a case for every row of the table, and no other."""
    assert {name for name in SHIPPED if name.startswith("mgh-")} == {f"mgh-{name}" for name in TABLE}


def test_every_data_file_has_a_case() -> None:
    """Every data file of NIST's that is shipped is named by exactly one case of the NIST set."""
    used = Counter(Path(case.model.nist.data).name for case in SHIPPED.values() if case.path.parent.name == "nist")
    assert used == Counter(file.name for file in (CASES / "nist" / "data").glob("*.dat"))


def test_every_regression_descends_from_both_starts() -> None:
    """Least squares starts at both of NIST's starts of every regression, and is expected to arrive from each."""
    for case in SHIPPED.values():
        if case.path.parent.name != "nist":
            continue
        arriving = [
            entry.start
            for entry in case.model.converge
            if entry.optimizer == "LeastSquares" and entry.expect == "arrives" and (entry.digits or 0) >= 6
        ]
        starts = [point.at for point in case.model.points if (point.name or "").startswith("start ")]
        for start in starts:
            assert {name: float(value) for name, value in start.items()} in arriving, case.id


def test_cases_of_the_documentation_arrive(tmp_path: Path) -> None:
    """What the documentation prints is a whole case: the regression beside its data file, and the sum of squares."""
    text = (CASES.parent / "docs" / "problems.md").read_text(encoding="utf-8")
    (tmp_path / "Misra1a.dat").write_bytes((CASES / "nist" / "data" / "Misra1a.dat").read_bytes())
    for count, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)):
        assert block.count("\n") <= 10
        (tmp_path / f"{count}.yaml").write_text(block, encoding="utf-8")
    cases = load_cases([tmp_path])
    assert [case.id for case in cases] == ["my-misra1a", "my-valley"]
    for case in cases:
        for entry in range(len(case.model.converge)):
            (record,) = converge_case(case, entry, trust=Trust(), seed=0)
            assert record.outcome is Outcome.PASS, record.message


def test_ids_are_unique() -> None:
    """No id is used twice in all shipped cases."""
    assert not [name for name, times in Counter(case.id for case in load_cases([CASES])).items() if times > 1]


def test_turned_quadratics_use_the_best_values() -> None:
    """Rates and momenta of the turned quadratics are the published best ones for their condition."""
    for condition, name in ((100.0, "100"), (1e4, "1e4"), (1e6, "1e6")):
        (case,) = [one for one in load_cases([CASES / "optimizers"]) if one.id == f"quadratic-condition-{name}"]
        descent, *others = [one for one in case.model.converge if one.optimizer in ("GD", "SGD")]
        heavy, *halved = [one for one in others if not one.options.get("nesterov")]
        (nesterov,) = [one for one in others if one.options.get("nesterov")]
        root = np.sqrt(condition)
        assert descent.options["lr"] == pytest.approx(2 / (1 + 1 / condition), rel=1e-12)
        assert nesterov.options["momentum"] == pytest.approx((root - 1) / (root + 1), rel=1e-12)
        assert heavy.options["lr"] == pytest.approx(4 / (1 + 1 / root) ** 2, rel=1e-12)
        assert heavy.options["momentum"] == pytest.approx(((root - 1) / (root + 1)) ** 2, rel=1e-12)
        assert len(halved) == (condition > 100)
        for one in halved:
            assert one.options["momentum"] == pytest.approx((1 - np.sqrt(2.0 / condition)) ** 2, rel=1e-12)
