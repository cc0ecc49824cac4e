"""Walks: an optimizer driven over parameters along gradients that are known in advance or follow from where it stands.

A field gives every parameter θ the loss ½·θᵀAθ + ⟨c_k, θ⟩ at step k, so that gradients are fixed sequences where A is
zero, and a closed loop where it is not. Gradients are computed in float64 and rounded to the parameter's dtype; they
are written to `.grad`, so that no autograd stands between. What a walk did is recorded; judging it is the checks' job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.optimizers.findings import Numbers
from harness.optimizers.needs import Needs

Options = Mapping[str, Any]
Make = Callable[..., Any]
"""make(parameters or groups, **options) → an optimizer: a class of them, or a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One parameter's start, its curvature A (n, n; or n numbers on the diagonal) and its tilts c_k (steps, *shape).

    `present` (steps, rows) says which rows a sparse gradient holds at each step.
    """

    name: str
    start: Numbers
    tilts: Numbers
    curvature: Numbers | None = None
    present: Any = None
    dtype: torch.dtype = torch.float64

    def gradient(self, step: int, parameter: Numbers) -> Numbers:
        """Return A·θ + c_k, in float64."""
        tilt: Numbers = self.tilts[step % len(self.tilts)]
        if self.curvature is None:
            return tilt
        if self.curvature.ndim == 1:
            bent: Numbers = (self.curvature * parameter.reshape(-1)).reshape(parameter.shape)
        else:
            bent = (self.curvature @ parameter.reshape(-1)).reshape(parameter.shape)
        return bent + tilt

    def loss(self, step: int, parameter: Numbers) -> float:
        """Return ½·θᵀAθ + ⟨c_k, θ⟩."""
        tilt = self.tilts[step % len(self.tilts)]
        return float(np.sum(parameter * (self.gradient(step, parameter) + tilt)) / 2)


@dataclass(slots=True, kw_only=True)
class Walk:
    """An optimizer over live parameters, with what it was given.

    Args:
        make: makes the optimizer.
        options: its options.
        pieces: what the parameters are and which gradients they get.
        needs: what the optimizer wants.
        groups: option sets of further parameter groups: piece i goes to group i, all left over to the first.
        jitter: relative perturbation of starts and gradients, drawn from `noise`.
        sign: factor on gradients and loss; −1 negates the loss.
        strided: whether parameters and gradients are transposed views of memory.
        wrap: applied to the step function, such as `torch.compile`.
    """

    make: Make
    options: Options
    pieces: Sequence[Piece]
    needs: Needs
    groups: Sequence[Options] = ()
    jitter: float = 0.0
    noise: np.random.Generator | None = None
    sign: float = 1.0
    strided: bool = False
    device: str = "cpu"
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    count: int = 0
    evaluations: int = 0
    reuse: bool = False
    """Whether gradients are written into the tensor of the step before, as accumulating ones are."""
    leaves: bool = True
    """Whether parameters are leaves of autograd's graph, as they are everywhere but in a differentiable step."""
    parameters: list[Tensor] = field(default_factory=list)
    optimizer: Any = None
    stepper: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not self.parameters:
            self.parameters = [self._parameter(piece) for piece in self.pieces]
        if self.optimizer is None:
            self.optimizer = self.made()
        self.stepper = self.optimizer.step if self.wrap is None else self.wrap(self.optimizer.step)

    def made(self) -> Any:
        """Return a new optimizer over the walk's parameters."""
        if not self.groups:
            return self.make(list(self.parameters), **self.options)
        listed: list[dict[str, Any]] = [{"params": [], **group} for group in self.groups]
        for number, parameter in enumerate(self.parameters):
            listed[number if number < len(listed) else 0]["params"].append(parameter)
        return self.make(listed, **self.options)

    def step(self, absent: frozenset[int] = frozenset()) -> Any:
        """Take one step; parameters in `absent` have no gradient. Returns what the optimizer's step returned."""
        if self.needs.closure:
            result = self._stepped(lambda: self._evaluate(absent))
        else:
            self._evaluate(absent)
            result = self._stepped(None)
        self.count += 1
        return result

    def advance(self, steps: int) -> Walk:
        """Take some steps and return the walk."""
        for _ in range(steps):
            self.step()
        return self

    def read(self) -> list[Numbers]:
        """Return copies of the parameters as float64 arrays."""
        return [as_numbers(parameter) for parameter in self.parameters]

    def states(self) -> dict[str, Numbers]:
        """Return every number of the optimizer's state, by parameter and name, as float64 arrays."""
        found: dict[str, Numbers] = {}
        for piece, parameter in zip(self.pieces, self.parameters, strict=True):
            flatten(self.optimizer.state.get(parameter, {}), f"state of {piece.name}", found)
        return found

    def everything(self) -> dict[str, Numbers]:
        """Return parameters and states by name."""
        named = {piece.name: value for piece, value in zip(self.pieces, self.read(), strict=True)}
        return {**named, **self.states()}

    def _stepped(self, closure: Callable[[], Tensor] | None) -> Any:
        step = self.stepper or self.optimizer.step
        return step() if closure is None else step(closure)

    def _parameter(self, piece: Piece) -> Tensor:
        start = piece.start * (1 + self._noise(piece.start.shape)) if self.jitter else piece.start
        tensor = torch.tensor(start).to(self.device, piece.dtype)
        if self.strided and tensor.ndim == 2:
            tensor = tensor.T.contiguous().T
        return tensor.requires_grad_(True)

    def _evaluate(self, absent: frozenset[int]) -> Tensor:
        """Set every gradient and return the loss."""
        self.evaluations += 1
        loss = 0.0
        for number, (piece, parameter) in enumerate(zip(self.pieces, self.parameters, strict=True)):
            if number in absent:
                parameter.grad = None
                continue
            at = as_numbers(parameter)
            loss += self.sign * piece.loss(self.count, at)
            gradient = self.sign * piece.gradient(self.count, at)
            if self.jitter:
                gradient = gradient * (1 + self._noise(gradient.shape))
            self._set(piece, parameter, gradient)
        return torch.tensor(loss, dtype=torch.float64)

    def _set(self, piece: Piece, parameter: Tensor, gradient: Numbers) -> None:
        tensor = torch.tensor(gradient).to(self.device, parameter.dtype)
        if piece.present is not None:
            rows = torch.tensor(np.flatnonzero(piece.present[self.count % len(piece.present)]), device=self.device)
            tensor = torch.sparse_coo_tensor(rows[None], tensor[rows], tensor.shape, check_invariants=True)
        elif self.strided and tensor.ndim == 2:
            tensor = tensor.T.contiguous().T
        if self.reuse and parameter.grad is not None:
            parameter.grad.copy_(tensor)
        else:
            parameter.grad = tensor

    def _noise(self, shape: tuple[int, ...]) -> Numbers:
        noise = self.noise if self.noise is not None else np.random.default_rng(0)
        signs: Numbers = noise.choice((-1.0, 1.0), shape)
        return self.jitter * signs


def as_numbers(tensor: Tensor) -> Numbers:
    """Return a tensor's entries as a new float64 array; complex ones as pairs in a last dimension."""
    plain = torch.view_as_real(tensor.detach().resolve_conj()) if tensor.is_complex() else tensor.detach()
    if plain.layout is not torch.strided:
        plain = plain.to_dense()
    array: Numbers = plain.to("cpu", torch.float64).numpy().copy()
    return array


def flatten(value: Any, name: str, into: dict[str, Numbers]) -> None:
    """Collect every number and tensor inside nested dicts and sequences under names that say where they stand."""
    if isinstance(value, Tensor):
        into[name] = as_numbers(value)
    elif isinstance(value, bool | int | float):
        into[name] = np.asarray(float(value))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            flatten(part, f"{name}[{key!r}]", into)
    elif isinstance(value, list | tuple):
        for key, part in enumerate(value):
            flatten(part, f"{name}[{key}]", into)
