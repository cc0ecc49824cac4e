"""What a descent runs on: live parameters at their start, data or a stream of batches, and loss with gradient.

It draws and places tensors and sets `.grad`; it takes no steps and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.case.points import draw_inputs, generator_for, initial_value, subject_values
from harness.case.schema import ConvergeModel
from harness.case.subject import Subject, Tensors
from harness.converge.loop import Loop, make_loop
from harness.converge.objective import Objective, scalar_loss
from harness.converge.relative import in_units, unit
from harness.converge.training import Epochs, fresh_module, make_epochs, set_parameters
from harness.errors import UsageError


@dataclass(slots=True, kw_only=True)
class Problem:
    """A loss over live parameters. `parameters` are leaf tensors that an optimizer changes in place."""

    subject: Subject
    parameters: Mapping[str, Tensor]
    data: Tensors
    """The whole data, on the run's device and dtype; with fresh inputs, one draw that is held out."""
    sizes: Mapping[str, int]
    stream: Iterator[Tensors] | None = None
    """What each step sees instead, for mini-batches and fresh inputs."""
    analytic: bool = False
    module: nn.Module | None = None
    evaluations: int = 0
    """Gradient evaluations so far."""
    epoch: int | None = None
    """Steps per epoch, with mini-batches."""
    units: Tensors | None = None
    """What one unit of each parameter is worth, where the descent runs on parameters relative to their start."""
    redraws: Iterator[Tensors] | None = None
    """With fresh inputs: further held-out draws, which no step sees."""
    batch: Tensors | None = None
    loop: Loop | None = None
    """How a step's gradient is made, where it is not that of one batch's loss alone."""
    parts: tuple[Tensors, ...] = ()
    """The current step's mini-batches, where their gradients are accumulated; the first is `batch`."""

    @property
    def stochastic(self) -> bool:
        """Whether a step sees other data than the step before."""
        return self.stream is not None

    def advance(self) -> Tensor:
        """Draw the next step's data, set every `.grad` there, and return the loss (0-d, detached)."""
        if self.loop is not None and self.loop.accumulate > 1 and isinstance(self.stream, Epochs):
            self.parts = self.stream.take(self.loop.accumulate)
            self.batch = self.parts[0]
        else:
            self.batch = self.data if self.stream is None else next(self.stream)
        return self.evaluate()

    def evaluate(self) -> Tensor:
        """Set every `.grad` on the current step's data and return the loss (0-d, detached)."""
        data = self.data if self.batch is None else self.batch
        self.evaluations += 1
        for parameter in self.parameters.values():
            parameter.grad = None
        if self.loop is None:
            return self._analytic(data) if self.analytic else self._backward(data)
        loss = self._analytic(data) if self.analytic else self.accumulated()
        self.loop.finish(self.parameters.values(), loss)
        return loss

    def accumulated(self) -> Tensor:
        """Add the loop's gradient on the current step's data to every `.grad`, unclipped, and return the loss."""
        parts = self.parts or ((self.data if self.batch is None else self.batch),)
        rows = [self.stream.rows(part) if isinstance(self.stream, Epochs) else 1 for part in parts]
        loop = self.loop or Loop()
        return loop.backward([lambda part=part: self._loss(part) for part in parts], rows)  # type: ignore[misc]

    def loss(self) -> float:
        """Return the loss on the whole data (or the held-out draw), without a gradient."""
        with torch.no_grad():
            return float(scalar_loss(self.subject, self.data, self.parameters))

    def flat(self) -> Tensor:
        """Return a copy of all parameters as one vector (n,), in the run's dtype."""
        return torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters.values()])

    def place(self, flat: Tensor) -> None:
        """Move the parameters, in place, to the vector `flat` (n,)."""
        with torch.no_grad():
            for name, part in self.objective().split(flat).items():
                self.parameters[name].copy_(part)

    def flat_gradient(self) -> Tensor:
        """Return the `.grad` of all parameters as one vector (n,); a missing one counts as zeros."""
        grads = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.detach().to_dense()
            for parameter in self.parameters.values()
        ]
        return torch.cat([grad.reshape(-1) for grad in grads])

    def objective(self, data: Tensors | None = None) -> Objective:
        """Return the loss over the whole data (or the given) as a float64 function on the CPU.

        The data are widened from the run's own dtype, so that a float32 run is judged on the data it saw.
        """
        data = self.data if data is None else data
        shapes = {name: tuple(parameter.shape) for name, parameter in self.parameters.items()}
        return Objective(subject=self.subject, shapes=shapes, data=_cast(data, torch.float64, torch.device("cpu")))

    def _backward(self, data: Tensors) -> Tensor:
        loss = self._loss(data)
        loss.backward()
        return loss.detach()

    def _loss(self, data: Tensors) -> Tensor:
        """Return the loss on some data, 0-d, with its history."""
        loss = scalar_loss(self.subject, data, self.parameters)
        if not loss.requires_grad:
            raise UsageError(
                f"Cannot descend on {self.subject.name}: autograd finds no path from the loss to the parameters. "
                "Check that the function does not leave PyTorch (detach, item, numpy), or use `gradient: analytic`."
            )
        return loss

    @torch.no_grad()
    def _analytic(self, data: Tensors) -> Tensor:
        if self.subject.gradient is None:
            raise UsageError(
                f"Cannot descend on {self.subject.name}: gradient='analytic', but the case gives none. "
                "Add `gradient` to the case, or use `gradient: autograd`."
            )
        loss = scalar_loss(self.subject, data, self.parameters)
        values = {
            name: self.parameters[name] if name in self.parameters else data[name] for name in self.subject.inputs
        }
        gradients = self.subject.gradient(values, (torch.ones_like(loss),))
        for name, parameter in self.parameters.items():
            parameter.grad = _shaped(name, gradients, parameter)
        return loss


