"""Ways to get the subject's own derivative: reverse mode (two calls), forward mode, double backward.

A route never judges. Where PyTorch says that a route is not supported, `RouteUnavailableError` carries its reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module

import torch
from torch import Tensor
from torch.autograd import forward_ad

from harness.oracle.analytic import output_cotangents
from harness.oracle.flat import FlatSubject, real_vector

GradientFunction = Callable[[Tensor], Tensor]


with warnings.catch_warnings():
    # Forward mode imports this at its first use, which warns of a deprecation inside PyTorch: where a caller has made
    # warnings errors, that would look like the subject raising.
    warnings.simplefilter("ignore", DeprecationWarning)
    import_module("torch._decomp.decompositions_for_jvp")


class SecondBackwardError(Exception):
    """A backward works once alone though its graph is kept; the message is what it raised, shortened to one line."""


class RouteUnavailableError(Exception):
    """This route cannot be taken for this subject; the message is PyTorch's reason, shortened to one line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gradients:
    """Gradients of C weighted outputs: C × N, flat, in float64. `missing` names inputs whose gradient was None.

    A None gradient is 0 in `value`, as autograd means it. `outputs` holds the M output numbers of the forward pass.
    """

    value: Tensor
    outputs: Tensor
    missing: tuple[str, ...] = ()
    dtype_faults: tuple[str, ...] = ()
    """Inputs whose gradient came back in another dtype, as "w: float16 for a float32 input"."""
    overwrites_cotangent: bool = False
    """Whether the backward wrote into its upstream gradient, which other nodes of a graph may share."""


def leaves(flat: FlatSubject) -> dict[str, Tensor]:
    """Make fresh inputs, the differentiable ones as leaves that require a gradient."""
    named = {name: value.clone() for name, value in flat.values.items()}
    for block in flat.blocks:
        named[block.name].requires_grad_(True)
    return named


def _outputs_with_history(flat: FlatSubject, named: dict[str, Tensor]) -> tuple[Tensor, ...]:
    outputs = flat.call(named)
    if not any(output.requires_grad for output in outputs):
        raise RouteUnavailableError(
            "the result is detached from every input: autograd has no path to differentiate "
            "(an operation such as .detach(), .item(), .numpy(), argmax, a view as integers, or one "
            "without a derivative cut it)"
        )
    return outputs


def _flat_gradient(
    flat: FlatSubject, named: dict[str, Tensor], outputs: tuple[Tensor, ...], found: Mapping[str, Tensor | None]
) -> Gradients:
    """Lay named gradients end to end, noting what is missing or has the wrong dtype."""
    parts, missing, faults = [], [], []
    for block in flat.blocks:
        gradient, leaf = found[block.name], named[block.name]
        if gradient is None:
            missing.append(block.name)
            gradient = torch.zeros_like(leaf)
        elif gradient.dtype != leaf.dtype:
            faults.append(f"{block.name}: {_short(gradient.dtype)} for a {_short(leaf.dtype)} input")
        if block.complex and not gradient.is_complex():
            gradient = gradient.to(leaf.dtype)
        dense = gradient.to_dense() if gradient.layout != torch.strided else gradient
        parts.append(real_vector((dense.detach(),)).to("cpu", torch.float64))
    numbers = real_vector(outputs).detach().to("cpu", torch.float64)
    return Gradients(value=torch.cat(parts), outputs=numbers, missing=tuple(missing), dtype_faults=tuple(faults))


