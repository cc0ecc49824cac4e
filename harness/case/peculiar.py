"""What is peculiar to single operators of PyTorch's database, each with its reason.

Only what makes a derivative meaningless belongs here, never a wrong one: those are what a sweep is for. A test holds
that every entry is still needed.
"""

from __future__ import annotations

from collections.abc import Mapping

_DRAW = "random by design: the gradient of a draw is defined as zero, whatever its parameters."
_CAST = "rounds to a coarser dtype: a staircase, whose gradient is by design that of the identity."
_REPEATED = (
    "several of its samples' indices point to one place, so the result depends on the order of writing. With indices "
    "that differ, it is verified as {}.grad."
)

EXCLUDED: Mapping[str, str] = {
    "bernoulli": _DRAW,
    "normal": _DRAW,
    "normal.number_mean": _DRAW,
    "bfloat16": _CAST,
    "half": _CAST,
    "chalf": _CAST,
    "nn.functional.max_unpool1d": _REPEATED.format("nn.functional.max_unpool1d"),
    "nn.functional.max_unpool2d": _REPEATED.format("nn.functional.max_unpool2d"),
    "nn.functional.max_unpool3d": _REPEATED.format("nn.functional.max_unpool3d"),
    "as_strided.partial_views": (
        "its samples are windows into a larger storage, and reach outside of them; a point's tensors have storages of "
        "their own."
    ),
    "round.decimals_3": "a staircase of steps of 0.001, too fine for finite differences to tell from coarse rounding.",
}
"""Operators that are left out altogether, by their names in the database."""

CUDA_ONLY = ("jiterator_",)
"""How names begin of operators that compile CUDA code when they are called, whatever the database says."""

_LABEL = "a label, 1 or −1, that is only compared."

CONSTANT: Mapping[tuple[str, str], str] = {
    ("nn.functional.cosine_embedding_loss", "arg2"): _LABEL,
    ("nn.functional.hinge_embedding_loss", "arg1"): _LABEL,
}
"""Inputs that the database marks as differentiable and that are not, by operator and input: they are held constant."""