def problem_sizes(declared: Mapping[str, tuple[int, ...]], entry: ConvergeModel) -> dict[str, int]:
    """Return the sizes a descent runs at: the entry's own, else the case's; of a swept size, the largest.

    Raises:
        UsageError: the entry sets a size that the case does not declare.
    """
    unknown = [name for name in entry.dims if name not in declared]
    if unknown:
        raise UsageError(f"Cannot set dims: {unknown[0]}={entry.dims[unknown[0]]} is not a dim of the case.")
    return {name: entry.dims.get(name, max(values)) for name, values in declared.items()}


def make_problem(
    subject: Subject, entry: ConvergeModel, *, sizes: Mapping[str, int], seed: int, device: str = "cpu"
) -> Problem:
    """Draw data and start of a descent and place them.

    Data and start depend on the seed and the subject only, so two optimizers of a case start alike on the same data.

    Args:
        subject: what to descend on; its differentiable inputs are the parameters.
        entry: how; `start`, `fresh`, `batches`, `dtype` and `gradient` are read here.
        sizes: the named sizes.
        seed: seeds every draw.
        device: where tensors live, "cpu" or "cuda".

    Raises:
        UsageError: the entry names inputs that do not exist, or values that do not fit them.
    """
    _check_names(subject, entry)
    dtype, place = getattr(torch, entry.dtype), torch.device(device)
    values = _start_values(subject, entry, sizes, seed)
    names = subject.differentiable
    data = _cast({name: value for name, value in values.items() if name not in names}, dtype, place)
    units = {name: unit(values[name]) for name in names} if entry.relative else None
    if units is not None:
        subject, values = in_units(subject, units), {**values, **{name: values[name] / units[name] for name in names}}
    module = fresh_module(subject)
    parameters = _parameters(module, {name: values[name] for name in names}, dtype, place)
    problem = Problem(
        subject=subject,
        loop=make_loop(entry, device=place),
        parameters=parameters,
        data=data,
        sizes=dict(sizes),
        module=module,
        analytic=entry.gradient == "analytic",
        units=units,
    )
    if entry.batches is not None:
        problem.stream = make_epochs(subject, data, entry.batches, seed=seed, device=place)
        problem.epoch = -(-len(problem.stream.loader) // entry.accumulate)
    elif entry.fresh:
        problem.stream = _fresh_stream(problem, entry, sizes, generator_for(seed, subject.name, "converge", "fresh"))
        problem.redraws = _fresh_stream(problem, entry, sizes, generator_for(seed, subject.name, "converge", "redraws"))
    return problem


def _fresh_stream(
    problem: Problem, entry: ConvergeModel, sizes: Mapping[str, int], generator: torch.Generator
) -> Iterator[Tensors]:
    """Yield the data with its fresh inputs drawn anew, without end."""
    specs = {name: problem.subject.inputs[name] for name in entry.fresh}
    examples = {name: problem.data[name] for name in entry.fresh}
    while True:
        drawn = draw_inputs(specs, sizes, generator=generator)
        yield {**problem.data, **{name: drawn[name].to(examples[name]) for name in specs}}


def _check_names(subject: Subject, entry: ConvergeModel) -> None:
    """Raise UsageError for names of the entry that the subject does not have or cannot use so."""
    if not subject.differentiable:
        raise UsageError(
            f"Cannot descend on {subject.name}: none of its inputs is differentiable. Set `grad: true` on one."
        )
    for name in (*entry.start, *entry.fresh):
        if name not in subject.inputs:
            raise UsageError(f"Cannot start: {name!r} is not an input. The inputs are: {', '.join(subject.inputs)}.")
    for name in entry.published:
        if name not in subject.differentiable:
            raise UsageError(f"Cannot compare with `published`: {name!r} is not a parameter of {subject.name}.")
    moving = [name for name in entry.fresh if name in subject.differentiable]
    if moving:
        raise UsageError(f"Cannot draw {moving[0]!r} anew at every step: it is a parameter. Set `grad: false` on it.")
    if entry.fresh and entry.batches:
        raise UsageError(
            "Cannot use `fresh` and `batches` together. Fresh inputs are a batch of their own: choose one."
        )
    if any(subject.inputs[name].complex for name in subject.differentiable):
        raise UsageError(
            f"Cannot descend on {subject.name}: complex parameters are not supported. Use two real inputs."
        )


def _start_values(subject: Subject, entry: ConvergeModel, sizes: Mapping[str, int], seed: int) -> dict[str, Tensor]:
    """Return every input at the start: as the entry says, else drawn; each input has its own generator."""
    values = subject_values(subject, sizes, seed=seed, purpose=(subject.name, "converge"))
    for name, declared in entry.start.items():
        shape, generator = values[name].shape, generator_for(seed, subject.name, "converge", "start", name)
        if isinstance(declared, int | float):
            values[name] = torch.full_like(values[name], declared)
            continue
        try:
            values[name] = initial_value(declared, subject.inputs[name], sizes, generator=generator)
        except UsageError as error:
            raise UsageError(f"Cannot start at {name}={declared!r:.80} (shape {tuple(shape)}): {error}") from error
    return values


def _parameters(
    module: nn.Module | None, values: Tensors, dtype: torch.dtype, place: torch.device
) -> dict[str, Tensor]:
    """Return live leaf parameters at `values`: the module's own where there is one."""
    own: dict[str, Tensor] = {}
    if module is not None:
        set_parameters(module.to(place, dtype), values)
        own = dict(module.named_parameters())
    return {
        name: own[name] if name in own else value.detach().to(place, dtype).clone().requires_grad_(True)
        for name, value in values.items()
    }


def _cast(values: Tensors, dtype: torch.dtype, place: torch.device) -> dict[str, Tensor]:
    """Return the tensors on `place`, floating ones in `dtype`; integers, masks and complex numbers keep theirs."""
    return {
        name: value.to(place, dtype) if value.is_floating_point() else value.to(place) for name, value in values.items()
    }


def _shaped(name: str, gradients: Mapping[str, Tensor], parameter: Tensor) -> Tensor:
    """Return the analytic gradient of one parameter as an own tensor of its shape."""
    if name not in gradients:
        raise UsageError(
            f"Cannot descend: the analytic gradient says nothing about {name}. "
            "Add it under `gradient`, or use autograd."
        )
    gradient = gradients[name].detach().to(parameter)
    if gradient.shape != parameter.shape and gradient.numel() != 1:
        raise UsageError(
            f"Cannot descend: the analytic gradient of {name} has shape {tuple(gradient.shape)}, {name} itself "
            f"{tuple(parameter.shape)}. Make them equal."
        )
    if gradient.shape != parameter.shape:
        gradient = gradient.reshape(()).expand(parameter.shape)
    return gradient.clone()
