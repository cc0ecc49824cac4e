"""Passes: what is timed of a subject, as pieces of work that set themselves up outside the timed interval.

A pass is a function from a `Setting` to a `Work`; `PASSES` names them. To add one, write such a function, add it to
`PASSES`, and to `Pass` in the case schema. Passes build work and never run a clock. Gradients are asked for with
`torch.autograd.grad`, which leaves nothing behind, so there are no accumulated gradients to clear between calls.

What the passes cannot show: the analytic gradient has no forward pass to share work with, so its `backward` starts
from the inputs while autograd's starts from what the forward pass saved. Compare the two by `forward_backward`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from harness.bench.jacobians import Transform, check_gradient, check_result, jacobian
from harness.bench.sampling import Work
from harness.case.subject import Tensors
from harness.errors import UsageError

Function = Callable[[Tensors], tuple[Tensor, ...]]
Gradient = Callable[[Tensors, tuple[Tensor, ...]], Mapping[str, Tensor]]

FRESH_GRAPHS = 32
"""Most graphs that are kept ready at once where a backward pass needs a new one for each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One variant of a subject at one size on one device, ready to be called.

    `leaves` are the inputs with gradients switched on for the differentiable ones, `values` the same without;
    `cotangents` holds one upstream gradient per output.
    """

    function: Function
    values: Tensors
    leaves: Tensors
    differentiable: tuple[str, ...]
    cotangents: tuple[Tensor, ...]
    gradient: Gradient | None = None
    """The analytic gradient, timed instead of autograd's when there is one."""
    transform: Transform | None = None
    """What of `torch.func` gives the derivatives, instead of autograd."""
    fresh_graphs: bool = False
    """Whether a graph may be walked only once (compiled backward passes free their buffers)."""
    optimizer: str = "SGD"

    @property
    def wanted(self) -> tuple[Tensor, ...]:
        """The leaves whose gradient is asked for."""
        return tuple(self.leaves[name] for name in self.differentiable)


def make_setting(
    function: Function, values: Tensors, differentiable: tuple[str, ...], *, generator: torch.Generator, optimizer: str
) -> Setting:
    """Evaluate the subject once and draw a standard normal cotangent for each of its outputs.

    Args:
        function: the subject.
        values: its inputs, in the dtype and on the device they are timed in.
        differentiable: names of the inputs whose gradient is timed.
        generator: a generator on the CPU for the cotangents.
        optimizer: name of the optimizer that the pass `step` times.
    """
    plain = {name: value.detach() for name, value in values.items()}
    leaves = {name: value.clone().requires_grad_(name in differentiable) for name, value in plain.items()}
    with torch.no_grad():
        outputs = function(plain)
    cotangents = tuple(
        torch.randn(output.shape, generator=generator, dtype=_drawable(output.dtype)).to(output) for output in outputs
    )
    return Setting(
        function=function,
        values=plain,
        leaves=leaves,
        differentiable=differentiable,
        cotangents=cotangents,
        optimizer=optimizer,
    )


def _drawable(dtype: torch.dtype) -> torch.dtype:
    return torch.complex64 if dtype.is_complex else torch.float32


def analytic(setting: Setting, gradient: Gradient) -> Setting:
    """Return the same setting with the analytic gradient in the place of autograd's."""
    return replace(setting, gradient=gradient)


def compiled(setting: Setting) -> Setting:
    """Return the same setting with its function compiled by `torch.compile` for exactly these shapes.

    Compiling happens at the first call of each pass, which holds whatever the passes before it have not had compiled
    yet, and nothing where the same function was compiled for these shapes before.
    """
    with quiet_compiler():
        function = torch.compile(setting.function, dynamic=False)
    return replace(setting, function=function, fresh_graphs=True)


def quiet_compiler() -> warnings.catch_warnings[None]:
    """Make a context without warnings: the compiler's own are not about the subject."""
    return warnings.catch_warnings(action="ignore")


def value(setting: Setting) -> Work:
    """Time the function alone, without recording a graph."""

    def call() -> object:
        with torch.no_grad():
            return setting.function(setting.values)

    return Work(call=call)


def forward(setting: Setting) -> Work:
    """Time the function, recording the graph that a backward pass needs."""
    return Work(call=lambda: setting.function(setting.leaves))


def backward(setting: Setting) -> Work:
    """Time the gradient from the upstream cotangents; the graph is made outside the timed interval."""
    if setting.gradient is not None:
        gradient = setting.gradient

        def call() -> object:
            with torch.no_grad():
                return gradient(setting.values, setting.cotangents)

        return Work(call=call)
    return _backward_fresh(setting) if setting.fresh_graphs else _backward_retained(setting)


