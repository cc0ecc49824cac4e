"""Dense linear algebra on one matrix of entries (a list of rows): elimination with pivots that are certainly not zero.

Enclosures hold whatever the pivots; where the pivots are part of the answer (a returned factorisation), they are chosen
as LAPACK chooses them, by certified comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import acb, acb_mat, arb, arb_mat

from harness.oracle.ball.errors import UndecidedError
from harness.oracle.ball.functions import conjugate, divide, dot, square_root, squared_modulus
from harness.oracle.ball.values import ONE, SERIES, ZERO, Entry, constant_term, is_complex, real_part, series

Matrix = list[list[Entry]]
Compare = Callable[[Entry, Entry], int]


def rows_of(entries: list[Entry], columns: int) -> Matrix:
    """Cut a flat list into rows."""
    return [entries[start : start + columns] for start in range(0, len(entries), columns)] if columns else []


def flatten(matrix: Matrix) -> list[Entry]:
    """Rows, end to end."""
    return [entry for row in matrix for entry in row]


def transpose(matrix: Matrix) -> Matrix:
    """Rows as columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


def adjoint(matrix: Matrix) -> Matrix:
    """The conjugate transpose."""
    return [[conjugate(entry) for entry in column] for column in zip(*matrix, strict=True)]


def times(left: Matrix, right: Matrix) -> Matrix:
    """Product of two matrices."""
    columns = transpose(right)
    return [[dot(row, column) for column in columns] for row in left]


def identity(size: int) -> Matrix:
    """The identity."""
    return [[ONE if i == j else ZERO for j in range(size)] for i in range(size)]


def _safe_pivot(column: list[Entry]) -> int:
    """Row of the entry that is farthest from zero.

    Raises:
        UndecidedError: when every entry may be zero.
    """
    sizes = [constant_term(entry).abs_lower() if constant_term(entry).is_finite() else ZERO for entry in column]
    best = max(range(len(sizes)), key=lambda i: _Ordered(sizes[i]))
    if not sizes[best] > 0:
        if all(constant_term(entry).is_finite() and constant_term(entry) == 0 for entry in column):
            raise ZeroDivisionError("singular")
        raise UndecidedError
    return best


class _Ordered:
    """An exact ball in an order of its midpoint, of any magnitude."""

    def __init__(self, ball: Entry) -> None:
        self.ball = ball

    def __lt__(self, other: _Ordered) -> bool:
        return bool(self.ball.mid() < other.ball.mid())


def _largest_pivot(column: list[Entry], compare: Compare) -> int:
    """Row of the largest modulus (|re| + |im| for complex numbers), the first among equals, as LAPACK has it."""
    sizes = [_lapack_size(entry, compare) for entry in column]
    best = 0
    for position in range(1, len(sizes)):
        if compare(sizes[position], sizes[best]) > 0:
            best = position
    return best


def _lapack_size(entry: Entry, compare: Compare) -> Entry:
    parts = [real_part(entry), real_part(entry * acb(0, -1))] if is_complex(entry) else [entry]
    sizes = [-part if compare(part, ZERO) < 0 else part for part in parts]
    return sizes[0] + sizes[1] if len(sizes) == 2 else sizes[0]


def lu(matrix: Matrix, compare: Compare | None = None, *, pivoting: bool = True) -> tuple[Matrix, list[int]]:
    """Factorise an m × n matrix in place of itself: unit lower and upper triangle in one, and the row order.

    Args:
        matrix: rows.
        compare: sign of a difference; given, pivots are LAPACK's, otherwise the safest.
        pivoting: whether rows may be exchanged at all.
    """
    work = [list(row) for row in matrix]
    order = list(range(len(work)))
    for k in range(min(len(work), len(work[0]) if work else 0)):
        column = [row[k] for row in work[k:]]
        if pivoting:
            pivot = k + (_safe_pivot(column) if compare is None else _largest_pivot(column, compare))
            work[k], work[pivot] = work[pivot], work[k]
            order[k], order[pivot] = order[pivot], order[k]
        for i in range(k + 1, len(work)):
            factor = divide(work[i][k], work[k][k])
            work[i] = [
                *work[i][:k],
                factor,
                *(a - factor * b for a, b in zip(work[i][k + 1 :], work[k][k + 1 :], strict=True)),
            ]
    return work, order


def parity(order: list[int]) -> int:
    """Sign of a permutation."""
    seen, sign = [False] * len(order), 1
    for start in range(len(order)):
        length, place = 0, start
        while not seen[place]:
            seen[place], place, length = True, order[place], length + 1
        sign = -sign if length and length % 2 == 0 else sign
    return sign


def solve_lower(matrix: Matrix, right: Matrix, *, unit: bool) -> Matrix:
    """Forward substitution; only the lower triangle is read."""
    result: Matrix = []
    for i, row in enumerate(matrix):
        line = list(right[i])
        for j in range(i):
            line = [a - row[j] * b for a, b in zip(line, result[j], strict=True)]
        result.append(line if unit else [divide(a, row[i]) for a in line])
    return result


def solve_upper(matrix: Matrix, right: Matrix, *, unit: bool = False) -> Matrix:
    """Back substitution; only the upper triangle is read."""
    turned = [list(reversed(row)) for row in reversed(matrix)]
    return list(reversed(solve_lower(turned, list(reversed(right)), unit=unit)))


