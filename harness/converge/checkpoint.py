"""Stopping a training and going on with it later: what has to be stored, and putting it into fresh objects.

A training is its parameters, its optimizer's state, its schedule's, the order its batches come in, and PyTorch's global
generator. All of it goes through `torch.save` and `torch.load`, as it does on disk.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from harness.converge.optimizers import Stepper
from harness.converge.problem import Problem
from harness.converge.training import Epochs, set_parameters
from harness.optimizers.findings import Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A problem with the optimizer, equipped with the loop's schedule and scaler, that trains on it."""

    problem: Problem
    stepper: Stepper

    def state_dict(self) -> dict[str, Any]:
        """Return everything the further course depends on."""
        problem, loop = self.problem, self.problem.loop
        return {
            "parameters": {name: value.detach() for name, value in problem.parameters.items()},
            "optimizer": _state(self.stepper),
            "schedule": None if loop is None or loop.schedule is None else loop.schedule.state_dict(),
            "loader": problem.stream.state_dict() if isinstance(problem.stream, Epochs) else None,
            "generator": torch.get_rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put what another training stored into this one's objects."""
        problem, loop = self.problem, self.problem.loop
        if problem.module is not None:
            set_parameters(problem.module, state["parameters"])
        else:
            with torch.no_grad():
                for name, value in state["parameters"].items():
                    problem.parameters[name].copy_(value)
        load = getattr(self.stepper, "load_state_dict", None)
        if load is not None:
            load(state["optimizer"])
        if loop is not None and loop.schedule is not None:
            loop.schedule.load_state_dict(state["schedule"])
        if isinstance(problem.stream, Epochs):
            problem.stream.load_state_dict(state["loader"])
        torch.set_rng_state(state["generator"])


def store(training: Training) -> bytes:
    """Return a training's state as `torch.save` writes it."""
    buffer = io.BytesIO()
    torch.save(training.state_dict(), buffer)
    return buffer.getvalue()


def restore(training: Training, stored: bytes) -> None:
    """Put a stored state into fresh objects."""
    training.load_state_dict(torch.load(io.BytesIO(stored)))


def numbers_of(state: object, name: str = "") -> Iterator[tuple[str, Numbers]]:
    """Yield every number of a nested state as (dotted name, float64 array); text and functions are left out."""
    if isinstance(state, torch.Tensor):
        yield name, state.detach().to("cpu", torch.float64).numpy().copy()
    elif isinstance(state, bool | int | float):
        yield name, np.asarray(float(state))
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from numbers_of(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, list | tuple):
        for place, value in enumerate(state):
            yield from numbers_of(value, f"{name}[{place}]")


def _state(stepper: Stepper) -> Any:
    """Return an optimizer's state; gradient descent written out has none."""
    save = getattr(stepper, "state_dict", None)
    return {} if save is None else save()
