"""Linear algebra operators on batches of matrices: determinants, solutions, inverses and factorisations.

Each runs on one matrix at a time in `elimination`; a matrix that is exactly singular has no answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.oracle.ball import elimination as e
from harness.oracle.ball import functions as f
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.parts import absolute
from harness.oracle.ball.rules import RULES, rule
from harness.oracle.ball.values import ONE, ZERO, Balls, Entry, as_complex, constant_term, real_part
from harness.oracle.ball.walk import Walk

EPSILON = 2.0**-52
"""What torch scales its default tolerances of singular values by, in float64."""
OnMatrices = Callable[..., list[Entry]]


def by_matrix(
    walk: Walk, function: OnMatrices, operands: Sequence[Balls], shape: Sequence[int], *, complex: bool | None = None
) -> Balls:
    """Apply a function of matrices to every member of a batch.

    Args:
        walk: the pass.
        function: of one matrix (a list of rows) per operand, to the flat entries of the result.
        operands: … × m × n each, with broadcasting batch dims.
        shape: of one result.
        complex: whether the result is complex; None means like the operands.
    """
    balls = walk.alike(*operands)
    batch = torch.broadcast_shapes(*(b.shape[:-2] for b in balls))
    count = math.prod(batch)
    rows = [b.broadcast((*batch, *b.shape[-2:])).reshape((count, b.shape[-2] * b.shape[-1])) for b in balls]
    columns = [b.shape[-1] for b in balls]
    out_complex = balls[0].complex if complex is None else complex
    size = max((max(b.shape[-2:]) for b in balls), default=1)

    def one(*entries: list[Entry]) -> list[Entry]:
        try:
            found = function(*(e.rows_of(flat, width) for flat, width in zip(entries, columns, strict=True)))
        except ZeroDivisionError as reason:
            raise NotCertifiedError(f"a matrix is {reason}") from reason
        return [as_complex(entry) for entry in found] if out_complex else found

    return walk.rows(one, rows, math.prod(shape), cost=max(1, size**3), complex=out_complex).reshape((*batch, *shape))


def _columns(value: Balls, like: Balls) -> tuple[Balls, bool]:
    """A right-hand side as matrices; whether it was one vector per matrix."""
    vector = value.data.ndim == 1 or (value.data.ndim == like.data.ndim - 1 and value.shape == like.shape[:-1])
    return (value.reshape((*value.shape, 1)), True) if vector else (value, False)


@rule("linalg_inv_ex", "inverse", "linalg_inv")
def inverse(walk: Walk, A: Any, check_errors: bool = False) -> tuple[Balls, Tensor]:
    """Inverses, and zeros for "no fault"."""
    value = walk.ball(A)
    size = value.shape[-1]
    found = by_matrix(walk, lambda m: e.flatten(e.solve(m, e.identity(size))), [value], (size, size))
    return found, _no_fault(value)


def _no_fault(value: Balls) -> Tensor:
    return torch.zeros(value.shape[:-2], dtype=torch.int32)


@rule("linalg_solve_ex", "_linalg_solve_ex")
def solve(walk: Walk, A: Any, B: Any, left: bool = True, check_errors: bool = False) -> tuple[Any, ...]:
    """Solutions of A·X = B (X·A = B); the factors returned beside them are not computed."""
    matrix, right = walk.ball(A), walk.ball(B)
    right, vector = _columns(right, matrix)
    shape = right.shape[-2:]

    def one(m: e.Matrix, b: e.Matrix) -> list[Entry]:
        return e.flatten(e.solve(m, b) if left else e.transpose(e.solve(e.transpose(m), e.transpose(b))))

    found = by_matrix(walk, one, [matrix, right], shape)
    return (found.reshape(found.shape[:-1]) if vector else found), None, None, _no_fault(matrix)


@rule("linalg_solve_triangular")
def solve_triangular(walk: Walk, a: Any, B: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> Balls:
    """Solutions with a triangular matrix."""
    matrix, right = walk.ball(a), walk.ball(B)
    return by_matrix(walk, _triangular(upper=upper, left=left, unit=unitriangular), [matrix, right], right.shape[-2:])


def _triangular(*, upper: bool, left: bool, unit: bool) -> OnMatrices:
    def one(m: e.Matrix, b: e.Matrix) -> list[Entry]:
        if left:
            return e.flatten(e.solve_upper(m, b, unit=unit) if upper else e.solve_lower(m, b, unit=unit))
        turned, right = e.transpose(m), e.transpose(b)
        found = e.solve_lower(turned, right, unit=unit) if upper else e.solve_upper(turned, right, unit=unit)
        return e.flatten(e.transpose(found))

    return one


@rule("triangular_solve")
def old_solve_triangular(
    walk: Walk, a: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Balls, Balls]:
    """Solutions of A·X = a with a triangular matrix, and the matrix."""
    matrix, right = walk.ball(A), walk.ball(a)
    turned = RULES["_conj"](walk, matrix).moveaxis(-1, -2) if transpose else matrix
    return by_matrix(
        walk, _triangular(upper=upper != transpose, left=True, unit=unitriangular), [turned, right], right.shape[-2:]
    ), matrix


@rule("_linalg_det", "linalg_det", "det")
def determinant(walk: Walk, A: Any) -> tuple[Any, ...]:
    """Determinants; the factors returned beside them are not computed."""
    return by_matrix(walk, lambda m: [e.determinant(m)], [walk.ball(A)], ()), None, None


@rule("_linalg_slogdet", "linalg_slogdet", "slogdet")
def log_determinant(walk: Walk, A: Any) -> tuple[Any, ...]:
    """Signs and logarithms of the moduli of determinants."""
    found = determinant(walk, A)[0]
    return RULES["sgn"](walk, found), RULES["log"](walk, absolute(walk, found)), None, None


@rule("linalg_lu_factor_ex")
def lu_factor(walk: Walk, A: Any, pivot: bool = True, check_errors: bool = False) -> tuple[Balls, Tensor, Tensor]:
    """LAPACK's factors in one matrix, its row exchanges, and zeros for "no fault"."""
    value = walk.ball(A)
    factors = by_matrix(walk, lambda m: e.flatten(e.lu(m, walk.sign, pivoting=pivot)[0]), [value], value.shape[-2:])
    orders = _orders(walk, value, pivoting=pivot)
    return factors, _exchanges(orders), _no_fault(value)


