"""Asks a subject for its gradient in a presentation of one's choice; judges nothing.

A presentation is how the inputs and the upstream gradient lie in memory, which inputs require a gradient, and under
which switches the subject runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.analytic import output_cotangents
from harness.oracle.flat import FlatSubject, real_vector
from harness.verify.first import FirstOrder
from harness.verify.scene import Scene

MARGIN = 64.0
"""Rounding bars granted to another presentation: other strides choose other kernels, which sum in another order."""
LEAST = 1e-12
"""Smallest relative difference that counts at all."""
OTHER = 1e-9
"""Smallest relative difference that counts where the numbers themselves are others than those the bars were found for:
they may cancel, or amplify, in other ways."""
GREATEST = 1e-6
"""Largest relative rounding granted there."""

Seeds = tuple[Tensor, ...]
Reseed = Callable[[Seeds], Seeds]
Gradients = Mapping[str, "Tensor | None"]
"""By input, the gradient as one real float64 vector on the CPU; None where autograd returned None."""


class CutError(Exception):
    """No output of the subject has a history: there is no gradient in this presentation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plain:
    """The plain presentation at a scene: what was judged by the oracles, and how far another one may be off.

    `expected` and `allowed` are the judged gradient for the first cotangent and what rounding may do to it, by input;
    `found` is the answer of the scene's own subject, asked once more.
    """

    flat: FlatSubject
    cotangent: Tensor
    expected: Mapping[str, Tensor]
    allowed: Mapping[str, Tensor]
    found: Gradients

    def allowed_for(self, name: str, gradient: Tensor) -> Tensor:
        """What rounding may do to an input's gradient at other numbers: as much, relative to the largest entry.

        Other numbers may cancel in other ways, so the judged gradient's size counts too.
        """
        size = _largest(self.expected[name])
        width = self.allowed[name]
        width = width[width.isfinite()]
        share = float(width.max()) / size if size and width.numel() else LEAST
        return torch.full_like(gradient, min(max(share, OTHER), GREATEST) * max(_largest(gradient), size) + 1e-300)


def plain(scene: Scene, first: FirstOrder) -> Plain:
    """Lay out the judged gradient of a scene by input, and ask its subject once.

    Raises:
        ValueError: there is no judged gradient.
    """
    if first.gradient is None or first.bar is None:
        raise ValueError("Cannot probe a subject whose gradient was not judged.")
    flat, cotangent = scene.flat, scene.cotangents[0]
    expected, allowed = {}, {}
    for block in flat.blocks:
        part = first.gradient[0, block.start : block.stop]
        bar = first.bar[0, block.start : block.stop].nan_to_num(torch.inf, torch.inf)
        expected[block.name] = part
        allowed[block.name] = MARGIN * bar + LEAST * part.abs() + 1e-300
    found = ask(flat, present(flat), cotangent)
    return Plain(flat=flat, cotangent=cotangent, expected=expected, allowed=allowed, found=found)


def present(flat: FlatSubject, values: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Make fresh inputs, dense in memory; the differentiable ones are leaves that require a gradient."""
    named = {name: value.detach().clone() for name, value in {**flat.values, **(values or {})}.items()}
    for block in flat.blocks:
        named[block.name].requires_grad_(True)
    return named


def ask(
    flat: FlatSubject,
    named: Mapping[str, Tensor],
    cotangent: Tensor,
    *,
    reseed: Reseed | None = None,
    wanted: Iterable[str] | None = None,
) -> Gradients:
    """Differentiate ⟨cotangent, outputs⟩ by `torch.autograd.grad` in one presentation.

    Args:
        flat: whose function and dtype count; its own values are not used.
        named: the inputs as they are to be given.
        cotangent: flat upstream gradient, M entries.
        reseed: turns the upstream gradients (one per output) into what the backward is given.
        wanted: inputs asked about; without it all differentiable ones.

    Raises:
        CutError: no output has a history.
    """
    outputs = flat.call(named)
    seeds = output_cotangents(flat, outputs, cotangent)
    return derive(named, outputs, reseed(seeds) if reseed else seeds, wanted or [b.name for b in flat.blocks])


def derive(
    named: Mapping[str, Tensor], outputs: Seeds, seeds: Seeds, wanted: Iterable[str], *, retain: bool = False
) -> Gradients:
    """Differentiate outputs that are there already.

    Raises:
        CutError: no output has a history.
    """
    names = list(wanted)
    active = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
    if not active:
        raise CutError("the result is detached from every input")
    found = torch.autograd.grad(
        [o for o, _ in active],
        [named[n] for n in names],
        [s for _, s in active],
        allow_unused=True,
        retain_graph=retain,
    )
    return {name: None if g is None else _real(g, named[name]) for name, g in zip(names, found, strict=True)}


def _real(gradient: Tensor, leaf: Tensor) -> Tensor:
    dense = gradient.to_dense() if gradient.layout != torch.strided else gradient
    if leaf.is_complex() and not dense.is_complex():
        dense = dense.to(leaf.dtype)
    return real_vector((dense.detach(),)).to("cpu", torch.float64)


def _largest(values: Tensor) -> float:
    return float(values.abs().nan_to_num(0.0, 0.0, 0.0).max()) if values.numel() else 0.0