def solve(matrix: Matrix, right: Matrix) -> Matrix:
    """The solution of matrix·x = right."""
    factors, order = lu(matrix)
    return solve_upper(factors, solve_lower(factors, [right[i] for i in order], unit=True))


def determinant(matrix: Matrix) -> Entry:
    """The determinant: by elimination, and by minors where a column vanishes or cannot be told from zero."""
    if not matrix:
        return ONE
    if len(matrix) <= 3:
        return _by_minors(matrix)
    try:
        factors, order = lu(matrix)
    except ZeroDivisionError:
        return _by_minors(matrix)
    except UndecidedError:
        if len(matrix) > 6:
            raise
        return _by_minors(matrix)
    result = factors[0][0] * parity(order)
    for k in range(1, len(factors)):
        result = result * factors[k][k]
    return result


def _by_minors(matrix: Matrix) -> Entry:
    if len(matrix) == 1:
        return matrix[0][0]
    result: Any = None
    for column, entry in enumerate(matrix[0]):
        term = entry * _by_minors([row[:column] + row[column + 1 :] for row in matrix[1:]])
        signed = -term if column % 2 else term
        result = signed if result is None else result + signed
    return result


def cholesky(matrix: Matrix) -> Matrix:
    """The lower triangular factor of a Hermitian positive definite matrix, from its lower triangle."""
    size = len(matrix)
    factor = [[ZERO] * size for _ in range(size)]
    for j in range(size):
        rest = matrix[j][j]
        for k in range(j):
            rest = rest - squared_modulus(factor[j][k])
        rest = real_part(rest)
        if constant_term(rest) <= 0:
            raise ZeroDivisionError("not positive definite")
        factor[j][j] = square_root(rest)
        for i in range(j + 1, size):
            value = matrix[i][j]
            for k in range(j):
                value = value - factor[i][k] * conjugate(factor[j][k])
            factor[i][j] = divide(value, factor[j][j])
    return factor


def householder_qr(matrix: Matrix, compare: Compare) -> tuple[Matrix, Matrix]:
    """Q (m × m) and R (m × n) by reflections with LAPACK's signs: each leading entry changes sign."""
    work = [list(row) for row in matrix]
    rows, columns = len(work), len(work[0]) if work else 0
    q = identity(rows)
    for k in range(min(rows, columns)):
        tail = [row[k] for row in work[k:]]
        if len(tail) == 1 and not is_complex(tail[0]):
            continue
        vector = _reflection(tail, compare)
        if vector is None:
            continue
        work = _reflect(work, vector, k)
        q = _reflect(q, vector, k)
    return adjoint(q), work


def _reflection(tail: list[Entry], compare: Compare) -> tuple[list[Entry], Entry] | None:
    """The v and τ of H = 1 − τ·v·vᴴ that maps a column on a multiple of the first axis, as LAPACK's larfg."""
    if all(
        not is_complex(entry) and constant_term(entry) == 0 and isinstance(entry, arb) for entry in tail[1:]
    ) and not is_complex(tail[0]):
        return None
    norm = square_root(_sum([squared_modulus(entry) for entry in tail]))
    beta = norm if compare(real_part(tail[0]), ZERO) < 0 else -norm
    tau = divide(beta - tail[0], beta)
    scale = tail[0] - beta
    return [ONE, *(divide(entry, scale) for entry in tail[1:])], conjugate(tau)


def _reflect(matrix: Matrix, reflection: tuple[list[Entry], Entry], start: int) -> Matrix:
    vector, tau = reflection
    result = [list(row) for row in matrix]
    for column in range(len(matrix[0]) if matrix else 0):
        inner = tau * _sum([conjugate(v) * matrix[start + i][column] for i, v in enumerate(vector)])
        for i, v in enumerate(vector):
            result[start + i][column] = matrix[start + i][column] - v * inner
    return result


def _sum(entries: list[Entry]) -> Entry:
    result = entries[0]
    for entry in entries[1:]:
        result = result + entry
    return result


def exponential(matrix: Matrix) -> list[Entry]:
    """exp(A), flat; a series is a block triangular Toeplitz matrix, whose exponential has the terms in row one."""
    size = len(matrix)
    length = max((entry.prec for row in matrix for entry in row if isinstance(entry, SERIES)), default=1)
    complex_ = any(is_complex(entry) for row in matrix for entry in row)
    zero = acb(0) if complex_ else ZERO
    blocks = [[[_term(entry, k) for entry in row] for row in matrix] for k in range(length)]
    wide = [
        [blocks[q - p][i][j] if q >= p else zero for q in range(length) for j in range(size)]
        for p in range(length)
        for i in range(size)
    ]
    if not size:
        return []
    kind: Any = acb_mat if complex_ else arb_mat
    found = kind(wide).exp().tolist()
    if length == 1:
        return flatten(found)
    return [series([found[i][k * size + j] for k in range(length)], length) for i in range(size) for j in range(size)]


def _term(entry: Entry, order: int) -> Entry:
    if isinstance(entry, SERIES):
        return entry[order]
    return entry if order == 0 else entry * 0