def forward_backward(setting: Setting) -> Work:
    """Time the function and its gradient, from the inputs."""
    if setting.gradient is not None:
        gradient = setting.gradient

        def call() -> object:
            with torch.no_grad():
                return setting.function(setting.values), gradient(setting.values, setting.cotangents)

        return Work(call=call)
    if setting.transform is not None:
        check_gradient(setting.cotangents, setting.transform)
        return whole_jacobian(setting)
    wanted = setting.wanted
    return Work(call=lambda: _gradient(setting.function(setting.leaves), wanted, setting.cotangents, retain=False))


def whole_jacobian(setting: Setting) -> Work:
    """Time all derivatives of all outputs, from the inputs: never the same thing as one gradient for one cotangent.

    Raises:
        UnfitError: they are too many, or complex.
    """
    call = jacobian(setting.function, setting.values, setting.differentiable, setting.cotangents, setting.transform)
    return Work(call=call)


def check_derivatives(setting: Setting, work: Work) -> None:
    """Hold what a transform gives against autograd's gradient, once; other settings are not asked.

    Raises:
        UnfitError: they differ grossly.
    """
    if setting.transform is None:
        return
    with torch.no_grad():
        outputs = setting.function(setting.values)
    gradient: Any = forward_backward(replace(setting, transform=None)).call()
    whole: Any = work.call()
    points = tuple(setting.values[name] for name in setting.differentiable)
    check_result(whole, outputs, setting.cotangents, gradient, points)


def step(setting: Setting) -> Work:
    """Time one step of the optimizer on the differentiable inputs, with gradients that are there already.

    The gradients are the same at every step, seeded, and of order 1: neither they nor what an optimizer makes of their
    squares lie where numbers lose digits and arithmetic slows down. The optimizer's state is made by the first call.

    Raises:
        UsageError: torch.optim has no such optimizer, or its step evaluates the function by itself.
    """
    maker: Any = getattr(torch.optim, setting.optimizer, None)
    if not (isinstance(maker, type) and issubclass(maker, torch.optim.Optimizer)):
        raise UsageError(
            f"Cannot time a step: optimizer={setting.optimizer!r} (type str) is not a class of torch.optim. "
            "Name one, such as Adam."
        )
    if issubclass(maker, torch.optim.LBFGS):
        raise UsageError(
            f"Cannot time a step: optimizer={setting.optimizer!r} (type str) evaluates the function in each step, as "
            "often as it likes. Name one that takes a step with the gradients that are there, such as Adam."
        )
    parameters = [torch.nn.Parameter(leaf.detach().clone()) for leaf in setting.wanted]
    generator = torch.Generator().manual_seed(0)
    for parameter in parameters:
        size = torch.empty(parameter.shape).uniform_(0.5, 1.5, generator=generator)
        parameter.grad = size.to(parameter)
    make: Callable[..., torch.optim.Optimizer] = maker
    return Work(call=make(parameters).step)


def _backward_retained(setting: Setting) -> Work:
    """Walk one graph again and again; a subject that cannot have that gets a fresh graph for each call."""
    outputs, wanted = setting.function(setting.leaves), setting.wanted
    try:
        for _ in range(2):
            _gradient(outputs, wanted, setting.cotangents, retain=True)
    except RuntimeError:
        return _backward_fresh(setting)
    return Work(call=lambda: _gradient(outputs, wanted, setting.cotangents, retain=True))


def _backward_fresh(setting: Setting) -> Work:
    """Walk each graph once; the graphs of a sample are made before it."""
    graphs: list[tuple[Tensor, ...]] = []
    wanted = setting.wanted

    def before(calls: int) -> None:
        graphs[:] = [setting.function(setting.leaves) for _ in range(calls)]

    def call() -> object:
        return _gradient(graphs.pop(), wanted, setting.cotangents, retain=False)

    return Work(call=call, before=before, most_calls=FRESH_GRAPHS)


def _gradient(
    outputs: tuple[Tensor, ...], wanted: tuple[Tensor, ...], cotangents: tuple[Tensor, ...], *, retain: bool
) -> tuple[Tensor | None, ...]:
    """Gradient of ⟨cotangents, outputs⟩; outputs without a graph (integers, say) take no part."""
    pairs = [pair for pair in zip(outputs, cotangents, strict=True) if pair[0].requires_grad]
    return torch.autograd.grad(
        [output for output, _ in pairs],
        wanted,
        grad_outputs=[cotangent for _, cotangent in pairs],
        retain_graph=retain,
        allow_unused=True,
    )


PASSES: Mapping[str, Callable[[Setting], Work]] = {
    "value": value,
    "forward": forward,
    "backward": backward,
    "forward_backward": forward_backward,
    "jacobian": whole_jacobian,
    "step": step,
}
"""By the name the case file uses: how a pass is built from a setting."""

DERIVATIVE_PASSES = ("backward", "forward_backward", "jacobian", "step")
"""The passes that need an input with a gradient."""

GRADIENT_PASSES = ("backward", "forward_backward")
"""The passes an analytic gradient takes part in; the others are the function's own or the optimizer's."""