def _orders(walk: Walk, value: Balls, *, pivoting: bool) -> Tensor:
    """The row order of every factorisation: … × m."""
    m, n = value.shape[-2:]
    rows = value.reshape((math.prod(value.shape[:-2]), m * n))

    def one(entries: list[Entry]) -> list[int]:
        return e.lu(e.rows_of(entries, n), walk.sign, pivoting=pivoting)[1]

    found = walk.decide(one, [rows], m, cost=max(1, max(m, n) ** 3))
    return torch.from_numpy(found.copy()).reshape((*value.shape[:-2], m))


def _exchanges(orders: Tensor) -> Tensor:
    """Row orders as LAPACK writes them: exchange row i with row pivot[i], counted from 1."""
    flat = orders.reshape(-1, orders.shape[-1])
    result = torch.zeros_like(flat, dtype=torch.int32)
    for line, order in zip(result, flat.tolist(), strict=True):
        current = list(range(len(order)))
        for i, wanted in enumerate(order):
            j = current.index(wanted)
            current[i], current[j] = current[j], current[i]
            line[i] = j + 1
    return result.reshape(orders.shape)


@rule("linalg_lu")
def lu(walk: Walk, A: Any, pivot: bool = True) -> tuple[Balls, Balls, Balls]:
    """P, L and U."""
    value = walk.ball(A)
    m, n = value.shape[-2:]
    k = min(m, n)

    def factor(m_: e.Matrix) -> e.Matrix:
        return e.lu(m_, walk.sign, pivoting=pivot)[0]

    def lower(m_: e.Matrix) -> list[Entry]:
        found = factor(m_)
        return [ONE if i == j else (found[i][j] if j < i else ZERO) for i in range(m) for j in range(k)]

    def upper(m_: e.Matrix) -> list[Entry]:
        found = factor(m_)
        return [found[i][j] if j >= i else ZERO for i in range(k) for j in range(n)]

    orders = _orders(walk, value, pivoting=pivot)
    permutation = torch.nn.functional.one_hot(orders, m).transpose(-1, -2)
    exact = walk.ball(permutation)
    return (
        exact.to_complex() if value.complex else exact,
        by_matrix(walk, lower, [value], (m, k)),
        by_matrix(walk, upper, [value], (k, n)),
    )