def reverse(flat: FlatSubject, cotangents: Tensor) -> Gradients:
    """Gradients by `torch.autograd.grad` for C cotangents (C × M), from one forward pass."""
    rows: list[Gradients] = []
    overwrites = False
    named = leaves(flat)
    outputs = _outputs_with_history(flat, named)
    for left, cotangent in zip(range(len(cotangents) - 1, -1, -1), cotangents, strict=True):
        seeds = output_cotangents(flat, outputs, cotangent)
        active = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
        wanted = [named[block.name] for block in flat.blocks]
        try:
            found = torch.autograd.grad(
                [o for o, _ in active], wanted, [s for _, s in active], allow_unused=True, retain_graph=left > 0
            )
        except Exception:
            if not rows:
                raise
            # A graph that can be used once alone is a fault, which `backward` tells: the others get their own.
            rest = reverse(flat, cotangents[len(rows) :])
            value = torch.cat([_stack(rows).value, rest.value])
            return replace(_stack(rows), value=value, overwrites_cotangent=overwrites or rest.overwrites_cotangent)
        by_name = dict(zip((b.name for b in flat.blocks), found, strict=True))
        rows.append(_flat_gradient(flat, named, outputs, by_name))
        given = output_cotangents(flat, outputs, cotangent)
        overwrites |= not all(torch.equal(seed, kept) for seed, kept in zip(seeds, given, strict=True))
    return replace(_stack(rows), overwrites_cotangent=overwrites)


def backward(flat: FlatSubject, cotangent: Tensor) -> tuple[Gradients, Gradients]:
    """Gradients by `.backward()` into `.grad`: after one call, and accumulated after a second on the same graph.

    Raises:
        SecondBackwardError: the first call worked and the second raised.
    """
    named = leaves(flat)
    outputs = _outputs_with_history(flat, named)
    seeds = output_cotangents(flat, outputs, cotangent)
    active = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
    results = []
    for last in (False, True):
        # The engine may hand a view of a seed on as the gradient, and add the second gradient into it: give it copies.
        copies = [seed.clone() for _, seed in active]
        try:
            torch.autograd.backward([o for o, _ in active], copies, retain_graph=not last)
        except Exception as reason:
            if "donated buffers" in str(reason):  # how torch.compile says that it was promised one backward
                raise RouteUnavailableError(one_line(reason)) from reason
            if last:
                raise SecondBackwardError(one_line(reason)) from reason
            raise
        results.append(_flat_gradient(flat, named, outputs, {b.name: named[b.name].grad for b in flat.blocks}))
    return results[0], results[1]


def forward_products(flat: FlatSubject, directions: Tensor) -> Tensor:
    """Forward-mode products J·d for D directions (D × N); returns D × M in float64."""
    return _pushed_forward(flat, flat.outputs, directions)


def _pushed_forward(flat: FlatSubject, function: Callable[[Tensor], Tensor], directions: Tensor) -> Tensor:
    """Push directions through a function of the subject's flat point by forward mode, one at a time."""
    rows = []
    for direction in directions:
        try:
            tangent = torch.func.jvp(function, (flat.x,), (direction.to(flat.x),))[1]
        except (NotImplementedError, RuntimeError) as reason:
            raise RouteUnavailableError(one_line(reason)) from reason
        rows.append(tangent.detach().to("cpu", torch.float64))
    products = torch.stack(rows)
    if not bool(products.any()):
        _require_forward_mode(flat)
    return products


def _require_forward_mode(flat: FlatSubject) -> None:
    """Make sure that a tangent of zero is meant.

    `torch.func.jvp` silently gives zeros for a custom operator without forward mode; where the primal requires a
    gradient as well, the same operator raises.
    """
    x = flat.x.clone().requires_grad_(True)
    try:
        with forward_ad.dual_level():
            flat.outputs(forward_ad.make_dual(x, torch.ones_like(x)))
    except (NotImplementedError, RuntimeError) as reason:
        raise RouteUnavailableError(one_line(reason)) from reason


def hessian_products(flat: FlatSubject, cotangent: Tensor, directions: Tensor) -> Tensor:
    """Double backward: products H·d of the Hessian of ⟨cotangent, outputs⟩ for D directions (D × N); returns D × N.

    A first gradient without history has second derivative 0, as autograd means it.
    """
    x, _, first = _first_with_history(flat, cotangent)
    if not first.requires_grad:
        return torch.zeros(len(directions), flat.size, dtype=torch.float64)
    if _refuses(first):
        raise RouteUnavailableError("a backward is marked with @once_differentiable")
    rows = []
    for direction in directions:
        seed = direction.to(first.dtype).to(first.device)
        try:
            (row,) = torch.autograd.grad(first, x, seed, retain_graph=True, allow_unused=True)
        except RuntimeError as reason:
            raise RouteUnavailableError(one_line(reason)) from reason
        rows.append(torch.zeros_like(flat.x) if row is None else row)
    return torch.stack(rows).detach().to("cpu", torch.float64)


