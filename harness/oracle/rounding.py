"""The rounding floor: how far a correct implementation may be off because every operation rounds.

Monte Carlo arithmetic (D. S. Parker, 1997): the computation is repeated in float64 while every floating-point
operator's result is multiplied by 1 + u·ξ, ξ uniform in (−1, 1), where u is the unit roundoff of the dtype in question.
Operators that are fused from several roundings also get their operands perturbed, those that accumulate √n-fold for a
reduction of length n, factorisations n-fold. The spread over a few repetitions, times a safety factor, is the bar of
that dtype's result.

What it cannot see: roundings inside code that is not torch (then the inputs are perturbed instead); a rounding
error that happens to need more than the safety factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

SAMPLES = 8
SAFETY = 8.0
"""Eight samples' largest deviation times eight is at least a dozen standard deviations of one rounding pattern."""
FUSED = 4.0
"""Roundings granted to an operator fused from several, and to a special function: libraries promise 1 to 4 units."""
DOUBLE_STAND_IN = 2.0**-46
"""Perturbations of 2⁻⁵³ would themselves be rounded away in float64: larger ones are used and scaled back."""

UNIT_ROUNDOFF = {
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Operators that only move, copy or create data, or whose result is exact.
_EXACT = _names(
    """clone copy_ _to_copy cat stack index index_select gather where select_backward slice_backward zeros zeros_like
    ones ones_like full full_like new_zeros new_ones new_full new_empty new_empty_strided empty empty_like empty_strided
    fill_ fill zero_ arange eye scalar_tensor lift_fresh lift_fresh_copy flip roll constant_pad_nd scatter neg abs relu
    threshold_backward maximum minimum amax amin max min sort topk clamp clamp_min clamp_max sign sgn floor ceil round
    trunc masked_fill masked_fill_ tril triu repeat view_as_real_copy view_as_complex_copy _conj_physical conj_physical
    index_put new_empty diag_embed unfold_backward value_selecting_reduction_backward eq ne lt le gt ge logical_and
    logical_or logical_not isnan isfinite isinf any all argmax argmin argsort nonzero aminmax cummax cummin hardtanh
    hardtanh_backward leaky_relu leaky_relu_backward l1_loss evenly_distribute_backward select_scatter slice_scatter
    diagonal_scatter median nanmedian mode kthvalue real imag normal_ uniform_ random_ bernoulli rand rand_like randn
    randn_like randint multilabel_margin_loss_forward multilabel_margin_loss_backward"""
)
# Operators with one rounding, in their result. All others are fused from several, or evaluate a special function: their
# operands are perturbed too, which is what a backward stable kernel may do.
_ELEMENTARY = _names("""add add_ sub sub_ rsub mul mul_ div div_ sqrt reciprocal""")
# Fused operators that cancel inside, which their operands' roundings do not show: their steps are run one by one.
_TAKEN_APART = _names("gelu gelu_backward _log_softmax _log_softmax_backward_data _softmax logsumexp")
# Operators that only select where an argument says so, with the argument's position.
_REDUCTION = {"scatter_reduce": 4, "index_reduce": 4, "segment_reduce": 1, "_segment_reduce_backward": 3}
# Operators that accumulate, with how long the reduction is (from their first operand and result).
_ACCUMULATING = _names(
    """sum mean prod cumsum cumprod var std var_mean dot vdot mv mm bmm addmm baddbmm addmv addbmm einsum norm
    linalg_vector_norm logsumexp _softmax _log_softmax _softmax_backward_data _log_softmax_backward_data
    native_layer_norm native_layer_norm_backward native_batch_norm native_group_norm _batch_norm_with_update
    _native_batch_norm_legit batch_norm_backward native_batch_norm_backward convolution convolution_backward
    _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention_for_cpu_backward nll_loss_forward
    mse_loss scatter_add index_add index_put_ embedding_dense_backward
    _cdist_forward _fused_rms_norm _fused_rms_norm_backward"""
)
# Factorisations: their backward error is bounded by a multiple of n·u (Higham, Accuracy and Stability of Numerical
# Algorithms).
_FACTORISING = _names(
    """linalg_inv_ex linalg_solve_ex _linalg_solve_ex linalg_lu_factor_ex linalg_lu_solve _linalg_det _linalg_slogdet
    linalg_cholesky_ex linalg_solve_triangular triangular_solve _linalg_svd _linalg_eigh linalg_eig linalg_lstsq
    linalg_householder_product linalg_qr linalg_matrix_exp linalg_pinv linalg_ldl_factor_ex linalg_ldl_solve
    cholesky_solve cholesky_inverse"""
)
# Those of them that are made of orthogonal transformations: what they do to small entries is relative to the largest.
_ORTHOGONAL = _names(
    """_linalg_svd _linalg_eigh linalg_eig linalg_lstsq linalg_householder_product linalg_qr linalg_pinv"""
)
# Operators that round the coordinates they interpolate at, up to n: a weight that should be 0 may be n·u.
_INTERPOLATING = _names(
    """upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d upsample_linear1d_backward
    upsample_bilinear2d_backward upsample_bicubic2d_backward upsample_trilinear3d_backward _upsample_bilinear2d_aa
    _upsample_bicubic2d_aa"""
)


class PerturbEveryOperation(TorchDispatchMode):
    """While active, every floating-point operator's result is off by a random relative error of at most `unit`."""

    def __init__(self, unit: float, generator: torch.Generator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.unit = unit
        self.generator = generator
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator, perturbed."""
        kwargs = kwargs or {}
        name = rounding_operator(func, args)
        if name is None:
            return func(*args, **kwargs)
        unit = self.unit
        if name in _TAKEN_APART and func in decomposition_table:
            with self:
                return decomposition_table[func](*args, **kwargs)
        if name in _INTERPOLATING:
            result = func(*args, **kwargs)
            return self._perturbed(result, unit) + self._noise(result, unit * longest_axis(args)) * args[0].abs().max()
        if name in _ACCUMULATING or name in _FACTORISING:
            longest = longest_axis(args)
            args = self.operands(func, args, unit * (longest if name in _FACTORISING else math.sqrt(longest)))
            if name in _ORTHOGONAL and args[0].numel():
                noise = self._noise(args[0], FUSED * unit * longest) * args[0].abs().max()
                args = (args[0] + noise, *args[1:])
            unit = FUSED * unit
        elif name not in _ELEMENTARY and not func._schema.is_mutable:
            unit = FUSED * unit
            # Exponents are mostly whole numbers, and a root of a negative number is none: only the base is perturbed.
            args = (*self._all(args[:1], unit), *args[1:]) if name == "pow" else self._all(args, unit)
        result = func(*args, **kwargs)
        if func._schema.is_mutable:
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(tensor, Tensor) and (tensor.is_floating_point() or tensor.is_complex()):
                    self.operations += 1
                    tensor.mul_(self._factors(tensor, unit))
            return result
        if name in _ELEMENTARY and isinstance(result, Tensor) and result.is_floating_point():
            # A whole number this small that is made of whole numbers is exact: floor(x) + 1 has no rounding to perturb.
            whole = (result.abs() <= 1 / unit) & _whole(result)
            for operand in (*args, *kwargs.values()):
                whole = whole & _whole(operand)
            return torch.where(whole, result, self._perturbed(result, unit))
        return self._all(result, unit) if isinstance(result, (tuple, list)) else self._perturbed(result, unit)

    def operands(self, func: Any, args: tuple[Any, ...], unit: float) -> tuple[Any, ...]:
        """Perturb the operands that an operator does not write into."""
        perturbed = self._all(args, unit)
        written = [argument.alias_info is not None for argument in func._schema.arguments]
        return tuple(old if kept else new for old, new, kept in zip(args, perturbed, written, strict=False))

    def _all(self, leaves: Any, unit: float) -> Any:
        """Perturb every tensor of a flat argument list or of several results; lists inside are followed.

        A tensor that is there twice (the distances of points to themselves) is perturbed once, as it is one number.
        """
        done: dict[tuple[object, ...], Any] = {}
        changed = []
        for leaf in leaves:
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided and not leaf._is_zerotensor():
                key = (leaf.data_ptr(), leaf.dtype, tuple(leaf.shape), leaf.stride(), leaf.is_conj())
                if key not in done:
                    done[key] = self._perturbed(leaf, unit)
                changed.append(done[key])
            else:
                changed.append(self._all(leaf, unit) if isinstance(leaf, list) else self._perturbed(leaf, unit))
        return type(leaves)(changed)

    def _perturbed(self, leaf: Any, unit: float) -> Any:
        """Multiply a floating-point tensor by 1 + unit·ξ; leave everything else alone."""
        if not isinstance(leaf, Tensor) or not (leaf.is_floating_point() or leaf.is_complex()) or leaf.numel() == 0:
            return leaf
        if leaf._is_zerotensor():  # forward mode's zero tangents have no storage to read
            return leaf
        self.operations += 1
        # Inside a dispatch mode a product forgets the lazy conjugation and negation of its operands: make them real
        # first.
        return leaf.resolve_conj().resolve_neg() * self._factors(leaf, unit)

    def _factors(self, like: Tensor, unit: float) -> Tensor:
        """Factors 1 + unit·ξ shaped like a tensor; complex ones turn it too, as products round relative to |z|."""
        factors = self._noise(like, unit) + 1
        return torch.complex(factors, self._noise(like, unit)) if like.is_complex() else factors

    def _noise(self, like: Tensor, unit: float) -> Tensor:
        """Real numbers unit·ξ shaped like a tensor."""
        noise = torch.rand(like.shape, generator=self.generator, dtype=torch.float64)
        return noise.mul_(2 * unit).sub_(unit).to(like.device)


def _whole(operand: Any) -> Any:
    """Say where an operand is a whole number: a mask of a tensor's shape; of what is no number, that it is."""
    if isinstance(operand, Tensor):
        return operand == operand.round() if operand.is_floating_point() else not operand.is_complex()
    return not isinstance(operand, float) or operand.is_integer()


def rounding_operator(func: Any, args: tuple[Any, ...]) -> str | None:
    """Name an operator that rounds; None for one that only moves, copies or creates data, or whose result is exact."""
    views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    name = _operator_name(func, args)
    return None if views or name in _EXACT else name


def _operator_name(func: Any, args: tuple[Any, ...]) -> str:
    """An operator's name; in-place variants count as the operator, reductions that only select as ``amax``."""
    name = func._schema.name.partition("::")[2]  # the operator's public name is only in its schema
    name = name if name.removesuffix("_") not in _EXACT else name.removesuffix("_")
    selects = name == "linalg_vector_norm" and len(args) > 1 and args[1] in (math.inf, -math.inf, 0)
    place = _REDUCTION.get(name.removesuffix("_"))
    selects = selects or (place is not None and len(args) > place and args[place] in ("amax", "amin", "max", "min"))
    return "amax" if selects else name


def longest_axis(args: tuple[Any, ...]) -> int:
    """Upper bound of how many terms one entry of the result accumulates, from the first operand."""
    first = next((a for a in args if isinstance(a, Tensor)), None)
    return max((max(first.shape, default=1), 1)) if first is not None else 1


def rounding_bars(
    compute: Callable[[Tensor], Tensor], x: Tensor, *, dtypes: tuple[torch.dtype, ...], generator: torch.Generator
) -> dict[torch.dtype, Tensor]:
    """Bound what rounding may do to a computation at each dtype.

    Args:
        compute: maps the flat input (N) to a flat float64 result (R); everything it does in torch is perturbed.
        x: the flat input, float64.
        dtypes: dtypes to answer for.
        generator: source of the perturbations.

    Returns:
        By dtype, R bars, at least four roundings of the result itself.
    """
    plain = compute(x).detach().to(torch.float64)
    bars = {}
    for dtype in dtypes:
        unit = UNIT_ROUNDOFF[dtype]
        used = max(unit, DOUBLE_STAND_IN)
        worst = torch.zeros_like(plain)
        for _ in range(SAMPLES):
            with PerturbEveryOperation(used, generator) as mode:
                result = compute(x).detach().to(torch.float64)
            if mode.operations == 0:
                noise = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1
                result = compute(x * (1 + 4 * used * noise)).detach().to(torch.float64)
            worst = torch.maximum(worst, (result - plain).abs().nan_to_num(torch.inf, torch.inf))
        worst = torch.where(plain.isfinite(), worst, 0.0)  # a result that is not finite is nobody's rounding
        tiny = torch.finfo(dtype).tiny
        bars[dtype] = SAFETY * worst * (unit / used) + 4 * unit * plain.abs().nan_to_num(0.0, 0.0, 0.0) + tiny
    return bars