@rule("linalg_lu_solve")
def lu_solve(walk: Walk, LU: Any, pivots: Tensor, B: Any, left: bool = True, adjoint: bool = False) -> Balls:
    """Solutions from a factorisation."""
    factors, right = walk.ball(LU), walk.ball(B)
    order = _orders_of(pivots)
    size = factors.shape[-1]
    exact = walk.ball(torch.nn.functional.one_hot(order, size))

    def one(f_: e.Matrix, p: e.Matrix, b: e.Matrix) -> list[Entry]:
        lower = [[ONE if i == j else (f_[i][j] if j < i else ZERO) for j in range(size)] for i in range(size)]
        upper = [[f_[i][j] if j >= i else ZERO for j in range(size)] for i in range(size)]
        matrix = e.times(e.transpose(p), e.times(lower, upper))
        matrix = e.adjoint(matrix) if adjoint else matrix
        return e.flatten(e.solve(matrix, b) if left else e.transpose(e.solve(e.transpose(matrix), e.transpose(b))))

    return by_matrix(walk, one, [factors, exact, right], right.shape[-2:])


def _orders_of(pivots: Tensor) -> Tensor:
    """LAPACK's row exchanges as row orders."""
    flat = pivots.reshape(-1, pivots.shape[-1])
    result = torch.arange(flat.shape[-1]).repeat(flat.shape[0], 1)
    for line, exchanges in zip(result, flat.tolist(), strict=True):
        for i, j in enumerate(exchanges):
            line[[i, j - 1]] = line[[j - 1, i]].clone()
    return result.reshape(pivots.shape)