def cotangent_products(flat: FlatSubject, cotangent: Tensor, direction: Tensor) -> Tensor:
    """Double backward to the cotangent: slopes (M) of ⟨direction, gradient⟩ along its entries, which are J·direction.

    What flows here is what a layer's upstream neighbours get from a gradient penalty.
    """
    _, seed, first = _first_with_history(flat, cotangent)
    if not first.requires_grad or _refuses(first):
        raise RouteUnavailableError("its backward cannot be differentiated")
    try:
        (slopes,) = torch.autograd.grad(first, seed, direction.to(first.dtype).to(first.device), allow_unused=True)
    except RuntimeError as reason:
        raise RouteUnavailableError(one_line(reason)) from reason
    found = torch.zeros_like(seed) if slopes is None else slopes
    return found.detach().to("cpu", torch.float64)


def _first_with_history(flat: FlatSubject, cotangent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The point, the cotangent and the first gradient, each with the history that a second backward follows.

    As in any real graph the cotangent has history: without it, @once_differentiable returns a constant without a word.
    """
    x = flat.x.clone().requires_grad_(True)
    outputs = flat.outputs(x)
    if not outputs.requires_grad:
        raise RouteUnavailableError("the result is detached from every input")
    seed = cotangent.to(outputs.dtype).to(outputs.device).clone().requires_grad_(True)
    try:
        (first,) = torch.autograd.grad(outputs, x, seed, create_graph=True)
    except RuntimeError as reason:
        raise RouteUnavailableError(one_line(reason)) from reason
    return x, seed, first


def _refuses(result: Tensor) -> bool:
    """Whether a graph holds a node that raises when reached: autograd.grad goes around those that lead to no input."""
    waiting, seen = [result.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            return True
        seen.add(node)
        waiting += [following for following, _ in node.next_functions]
    return False


def forward_over_reverse(flat: FlatSubject, cotangent: Tensor, directions: Tensor) -> Tensor:
    """Forward mode over reverse mode: the same products H·d (D × N) by another path."""
    return _pushed_forward(flat, flat_gradient_function(flat, cotangent), directions)


def flat_gradient_function(flat: FlatSubject, cotangent: Tensor) -> GradientFunction:
    """Make x ↦ gradient of ⟨cotangent, outputs⟩ (N → N) in a form that vmap and forward mode can transform."""

    def value(x: Tensor) -> Tensor:
        outputs = flat.outputs(x)
        return (outputs * cotangent.to(outputs.dtype).to(outputs.device)).sum()

    gradient: GradientFunction = torch.func.grad(value)
    return gradient


def plain_gradient_function(flat: FlatSubject, cotangent: Tensor) -> GradientFunction:
    """Make x ↦ gradient of ⟨cotangent, outputs⟩ (N → N) by plain autograd, for subjects torch.func refuses."""

    def gradient(x: Tensor) -> Tensor:
        leaf = x.detach().clone().requires_grad_(True)
        outputs = flat.outputs(leaf)
        if not outputs.requires_grad:
            return torch.zeros_like(leaf)
        seed = cotangent.to(outputs.dtype).to(outputs.device)
        (found,) = torch.autograd.grad(outputs, leaf, seed, allow_unused=True)
        return torch.zeros_like(leaf) if found is None else found

    return gradient


def one_line(reason: BaseException, *, limit: int = 200) -> str:
    """First line of an exception's message, shortened, with its type."""
    text = str(reason).strip().splitlines()[0] if str(reason).strip() else ""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return f"{type(reason).__name__}: {text}" if text else type(reason).__name__


def _stack(rows: list[Gradients]) -> Gradients:
    return Gradients(
        value=torch.stack([row.value for row in rows]),
        outputs=rows[0].outputs,
        missing=rows[0].missing,
        dtype_faults=rows[0].dtype_faults,
    )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