@rule("lu_unpack")
def lu_unpack(
    walk: Walk, LU_data: Any, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> tuple[Any, ...]:
    """P, L and U of a factorisation in one matrix."""
    value = walk.ball(LU_data)
    m, n = value.shape[-2:]
    k = min(m, n)
    lower = by_matrix(
        walk,
        lambda f_: [ONE if i == j else (f_[i][j] if j < i else ZERO) for i in range(m) for j in range(k)],
        [value],
        (m, k),
    )
    upper = by_matrix(
        walk, lambda f_: [f_[i][j] if j >= i else ZERO for i in range(k) for j in range(n)], [value], (k, n)
    )
    exchanges = torch.cat(
        [LU_pivots, torch.arange(k, m, dtype=LU_pivots.dtype).expand(*LU_pivots.shape[:-1], m - k) + 1], -1
    )
    permutation = torch.nn.functional.one_hot(_orders_of(exchanges), m).transpose(-1, -2)
    return walk.ball(permutation), lower, upper


@rule("linalg_cholesky_ex")
def cholesky_ex(walk: Walk, a: Any, upper: bool = False, check_errors: bool = False) -> tuple[Balls, Tensor]:
    """Triangular factors of Hermitian matrices, and zeros for "no fault"."""
    value = walk.ball(a)
    turned = RULES["_conj"](walk, value).moveaxis(-1, -2) if upper else value

    def one(m: e.Matrix) -> list[Entry]:
        factor = e.cholesky(m)
        return e.flatten(e.adjoint(factor) if upper else factor)

    return by_matrix(walk, one, [turned], value.shape[-2:]), _no_fault(value)


@rule("cholesky", "linalg_cholesky")
def cholesky(walk: Walk, a: Any, upper: bool = False) -> Balls:
    """Triangular factors of Hermitian matrices."""
    return cholesky_ex(walk, a, upper)[0]


@rule("cholesky_solve", "_cholesky_solve_helper")
def cholesky_solve(walk: Walk, a: Any, A: Any = None, input2: Any = None, upper: bool = False) -> Balls:
    """Solutions of (L·Lᴴ)·X = a from the factor."""
    factor, right = walk.ball(input2 if A is None else A), walk.ball(a)

    def one(m: e.Matrix, b: e.Matrix) -> list[Entry]:
        lower = e.adjoint(m) if upper else m
        return e.flatten(e.solve_upper(e.adjoint(lower), e.solve_lower(lower, b, unit=False)))

    return by_matrix(walk, one, [factor, right], right.shape[-2:])


@rule("cholesky_inverse")
def cholesky_inverse(walk: Walk, a: Any, upper: bool = False) -> Balls:
    """Inverses of L·Lᴴ from the factor."""
    factor = walk.ball(a)
    return cholesky_solve(walk, walk.ball(torch.eye(factor.shape[-1], dtype=torch.float64)), factor, upper=upper)


@rule("linalg_qr")
def qr(walk: Walk, A: Any, mode: str = "reduced") -> tuple[Balls, Balls]:
    """Q and R by LAPACK's reflections."""
    value = walk.ball(A)
    m, n = value.shape[-2:]
    k = m if mode == "complete" else min(m, n)

    def left(matrix: e.Matrix) -> list[Entry]:
        q, _ = e.householder_qr(matrix, walk.sign)
        return e.flatten([row[:k] for row in q])

    def right(matrix: e.Matrix) -> list[Entry]:
        _, r = e.householder_qr(matrix, walk.sign)
        return [r[i][j] if j >= i else ZERO for i in range(k) for j in range(n)]

    first = walk.ball(torch.zeros(0)) if mode == "r" else by_matrix(walk, left, [value], (m, k))
    return first, by_matrix(walk, right, [value], (k, n))


@rule("linalg_pinv.atol_rtol_tensor", "linalg_pinv.atol_rtol_float")
def pseudo_inverse(walk: Walk, a: Any, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Balls:
    """(AᴴA)⁻¹Aᴴ, or Aᴴ(AAᴴ)⁻¹, of matrices none of whose singular values is dropped; others have no answer here."""
    value = walk.ball(a)
    m, n = value.shape[-2:]
    default = 0.0 if atol is not None else max(m, n) * EPSILON
    least, relative = walk.ball(0.0 if atol is None else atol), walk.ball(default if rtol is None else rtol)
    limits = [limit.reshape((*limit.shape, 1, 1)) for limit in (least, relative)]

    def one(matrix: e.Matrix, least: e.Matrix, relative: e.Matrix) -> list[Entry]:
        matrix = _mirrored(matrix) if hermitian else matrix
        inverse = _pinv(matrix)
        _refuse_dropping(matrix, inverse, least[0][0], relative[0][0])
        return e.flatten(inverse)

    return by_matrix(walk, one, [value, *limits], (n, m))


def _refuse_dropping(matrix: e.Matrix, inverse: e.Matrix, least: Entry, relative: Entry) -> None:
    """Refuse a matrix unless 1/‖A⁺‖, a bound below all singular values, exceeds least and relative·‖A‖ (Frobenius)."""
    size, inverse_size = (
        f.total([f.squared_modulus(constant_term(x)) for x in e.flatten(m)]).sqrt() for m in (matrix, inverse)
    )
    threshold = [real_part(constant_term(least)), real_part(constant_term(relative)) * size]
    if not all(limit * inverse_size < 1 for limit in threshold):
        raise NotCertifiedError("a matrix may have singular values that are dropped")


def _mirrored(matrix: e.Matrix) -> e.Matrix:
    """The Hermitian matrix that a lower triangle stands for."""
    size = range(len(matrix))
    turned = e.adjoint(matrix)
    return [[matrix[i][j] if j < i else turned[i][j] if j > i else real_part(matrix[i][i]) for j in size] for i in size]


def _pinv(matrix: e.Matrix) -> e.Matrix:
    turned = e.adjoint(matrix)
    if len(matrix) == len(turned):
        return e.solve(matrix, e.identity(len(matrix)))
    if len(matrix) > len(turned):
        return e.solve(e.times(turned, matrix), turned)
    return e.adjoint(e.solve(e.times(matrix, turned), matrix))


@rule("linalg_lstsq")
def least_squares(walk: Walk, a: Any, b: Any, rcond: Any = None, driver: str | None = None) -> tuple[Any, ...]:
    """Solution and residuals of least squares with matrices of full rank; singular values are not computed."""
    matrix, right = walk.ball(a), walk.ball(b)
    right, vector = _columns(right, matrix)
    m, n = matrix.shape[-2:]
    shape = (n, right.shape[-1])
    relative = walk.ball(max(m, n) * EPSILON if rcond is None else rcond)

    def one(matrix_: e.Matrix, right_: e.Matrix) -> list[Entry]:
        inverse = _pinv(matrix_)
        if driver != "gels":
            _refuse_dropping(matrix_, inverse, ZERO, relative.data.item())
        return e.flatten(e.times(inverse, right_))

    found = by_matrix(walk, one, [matrix, right], shape)
    residuals = walk.ball(torch.zeros(0, dtype=torch.float64))
    if m > n and driver in ("gels", "gelsd", "gelss"):
        residuals = by_matrix(walk, _residuals, [matrix, right, found], (right.shape[-1],), complex=False)
    rank = (
        torch.full(matrix.shape[:-2], min(m, n))
        if driver in ("gelsy", "gelsd", "gelss")
        else torch.zeros(0, dtype=torch.int64)
    )
    nothing = None if driver in ("gelsd", "gelss") else walk.ball(torch.zeros(0, dtype=torch.float64))
    return (found.reshape(found.shape[:-1]) if vector else found), residuals, rank, nothing


def _residuals(matrix: e.Matrix, right: e.Matrix, found: e.Matrix) -> list[Entry]:
    gaps = [[x - y for x, y in zip(*rows, strict=True)] for rows in zip(e.times(matrix, found), right, strict=True)]
    return [f.total([f.squared_modulus(entry) for entry in column]) for column in e.transpose(gaps)]


@rule("linalg_matrix_exp", "matrix_exp")
def matrix_exponential(walk: Walk, a: Any) -> Balls:
    """Exponentials of matrices."""
    value = walk.ball(a)
    return by_matrix(walk, e.exponential, [value], value.shape[-2:])


@rule("linalg_householder_product")
def householder_product(walk: Walk, input: Any, tau: Any) -> Balls:
    """The first columns of the product of reflections 1 − τ·v·vᴴ."""
    value, factors = walk.ball(input), walk.ball(tau)
    m, n = value.shape[-2:]

    def one(vectors: e.Matrix, scales: e.Matrix) -> list[Entry]:
        result = [row[:n] for row in e.identity(m)]
        for k in reversed(range(len(scales[0]) if scales else 0)):
            vector = [ZERO] * k + [ONE] + [vectors[i][k] for i in range(k + 1, m)]
            inner = [
                scales[0][k] * f.dot([f.conjugate(v) for v in vector], list(column)) for column in e.transpose(result)
            ]
            result = [
                [a - v * b for a, b in zip(row, inner, strict=True)] for row, v in zip(result, vector, strict=True)
            ]
        return e.flatten(result)

    return by_matrix(walk, one, [value, factors.reshape((*factors.shape[:-1], 1, factors.shape[-1]))], (m, n))


@rule("_linalg_check_errors", "_assert_async", "_assert_scalar")
def no_result(walk: Walk, *_: Any, **__: Any) -> None:
    """Checks that other operators make of their own faults; here a singular matrix has been refused already."""
